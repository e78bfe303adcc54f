#include "bench/support/svg_chart.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace userpager::bench {
namespace {

constexpr double kWidth = 960;
constexpr double kHeight = 440;
constexpr double kLeft = 78;
constexpr double kRight = kWidth - 16;
constexpr double kTop = 84;
constexpr double kBottom = kHeight - 64;
constexpr double kCharacterWidth = 7;  // of the text's size, about
constexpr double kDigitWidth = 6;      // of a value's
constexpr size_t kColours = 8;

// Okabe and Ito's colours, which people who see few colours can tell apart; lighter in the dark.
constexpr char kStyle[] =
    "<style>\n"
    "text{font:12px system-ui,sans-serif;fill:#1f2328}\n"
    ".title{font-size:16px;font-weight:600}.value{font-size:10px}\n"
    ".grid{stroke:#d0d7de;stroke-width:1}.axis{stroke:#57606a;stroke-width:1}\n"
    ".line{fill:none;stroke-width:2}\n"
    ".c0{fill:#0072b2;stroke:#0072b2}.c1{fill:#e69f00;stroke:#e69f00}\n"
    ".c2{fill:#009e73;stroke:#009e73}.c3{fill:#cc79a7;stroke:#cc79a7}\n"
    ".c4{fill:#56b4e9;stroke:#56b4e9}.c5{fill:#d55e00;stroke:#d55e00}\n"
    ".c6{fill:#8c8c8c;stroke:#8c8c8c}.c7{fill:#b8a900;stroke:#b8a900}\n"
    "rect{stroke-width:0}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#e6edf3}.grid{stroke:#30363d}.axis{stroke:#8b949e}\n"
    ".c0{fill:#4aa3df;stroke:#4aa3df}.c5{fill:#ff8a4c;stroke:#ff8a4c}\n"
    ".c2{fill:#2fc79a;stroke:#2fc79a}.c6{fill:#a8a8a8;stroke:#a8a8a8}}\n"
    ".line{fill:none}\n"
    "</style>\n";

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

// "1234567" as "1.23M".
std::string Short(double value) {
  const double size = std::fabs(value);
  if (size >= 1e6) return absl::StrFormat("%.3gM", value / 1e6);
  if (size >= 1e4) return absl::StrFormat("%.3gk", value / 1e3);
  if (size >= 1e3) return absl::StrFormat("%.0f", value);
  return absl::StrFormat("%.3g", value);
}

std::string Text(double x, double y, const char* attributes, const std::string& text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, attributes,
                         Escaped(text));
}

// From values to heights.
class VerticalAxis {
 public:
  VerticalAxis(Scale scale, const std::vector<ChartSeries>& series) : scale_(scale) {
    for (const ChartSeries& one : series) {
      for (const double value : one.values) {
        if (!CanDraw(value)) continue;
        high_ = std::max(high_, value);
        low_ = low_ == 0 ? value : std::min(low_, value);
      }
    }
    if (scale_ == Scale::kLinear) {
      step_ = NiceStep(high_ > 0 ? high_ : 1);
      high_ = step_ * std::ceil((high_ > 0 ? high_ : 1) / step_);
      low_ = 0;
    } else {
      if (high_ == 0) low_ = high_ = 1;
      low_ = std::pow(10, std::floor(std::log10(low_) - 1e-9));
      high_ = std::pow(10, std::ceil(std::log10(high_) + 1e-9));
    }
  }

  bool CanDraw(double value) const {
    return std::isfinite(value) && (scale_ == Scale::kLinear ? value >= 0 : value > 0);
  }
  double HeightOf(double value) const {
    const double share = scale_ == Scale::kLinear
                             ? value / high_
                             : std::log10(value / low_) / std::log10(high_ / low_);
    return kBottom - share * (kBottom - kTop);
  }
  std::string Draw() const {
    std::string svg;
    for (const double mark : Marks()) {
      const double y = HeightOf(mark);
      absl::StrAppendFormat(
          &svg, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", kLeft,
          y, kRight, y);
      svg += Text(kLeft - 6, y + 4, "text-anchor=\"end\"", Short(mark));
    }
    return svg;
  }

 private:
  // 1, 2 or 5 times a power of ten: four to ten of them make the axis.
  static double NiceStep(double high) {
    const double power = std::pow(10, std::floor(std::log10(high)));
    if (high / power < 2) return power / 5;
    return high / power < 5 ? power / 2 : power;
  }
  std::vector<double> Marks() const {
    std::vector<double> marks;
    if (scale_ == Scale::kLinear) {
      const auto count = std::lround(high_ / step_);
      for (long i = 0; i <= count; ++i) marks.push_back(static_cast<double>(i) * step_);
    } else {
      const auto count = std::lround(std::log10(high_ / low_));
      for (long i = 0; i <= count; ++i) marks.push_back(low_ * std::pow(10, i));
    }
    return marks;
  }

  const Scale scale_;
  double low_ = 0;
  double high_ = 0;
  double step_ = 0;
};

std::string ClassOf(size_t series) { return absl::StrCat("c", series % kColours); }

std::string DrawLegend(const std::vector<ChartSeries>& series) {
  std::string svg;
  double x = kLeft;
  double y = 44;
  for (size_t i = 0; i < series.size(); ++i) {
    const double width = 24 + kCharacterWidth * static_cast<double>(series[i].name.size());
    if (x + width > kRight) {
      x = kLeft;
      y += 18;
    }
    absl::StrAppendFormat(&svg,
                          "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\"/>\n",
                          ClassOf(i), x, y);
    svg += Text(x + 16, y + 10, "", series[i].name);
    x += width;
  }
  return svg;
}

std::string Frame(const ChartText& text, const VerticalAxis& axis,
                  const std::vector<ChartSeries>& series, const std::string& inside) {
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n"
      "<title>%s</title>\n",
      kWidth, kHeight, Escaped(text.title));
  absl::StrAppend(&svg, kStyle, Text(kLeft, 24, "class=\"title\"", text.title), DrawLegend(series),
                  axis.Draw(), inside);
  const std::string turned = absl::StrFormat(
      "text-anchor=\"middle\" transform=\"rotate(-90 16 %.1f)\"", (kTop + kBottom) / 2);
  svg += Text(16, (kTop + kBottom) / 2, turned.c_str(), text.vertical);
  svg += Text((kLeft + kRight) / 2, kHeight - 10, "text-anchor=\"middle\"", text.horizontal);
  absl::StrAppendFormat(
      &svg, "<line class=\"axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n</svg>\n",
      kLeft, kBottom, kRight, kBottom);
  return svg;
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
  std::string svg = Text(x, kBottom + 18, "text-anchor=\"middle\"", label.substr(0, part));
  if (part < label.size()) {
    svg += Text(x, kBottom + 34, "text-anchor=\"middle\"", label.substr(part + 1));
  }
  return svg;
}

// Above a bar: upright where the bar is narrower than the number.
std::string BarLabel(double x, double y, double width, const std::string& number) {
  if (kDigitWidth * static_cast<double>(number.size()) <= width) {
    return Text(x, y, "class=\"value\" text-anchor=\"middle\"", number);
  }
  const double middle = x + kDigitWidth / 2;
  const std::string turned =
      absl::StrFormat("class=\"value\" transform=\"rotate(-90 %.1f %.1f)\"", middle, y);
  return Text(middle, y, turned.c_str(), number);
}

}  // namespace

std::string DrawBars(const ChartText& text, Scale scale, const std::vector<std::string>& groups,
                     const std::vector<ChartSeries>& series) {
  const VerticalAxis axis(scale, series);
  const double group_width =
      (kRight - kLeft) / static_cast<double>(std::max<size_t>(groups.size(), 1));
  const double bar_width =
      0.84 * group_width / static_cast<double>(std::max<size_t>(series.size(), 1));
  std::string svg;
  for (size_t group = 0; group < groups.size(); ++group) {
    const double left = kLeft + static_cast<double>(group) * group_width;
    svg += GroupLabel(left + group_width / 2, group_width, groups[group]);
    for (size_t i = 0; i < series.size(); ++i) {
      if (group >= series[i].values.size() || !axis.CanDraw(series[i].values[group])) continue;
      const double value = series[i].values[group];
      const double x = left + 0.08 * group_width + static_cast<double>(i) * bar_width;
      const double y = axis.HeightOf(value);
      absl::StrAppendFormat(
          &svg,
          "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">"
          "<title>%s: %s</title></rect>\n",
          ClassOf(i), x, y, bar_width * 0.92, kBottom - y, Escaped(series[i].name), Short(value));
      svg += BarLabel(x + bar_width * 0.46, y - 4, bar_width, Short(value));
    }
  }
  return Frame(text, axis, series, svg);
}

std::string DrawLines(const ChartText& text, Scale scale, const std::vector<double>& places,
                      const std::vector<ChartSeries>& series) {
  const VerticalAxis axis(scale, series);
  const double first = places.empty() ? 0 : places.front();
  const double span = places.empty() ? 1 : std::max(places.back() - first, 1e-9);
  const auto across = [&](double place) {
    return kLeft + 12 + (kRight - kLeft - 24) * (place - first) / span;
  };
  std::string svg;
  for (const double place : places) {
    svg += Text(across(place), kBottom + 18, "text-anchor=\"middle\"", Short(place));
  }
  for (size_t i = 0; i < series.size(); ++i) {
    std::string points;
    for (size_t at = 0; at < std::min(places.size(), series[i].values.size()); ++at) {
      const double value = series[i].values[at];
      if (!axis.CanDraw(value)) continue;
      const double x = across(places[at]);
      const double y = axis.HeightOf(value);
      absl::StrAppendFormat(&points, "%.1f,%.1f ", x, y);
      absl::StrAppendFormat(&svg,
                            "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\">"
                            "<title>%s: %s</title></circle>\n",
                            ClassOf(i), x, y, Escaped(series[i].name), Short(value));
    }
    absl::StrAppendFormat(&svg, "<polyline class=\"%s line\" points=\"%s\"/>\n", ClassOf(i),
                          points);
  }
  return Frame(text, axis, series, svg);
}

}  // namespace userpager::bench
