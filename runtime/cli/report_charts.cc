#include "runtime/cli/report_charts.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "runtime/base/types.h"
#include "runtime/cli/format.h"

namespace userpager::cli {
namespace {

constexpr double kMebibyte = 1 << 20;
constexpr size_t kMostPoints = 480;
constexpr size_t kCurvePoints = 96;

const char* const kFaultNames[kFaultKindCount] = {"demand-zero", "soft", "hard", "write-protect"};

Span TimeOf(const TraceSummary& summary) { return {0, summary.seconds()}; }

std::string TitleFor(const std::string& what, size_t group) {
  return group == 0 ? what : what + Format(", region %zu", group);
}

double Mebibytes(double pages) { return pages * kPageBytes / kMebibyte; }

// Without rows at either end that have nothing. Returns how many are gone at the front.
size_t Crop(HeatGrid* grid) {
  const auto is_empty = [](const std::vector<uint32_t>& row) {
    return std::all_of(row.begin(), row.end(), [](uint32_t count) { return count == 0; });
  };
  auto& rows = grid->rows;
  while (rows.size() > 1 && is_empty(rows.back())) rows.pop_back();
  const auto first = std::find_if_not(rows.begin(), rows.end() - 1, is_empty);
  const auto gone = static_cast<size_t>(first - rows.begin());
  rows.erase(rows.begin(), first);
  return gone;
}

}  // namespace

std::string AddressChart(const TraceSummary& summary) {
  return DrawHeat({"Faults by time and address", "addresses that were touched", "seconds"},
                  TimeOf(summary), summary.addresses(), summary.bands());
}

std::string FaultChart(const TraceSummary& summary, size_t group) {
  const double width = summary.seconds() / static_cast<double>(TraceSummary::kColumns);
  std::vector<ChartSeries> series;
  for (unsigned kind = 0; kind < kFaultKindCount; ++kind) {
    series.push_back({kFaultNames[kind], summary.groups()[group].faults[kind]});
    for (double& value : series.back().values) value /= width;
  }
  return DrawStacks({TitleFor("Faults by kind", group), "faults a second", "seconds"},
                    TimeOf(summary), series);
}

std::string TrafficChart(const TraceSummary& summary, size_t group) {
  const double width = summary.seconds() / static_cast<double>(TraceSummary::kColumns);
  std::vector<ChartSeries> series = {{"read", summary.groups()[group].pages_in},
                                     {"written", summary.groups()[group].pages_out}};
  for (ChartSeries& one : series) {
    for (double& value : one.values) value = Mebibytes(value) / width;
  }
  return DrawStacks({TitleFor("Page file traffic", group), "MiB a second", "seconds"},
                    TimeOf(summary), series);
}

std::string LatencyChart(const TraceSummary& summary, size_t group) {
  HeatGrid grid = summary.groups()[group].latency;
  const size_t gone = Crop(&grid);
  const size_t all = TraceSummary::kLatencyRowsPerDecade * TraceSummary::kLatencyDecades;
  std::vector<HeatBand> bands;
  for (size_t row = 0; row < grid.rows.size(); ++row) {
    // Row `at` from the bottom is of latencies from 100 ns * 10^(at / 4) on.
    const size_t at = all - 1 - (row + gone);
    if ((at + 1) % TraceSummary::kLatencyRowsPerDecade != 0) continue;
    const double decade = static_cast<double>((at + 1) / TraceSummary::kLatencyRowsPerDecade);
    bands.push_back({row, DurationText(100 * std::pow(10, decade)), "", ""});
  }
  return DrawHeat({TitleFor("Latency of faults", group), "from message to answer", "seconds"},
                  TimeOf(summary), grid, bands);
}

std::string MemoryChart(const TraceFile& file, const TraceSummary& summary) {
  std::vector<double> places;
  std::vector<ChartSeries> series = {
      {"working set", {}}, {"in memory", {}}, {"in the page file", {}}, {"memory limit", {}}};
  const auto& samples = file.samples();
  const size_t step = std::max<size_t>(1, samples.size() / kMostPoints);
  const auto add = [&](const TraceSample& sample) {
    places.push_back(
        static_cast<double>(sample.time_ns - std::min(sample.time_ns, file.header().began_ns)) /
        1e9);
    series[0].values.push_back(Mebibytes(sample.mapped));
    series[1].values.push_back(Mebibytes(sample.charged));
    series[2].values.push_back(Mebibytes(sample.file_used));
    series[3].values.push_back(Mebibytes(sample.limit));
  };
  for (size_t at = 0; at < samples.size(); at += step) add(samples[at]);
  if (!samples.empty()) add(samples.back());
  return DrawCurves({"Memory over time", "MiB", "seconds"}, TimeOf(summary), places, series);
}

std::string MissChart(const TraceSummary& summary) {
  const MissCurve& curve = summary.curve();
  if (curve.pages_to_read_nothing() == 0) return "";
  const auto limit = static_cast<double>(summary.limit_pages());
  const double low = -static_cast<double>(std::min(curve.pages_below(), summary.limit_pages()));
  // What is far beyond ten times the limit is of no use to know.
  const double high = std::min(static_cast<double>(curve.pages_to_read_nothing()) * 1.05,
                               10 * limit);
  std::vector<double> places;
  ChartSeries read{"pages read", {}};
  ChartSeries waited{"faults that wait for the page file", {}};
  for (size_t i = 0; i <= kCurvePoints; ++i) {
    const double more = low + (high - low) * static_cast<double>(i) / kCurvePoints;
    places.push_back(Mebibytes(limit + more));
    read.values.push_back(static_cast<double>(curve.PagesRead(std::lround(more))));
    waited.values.push_back(static_cast<double>(curve.HardFaults(std::lround(more))));
  }
  return DrawCurves({"What another memory limit would have cost (estimated)", "number in the run",
                     "memory limit, MiB"},
                    {places.front(), places.back()}, places, {read, waited},
                    {Mebibytes(limit), "the limit that it had"});
}

}  // namespace userpager::cli
