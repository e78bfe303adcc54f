#include "runtime/cli/svg_frame.h"

#include <algorithm>
#include <cmath>

#include "runtime/cli/format.h"

namespace userpager::cli {
namespace {

constexpr double kCharacterWidth = 7;  // of the text's size, about
constexpr size_t kColours = 8;

// Okabe and Ito's colours, which people who see few colours can tell apart; lighter in the dark.
// h0 to h7 are the steps of a heat map, from what is next to nothing on.
constexpr char kStyle[] =
    "svg text{font:12px system-ui,sans-serif;fill:#1f2328}\n"
    "svg .title{font-size:16px;font-weight:600}svg .value{font-size:10px}\n"
    ".grid{stroke:#d0d7de;stroke-width:1}.axis{stroke:#57606a;stroke-width:1}\n"
    ".c0{fill:#0072b2;stroke:#0072b2}.c1{fill:#e69f00;stroke:#e69f00}\n"
    ".c2{fill:#009e73;stroke:#009e73}.c3{fill:#cc79a7;stroke:#cc79a7}\n"
    ".c4{fill:#56b4e9;stroke:#56b4e9}.c5{fill:#d55e00;stroke:#d55e00}\n"
    ".c6{fill:#8c8c8c;stroke:#8c8c8c}.c7{fill:#b8a900;stroke:#b8a900}\n"
    ".h0{fill:#d6e6f5}.h1{fill:#abcfe6}.h2{fill:#6faed6}.h3{fill:#3c8cc3}\n"
    ".h4{fill:#1a69ac}.h5{fill:#084a8f}.h6{fill:#5b2a86}.h7{fill:#b3005e}\n"
    "svg rect,svg .area{stroke-width:0}\n"
    "@media (prefers-color-scheme:dark){\n"
    "svg text{fill:#e6edf3}.grid{stroke:#30363d}.axis{stroke:#8b949e}\n"
    ".c0{fill:#4aa3df;stroke:#4aa3df}.c5{fill:#ff8a4c;stroke:#ff8a4c}\n"
    ".c2{fill:#2fc79a;stroke:#2fc79a}.c4{fill:#c3e3f7;stroke:#c3e3f7}\n"
    ".c6{fill:#a8a8a8;stroke:#a8a8a8}\n"
    ".h0{fill:#16324a}.h1{fill:#1b4b70}.h2{fill:#1f6a9c}.h3{fill:#2b8cbf}\n"
    ".h4{fill:#4fb3c9}.h5{fill:#9bd3a5}.h6{fill:#f2d45c}.h7{fill:#ff9d3f}}\n"
    ".line{fill:none;stroke-width:2}\n";

// 1, 2 or 5 times a power of ten: four to ten of them make the axis.
double NiceStep(double high) {
  const double power = std::pow(10, std::floor(std::log10(high)));
  if (high / power < 2) return power / 5;
  return high / power < 5 ? power / 2 : power;
}

double HighestStack(const std::vector<ChartSeries>& series) {
  std::vector<double> sums;
  for (const ChartSeries& one : series) {
    sums.resize(std::max(sums.size(), one.values.size()));
    for (size_t at = 0; at < one.values.size(); ++at) sums[at] += one.values[at];
  }
  return sums.empty() ? 0 : *std::max_element(sums.begin(), sums.end());
}

}  // namespace

std::string ChartStyle() { return kStyle; }

std::string ShortNumber(double value) {
  const double size = std::fabs(value);
  if (size >= 1e6) return Format("%.3gM", value / 1e6);
  // Of what is round in thousands, as the marks of an axis, those above and below look alike.
  if (size >= 1e4 || (size >= 1e3 && std::fmod(size, 500) == 0)) {
    return Format("%.3gk", value / 1e3);
  }
  if (size >= 1e3) return Format("%.0f", value);
  return Format("%.3g", value);
}

std::string SvgText(double x, double y, const char* attributes, const std::string& text) {
  return Format("<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes) + Escaped(text) +
         "</text>\n";
}

std::string SeriesClass(size_t series) { return "c" + std::to_string(series % kColours); }

VerticalAxis::VerticalAxis(Scale scale, double bottom, double low, double high)
    : scale_(scale), bottom_(bottom), low_(low), high_(high) {
  Round();
}

VerticalAxis::VerticalAxis(Scale scale, double bottom, const std::vector<ChartSeries>& series)
    : scale_(scale), bottom_(bottom) {
  for (const ChartSeries& one : series) {
    for (const double value : one.values) {
      if (!CanDraw(value)) continue;
      high_ = std::max(high_, value);
      low_ = low_ == 0 ? value : std::min(low_, value);
    }
  }
  Round();
}

VerticalAxis VerticalAxis::OfStacks(double bottom, const std::vector<ChartSeries>& series) {
  return VerticalAxis(Scale::kLinear, bottom, 0, HighestStack(series));
}

void VerticalAxis::Round() {
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

bool VerticalAxis::CanDraw(double value) const {
  return std::isfinite(value) && (scale_ == Scale::kLinear ? value >= 0 : value > 0);
}

double VerticalAxis::HeightOf(double value) const {
  const double share = scale_ == Scale::kLinear
                           ? value / high_
                           : std::log10(value / low_) / std::log10(high_ / low_);
  return bottom_ - share * (bottom_ - kPlotTop);
}

std::string VerticalAxis::Draw() const {
  std::string svg;
  for (const double mark : Marks()) {
    const double y = HeightOf(mark);
    svg += Format("<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                  kPlotLeft, y, kPlotRight, y);
    svg += SvgText(kPlotLeft - 6, y + 4, "text-anchor=\"end\"", ShortNumber(mark));
  }
  return svg;
}

std::vector<double> VerticalAxis::Marks() const {
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

std::string HorizontalAxis::Draw(double bottom) const {
  const double step = NiceStep(last_ - first_);
  std::string svg;
  const double least = std::ceil(first_ / step - 1e-9);
  for (double i = 0; (least + i) * step <= last_ + 1e-9 * step; ++i) {
    const double mark = (least + i) * step;
    svg += SvgText(At(mark), bottom + 18, "text-anchor=\"middle\"", ShortNumber(mark));
    svg += Format("<line class=\"axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                  At(mark), bottom, At(mark), bottom + 4);
  }
  return svg;
}

std::string DrawLegend(const std::vector<std::string>& names) {
  std::string svg;
  double x = kPlotLeft;
  double y = 44;
  for (size_t i = 0; i < names.size(); ++i) {
    const double width = 24 + kCharacterWidth * static_cast<double>(names[i].size());
    if (x + width > kPlotRight) {
      x = kPlotLeft;
      y += 18;
    }
    svg += Format("<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\"/>\n",
                  SeriesClass(i).c_str(), x, y);
    svg += SvgText(x + 16, y + 10, "", names[i]);
    x += width;
  }
  return svg;
}

std::string FrameChart(const ChartText& text, double height, StylePlace style,
                       const std::string& inside) {
  const double bottom = PlotBottom(height);
  std::string svg = Format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" role=\"img\""
      " aria-label=\"%s\">\n",
      kChartWidth, height, Escaped(text.title).c_str());
  if (style == StylePlace::kInChart) svg += "<style>\n" + ChartStyle() + "</style>\n";
  svg += SvgText(kPlotLeft, 24, "class=\"title\"", text.title);
  svg += inside;
  const double middle = (kPlotTop + bottom) / 2;
  const std::string turned =
      Format("text-anchor=\"middle\" transform=\"rotate(-90 16 %.1f)\"", middle);
  svg += SvgText(16, middle, turned.c_str(), text.vertical);
  svg += SvgText((kPlotLeft + kPlotRight) / 2, height - 10, "text-anchor=\"middle\"",
                 text.horizontal);
  svg += Format(
      "<line class=\"axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n</svg>\n",
      kPlotLeft, bottom, kPlotRight, bottom);
  return svg;
}

}  // namespace userpager::cli
