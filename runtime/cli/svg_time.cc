#include "runtime/cli/svg_time.h"

#include <algorithm>
#include <cmath>

#include "runtime/cli/format.h"

namespace userpager::cli {
namespace {

constexpr double kTimeHeight = 300;
constexpr double kHeatTop = 56;
constexpr size_t kHeatSteps = 8;
constexpr double kHeatFoot = 92;  // below the map: axis, scale

std::vector<std::string> NamesOf(const std::vector<ChartSeries>& series) {
  std::vector<std::string> names;
  for (const ChartSeries& one : series) names.push_back(one.name);
  return names;
}

unsigned StepOf(uint32_t count, uint32_t most) {
  if (most <= 1) return kHeatSteps / 2;
  const double share = std::log(static_cast<double>(count)) / std::log(static_cast<double>(most));
  return static_cast<unsigned>(std::min<double>(share * kHeatSteps, kHeatSteps - 1));
}

uint32_t MostOf(const HeatGrid& grid) {
  uint32_t most = 0;
  for (const auto& row : grid.rows) {
    for (const uint32_t count : row) most = std::max(most, count);
  }
  return most;
}

// All cells of one colour are one path: runs of them in each row.
std::string HeatCells(const HeatGrid& grid, double row_height, uint32_t most) {
  const double width = (kPlotRight - kPlotLeft) / static_cast<double>(grid.columns);
  std::string paths[kHeatSteps];
  for (size_t row = 0; row < grid.rows.size(); ++row) {
    const std::vector<uint32_t>& counts = grid.rows[row];
    for (size_t begin = 0, end = 0; begin < grid.columns; begin = end) {
      end = begin + 1;
      if (counts[begin] == 0) continue;
      const unsigned step = StepOf(counts[begin], most);
      while (end < grid.columns && counts[end] != 0 && StepOf(counts[end], most) == step) ++end;
      paths[step] += Format("M%.1f %.1fh%.1fv%.1fh-%.1fz",
                            kPlotLeft + static_cast<double>(begin) * width,
                            kHeatTop + static_cast<double>(row) * row_height,
                            static_cast<double>(end - begin) * width, row_height,
                            static_cast<double>(end - begin) * width);
    }
  }
  std::string svg;
  for (size_t step = 0; step < kHeatSteps; ++step) {
    if (paths[step].empty()) continue;
    svg += Format("<path class=\"h%zu\" d=\"", step) + paths[step] + "\"/>\n";
  }
  return svg;
}

std::string HeatScale(double y, uint32_t most) {
  std::string svg = SvgText(kPlotLeft, y + 10, "", "1");
  double x = kPlotLeft + 12;
  for (size_t step = 0; step < kHeatSteps; ++step, x += 22) {
    svg += Format("<rect class=\"h%zu\" x=\"%.1f\" y=\"%.1f\" width=\"22\" height=\"12\"/>\n", step,
                  x, y);
  }
  return svg + SvgText(x + 5, y + 10, "", CountText(most) + " in one cell");
}

// What is behind and before the cells of a band: its label, its border, the place for a click.
std::string DrawBand(const HeatBand& band, double top, double bottom, bool labelled) {
  std::string svg;
  if (labelled) {
    // Of a band the name stands in it; of a mark of the axis, at its line.
    const double below = band.tip.empty() ? 3.5 : 10;
    svg += SvgText(kPlotLeft - 6, top + below, "class=\"value\" text-anchor=\"end\"", band.label);
  }
  svg += Format("<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                kPlotLeft, top, kPlotRight, top);
  if (band.pick.empty()) return svg;
  svg += "<g class=\"band\" tabindex=\"0\" role=\"button\" data-pick=\"" + Escaped(band.pick) +
         "\">";
  svg += Format("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">", kPlotLeft, top,
                kPlotRight - kPlotLeft, bottom - top);
  return svg + "<title>" + Escaped(band.tip) + "</title></rect></g>\n";
}

}  // namespace

std::string DrawStacks(const ChartText& text, Span span, const std::vector<ChartSeries>& series) {
  const double bottom = PlotBottom(kTimeHeight);
  const VerticalAxis axis = VerticalAxis::OfStacks(bottom, series);
  std::string svg = DrawLegend(NamesOf(series)) + axis.Draw() +
                    HorizontalAxis(span.first, span.last).Draw(bottom);
  const size_t columns = series.empty() ? 0 : series.front().values.size();
  const double width = (kPlotRight - kPlotLeft) / static_cast<double>(std::max<size_t>(columns, 1));
  std::vector<double> below(columns);
  for (size_t i = 0; i < series.size(); ++i) {
    std::string path;
    for (size_t at = 0; at < columns; ++at) {
      const double value = series[i].values[at];
      if (value <= 0) continue;
      const double low = axis.HeightOf(below[at]);
      below[at] += value;
      const double high = axis.HeightOf(below[at]);
      path += Format("M%.1f %.1fh%.1fV%.1fh-%.1fz", kPlotLeft + static_cast<double>(at) * width,
                     high, width, low, width);
    }
    svg += "<path class=\"" + SeriesClass(i) + " area\" d=\"" + path + "\"/>\n";
  }
  return FrameChart(text, kTimeHeight, StylePlace::kInPage, svg);
}

std::string DrawCurves(const ChartText& text, Span span, const std::vector<double>& places,
                       const std::vector<ChartSeries>& series, const PlaceMark& mark) {
  const double bottom = PlotBottom(kTimeHeight);
  const VerticalAxis axis(Scale::kLinear, bottom, series);
  const HorizontalAxis across(span.first, span.last);
  std::string svg = DrawLegend(NamesOf(series)) + axis.Draw() + across.Draw(bottom);
  for (size_t i = 0; i < series.size(); ++i) {
    std::string points;
    for (size_t at = 0; at < places.size(); ++at) {
      const double value = series[i].values[at];
      if (!axis.CanDraw(value)) continue;
      points += Format("%.1f,%.1f ", across.At(places[at]), axis.HeightOf(value));
    }
    svg += "<polyline class=\"" + SeriesClass(i) + " line\" points=\"" + points + "\"/>\n";
  }
  if (!mark.label.empty()) {
    const double x = across.At(mark.at);
    svg += Format("<line class=\"axis\" stroke-dasharray=\"4 3\" x1=\"%.1f\" y1=\"%.1f\""
                  " x2=\"%.1f\" y2=\"%.1f\"/>\n",
                  x, kPlotTop - 6, x, bottom);
    svg += SvgText(x + 5, kPlotTop + 4, "", mark.label);
  }
  return FrameChart(text, kTimeHeight, StylePlace::kInPage, svg);
}

std::string DrawHeat(const ChartText& text, Span span, const HeatGrid& grid,
                     const std::vector<HeatBand>& bands) {
  const double rows = static_cast<double>(std::max<size_t>(grid.rows.size(), 1));
  const double row_height = std::clamp(360.0 / rows, 2.5, 14.0);
  const double bottom = kHeatTop + rows * row_height;
  const double height = bottom + kHeatFoot;
  const uint32_t most = MostOf(grid);
  std::string svg = HeatCells(grid, row_height, most);
  double labelled_to = 0;
  for (size_t i = 0; i < bands.size(); ++i) {
    const size_t end = i + 1 < bands.size() ? bands[i + 1].first_row : grid.rows.size();
    const double top = kHeatTop + static_cast<double>(bands[i].first_row) * row_height;
    const bool labelled = top >= labelled_to;
    if (labelled) labelled_to = top + 11;
    svg += DrawBand(bands[i], top, kHeatTop + static_cast<double>(end) * row_height, labelled);
  }
  svg += HorizontalAxis(span.first, span.last).Draw(bottom);
  svg += Format("<line class=\"axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                kPlotLeft, bottom, kPlotRight, bottom);
  svg += HeatScale(height - 30, most);
  std::string whole = Format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" role=\"img\""
      " aria-label=\"%s\">\n",
      kChartWidth, height, Escaped(text.title).c_str());
  const std::string turned = Format("text-anchor=\"middle\" transform=\"rotate(-90 12 %.1f)\"",
                                    (kHeatTop + bottom) / 2);
  whole += SvgText(kPlotLeft, 24, "class=\"title\"", text.title) +
           SvgText(12, (kHeatTop + bottom) / 2, turned.c_str(), text.vertical) +
           SvgText((kPlotLeft + kPlotRight) / 2, bottom + 36, "text-anchor=\"middle\"",
                   text.horizontal);
  return whole + svg + "</svg>\n";
}

}  // namespace userpager::cli
