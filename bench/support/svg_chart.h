// SvgChart: a chart as one SVG text, of groups of bars or of lines. It brings its own colours, for
// light and for dark surroundings, and needs nothing but a viewer.
#ifndef USERPAGER_BENCH_SUPPORT_SVG_CHART_H_
#define USERPAGER_BENCH_SUPPORT_SVG_CHART_H_

#include <cstdint>
#include <string>
#include <vector>

namespace userpager::bench {

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

// Groups of bars side by side, one bar of each series in each group, with its value above it.
std::string DrawBars(const ChartText& text, Scale scale, const std::vector<std::string>& groups,
                     const std::vector<ChartSeries>& series);
// One line for each series over `places`, which ascend.
std::string DrawLines(const ChartText& text, Scale scale, const std::vector<double>& places,
                      const std::vector<ChartSeries>& series);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_SVG_CHART_H_
