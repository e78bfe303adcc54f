// SvgChart: groups of bars, or lines of a few points, each a chart that stands alone.
#ifndef USERPAGER_CLI_SVG_CHART_H_
#define USERPAGER_CLI_SVG_CHART_H_

#include <string>
#include <vector>

#include "runtime/cli/svg_frame.h"

namespace userpager::cli {

// Groups of bars side by side, one bar of each series in each group, with its value above it.
std::string DrawBars(const ChartText& text, Scale scale, const std::vector<std::string>& groups,
                     const std::vector<ChartSeries>& series);
// One line for each series over `places`, which ascend.
std::string DrawLines(const ChartText& text, Scale scale, const std::vector<double>& places,
                      const std::vector<ChartSeries>& series);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_SVG_CHART_H_
