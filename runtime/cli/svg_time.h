// Charts over a continuous axis, parts of a page that has ChartStyle(): stacks, curves, heat maps.
#ifndef USERPAGER_CLI_SVG_TIME_H_
#define USERPAGER_CLI_SVG_TIME_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/cli/svg_frame.h"

namespace userpager::cli {

// From where to where the horizontal axis goes; first < last.
struct Span {
  double first;
  double last;
};

// What the series have in each of equal parts of the span, one on the other.
std::string DrawStacks(const ChartText& text, Span span, const std::vector<ChartSeries>& series);

// A place on the horizontal axis that is pointed out; no label: none is.
struct PlaceMark {
  double at = 0;
  std::string label;
};

// Lines through points of which none is marked; all have the same places, which ascend.
std::string DrawCurves(const ChartText& text, Span span, const std::vector<double>& places,
                       const std::vector<ChartSeries>& series, const PlaceMark& mark = {});

// A grid of counts: columns over the span, rows from the top down.
struct HeatGrid {
  size_t columns = 0;
  std::vector<std::vector<uint32_t>> rows;  // each of `columns` counts
};

// A label at the upper edge of a row, and rows that belong together from there to the next band.
struct HeatBand {
  size_t first_row = 0;
  std::string label;  // at the left
  std::string tip;    // shown when pointed at
  std::string pick;   // what a click on it picks (data-pick); "": nothing
};

// The colour is the count's place on a logarithmic scale up to the largest.
std::string DrawHeat(const ChartText& text, Span span, const HeatGrid& grid,
                     const std::vector<HeatBand>& bands);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_SVG_TIME_H_
