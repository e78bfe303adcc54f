// What all charts share (svg_chart.h, svg_map.h): colours for light and for dark surroundings, the
// frame with title, legend and axes, and the place inside it. A chart is one SVG text that needs
// nothing but a viewer.
#ifndef USERPAGER_CLI_SVG_FRAME_H_
#define USERPAGER_CLI_SVG_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace userpager::cli {

enum class Scale : uint8_t { kLinear, kLogarithmic };

struct ChartSeries {
  std::string name;
  // One for each group of bars or each place on the horizontal axis. What is not finite (and, on a
  // logarithmic scale, what is not above 0) is not drawn.
  std::vector<double> values;
};

struct ChartText {
  std::string title;
  std::string vertical;    // what the values are, with their unit
  std::string horizontal;  // what the places of lines are; "" for bars
};

// Whether a chart brings its colours itself, or is part of a page that has ChartStyle().
enum class StylePlace : uint8_t { kInChart, kInPage };

inline constexpr double kChartWidth = 960;
inline constexpr double kPlotLeft = 78;
inline constexpr double kPlotRight = kChartWidth - 16;
inline constexpr double kPlotTop = 84;

// The lower edge of the plot in a chart of that height.
inline constexpr double PlotBottom(double height) { return height - 64; }

// The rules for the classes that charts use, without <style>.
std::string ChartStyle();

// "1234567" as "1.23M".
std::string ShortNumber(double value);
std::string SvgText(double x, double y, const char* attributes, const std::string& text);
std::string SeriesClass(size_t series);

// From values to heights.
class VerticalAxis {
 public:
  // For all the values; `bottom` as PlotBottom gives it.
  VerticalAxis(Scale scale, double bottom, const std::vector<ChartSeries>& series);
  // For stacks of the values.
  static VerticalAxis OfStacks(double bottom, const std::vector<ChartSeries>& series);

  bool CanDraw(double value) const;
  double HeightOf(double value) const;
  std::string Draw() const;

 private:
  VerticalAxis(Scale scale, double bottom, double low, double high);
  void Round();
  std::vector<double> Marks() const;

  Scale scale_;
  double bottom_;
  double low_ = 0;
  double high_ = 0;
  double step_ = 0;
};

// A horizontal axis of numbers with marks at round ones. `first` < `last`.
class HorizontalAxis {
 public:
  HorizontalAxis(double first, double last) : first_(first), last_(last) {}
  double At(double value) const {
    return kPlotLeft + (value - first_) / (last_ - first_) * (kPlotRight - kPlotLeft);
  }
  std::string Draw(double bottom) const;

 private:
  double first_;
  double last_;
};

// Names as a legend above the plot.
std::string DrawLegend(const std::vector<std::string>& names);
// The whole chart: `inside` is axes, legend and content.
std::string FrameChart(const ChartText& text, double height, StylePlace style,
                       const std::string& inside);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_SVG_FRAME_H_
