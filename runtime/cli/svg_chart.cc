#include "runtime/cli/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "runtime/cli/format.h"

namespace userpager::cli {
namespace {

constexpr double kHeight = 440;
constexpr double kBottom = PlotBottom(kHeight);
constexpr double kCharacterWidth = 7;  // of the text's size, about
constexpr double kDigitWidth = 6;      // of a value's

std::vector<std::string> NamesOf(const std::vector<ChartSeries>& series) {
  std::vector<std::string> names;
  for (const ChartSeries& one : series) names.push_back(one.name);
  return names;
}

// In two lines where one is too wide: parted at the space nearest to the middle.
std::string GroupLabel(double x, double width, const std::string& label) {
  size_t part = label.size();
  if (kCharacterWidth * static_cast<double>(label.size()) > width) {
    const auto off_middle = [&label](size_t at) {
      return std::abs(static_cast<long>(2 * at) - static_cast<long>(label.size()));
    };
    for (size_t at = label.find(' '); at != label.npos; at = label.find(' ', at + 1)) {
      if (part == label.size() || off_middle(at) < off_middle(part)) part = at;
    }
  }
  std::string svg = SvgText(x, kBottom + 18, "text-anchor=\"middle\"", label.substr(0, part));
  if (part < label.size()) {
    svg += SvgText(x, kBottom + 34, "text-anchor=\"middle\"", label.substr(part + 1));
  }
  return svg;
}

// Above a bar: upright where the bar is narrower than the number.
std::string BarLabel(double x, double y, double width, const std::string& number) {
  if (kDigitWidth * static_cast<double>(number.size()) <= width) {
    return SvgText(x, y, "class=\"value\" text-anchor=\"middle\"", number);
  }
  const double middle = x + kDigitWidth / 2;
  const std::string turned =
      Format("class=\"value\" transform=\"rotate(-90 %.1f %.1f)\"", middle, y);
  return SvgText(middle, y, turned.c_str(), number);
}

std::string Tip(const ChartSeries& series, double value) {
  return "<title>" + Escaped(series.name) + ": " + ShortNumber(value) + "</title>";
}

std::string Framed(const ChartText& text, const VerticalAxis& axis,
                   const std::vector<ChartSeries>& series, const std::string& inside) {
  return FrameChart(text, kHeight, StylePlace::kInChart,
                    DrawLegend(NamesOf(series)) + axis.Draw() + inside);
}

}  // namespace

std::string DrawBars(const ChartText& text, Scale scale, const std::vector<std::string>& groups,
                     const std::vector<ChartSeries>& series) {
  const VerticalAxis axis(scale, kBottom, series);
  const double group_width =
      (kPlotRight - kPlotLeft) / static_cast<double>(std::max<size_t>(groups.size(), 1));
  const double bar_width =
      0.84 * group_width / static_cast<double>(std::max<size_t>(series.size(), 1));
  std::string svg;
  for (size_t group = 0; group < groups.size(); ++group) {
    const double left = kPlotLeft + static_cast<double>(group) * group_width;
    svg += GroupLabel(left + group_width / 2, group_width, groups[group]);
    for (size_t i = 0; i < series.size(); ++i) {
      if (group >= series[i].values.size() || !axis.CanDraw(series[i].values[group])) continue;
      const double value = series[i].values[group];
      const double x = left + 0.08 * group_width + static_cast<double>(i) * bar_width;
      const double y = axis.HeightOf(value);
      svg += Format("<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">",
                    SeriesClass(i).c_str(), x, y, bar_width * 0.92, kBottom - y);
      svg += Tip(series[i], value) + "</rect>\n";
      svg += BarLabel(x + bar_width * 0.46, y - 4, bar_width, ShortNumber(value));
    }
  }
  return Framed(text, axis, series, svg);
}

std::string DrawLines(const ChartText& text, Scale scale, const std::vector<double>& places,
                      const std::vector<ChartSeries>& series) {
  const VerticalAxis axis(scale, kBottom, series);
  const double first = places.empty() ? 0 : places.front();
  const double span = places.empty() ? 1 : std::max(places.back() - first, 1e-9);
  const auto across = [&](double place) {
    return kPlotLeft + 12 + (kPlotRight - kPlotLeft - 24) * (place - first) / span;
  };
  std::string svg;
  for (const double place : places) {
    svg += SvgText(across(place), kBottom + 18, "text-anchor=\"middle\"", ShortNumber(place));
  }
  for (size_t i = 0; i < series.size(); ++i) {
    std::string points;
    for (size_t at = 0; at < std::min(places.size(), series[i].values.size()); ++at) {
      const double value = series[i].values[at];
      if (!axis.CanDraw(value)) continue;
      const double x = across(places[at]);
      const double y = axis.HeightOf(value);
      points += Format("%.1f,%.1f ", x, y);
      svg += Format("<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\">",
                    SeriesClass(i).c_str(), x, y);
      svg += Tip(series[i], value) + "</circle>\n";
    }
    svg += "<polyline class=\"" + SeriesClass(i) + " line\" points=\"" + points + "\"/>\n";
  }
  return Framed(text, axis, series, svg);
}

}  // namespace userpager::cli
