// TraceSummary: what a report shows of a recording: counts by region, and how they went over time.
//
// Groups: everything shown over time is there once for the whole program (group 0) and once for
// each region that is shown by itself: those whose faults took longest, in that order.
#ifndef USERPAGER_CLI_TRACE_SUMMARY_H_
#define USERPAGER_CLI_TRACE_SUMMARY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "runtime/cli/miss_curve.h"
#include "runtime/cli/svg_time.h"
#include "runtime/cli/trace_file.h"
#include "runtime/observe/counters.h"
#include "runtime/observe/latency_histogram.h"

namespace userpager::cli {

struct RegionUse {
  uint64_t first_page = 0;
  uint64_t page_count = 0;
  uint64_t reserved_ns = 0;
  uint64_t released_ns = UINT64_MAX;  // as long as it is there
  uint64_t faults[kFaultKindCount] = {};
  uint64_t waited_ns[kFaultKindCount] = {};
  uint64_t pages_in = 0;
  uint64_t pages_out = 0;
  uint64_t ahead_pages = 0;  // of pages_in, those that no thread waited for
  uint64_t ahead_used = 0;
  uint64_t ahead_wasted = 0;
  uint64_t touched_bytes = 0;  // in units of kHeatBlockPages

  uint64_t all_faults() const;
  uint64_t all_waited_ns() const;
};

struct GroupSeries {
  std::vector<double> faults[kFaultKindCount];  // by column
  std::vector<double> pages_in;
  std::vector<double> pages_out;
  HeatGrid latency;  // rows of kLatencyRowsPerDecade a decade, the longest first
};

class TraceSummary {
 public:
  static constexpr size_t kColumns = 160;
  static constexpr size_t kMostShown = 12;
  static constexpr uint64_t kHeatBlockPages = 16;
  static constexpr unsigned kLatencyRowsPerDecade = 4;
  static constexpr unsigned kLatencyDecades = 8;  // from 100 ns on

  // `progress` is told from time to time what share of the work is done.
  explicit TraceSummary(const TraceFile& file,
                        const std::function<void(double)>& progress = [](double) {});

  double seconds() const { return static_cast<double>(end_ns_ - begin_ns_) / 1e9; }
  const RegionUse& total() const { return total_; }
  // All regions with their numbers of TraceRegions; [0] is of pages whose region is not known.
  const std::vector<RegionUse>& regions() const { return regions_; }
  // Numbers of those that are groups by themselves: group i + 1 is shown()[i].
  const std::vector<size_t>& shown() const { return shown_; }
  const std::vector<GroupSeries>& groups() const { return groups_; }
  const LatencyHistogram& latency(FaultKind kind) const {
    return latency_[static_cast<unsigned>(kind)];
  }
  uint64_t violations() const { return violations_; }
  uint64_t zero_pages_dropped() const { return zero_pages_dropped_; }
  uint64_t clean_pages_dropped() const { return clean_pages_dropped_; }
  uint64_t limit_pages() const { return limit_pages_; }  // at the end
  bool limit_changed() const { return limit_changed_; }
  const MissCurve& curve() const { return curve_; }
  // Faults by address; `bands` are regions in the order of addresses, then all that are not shown.
  const HeatGrid& addresses() const { return addresses_; }
  const std::vector<HeatBand>& bands() const { return bands_; }

 private:
  struct Rows {  // of one band
    std::vector<uint64_t> blocks;
    size_t first = 0;
    size_t count = 0;
  };

  void Count(const TraceEvent& event, size_t region);
  static void CountIn(const TraceEvent& event, RegionUse* use);
  void ChooseShown();
  void LayOutBands();
  void Place(const TraceEvent& event, size_t region);
  void PlaceIn(const TraceEvent& event, size_t column, GroupSeries* series) const;
  size_t ColumnOf(uint64_t time_ns) const;

  const TraceFile& file_;
  uint64_t begin_ns_ = 0;
  uint64_t end_ns_ = 0;
  RegionUse total_;
  std::vector<RegionUse> regions_;
  std::vector<size_t> shown_;
  std::vector<size_t> group_of_;  // by region; 0: none of its own
  std::vector<GroupSeries> groups_;
  LatencyHistogram latency_[kFaultKindCount];
  uint64_t violations_ = 0;
  uint64_t zero_pages_dropped_ = 0;
  uint64_t clean_pages_dropped_ = 0;
  uint64_t limit_pages_ = 0;
  bool limit_changed_ = false;
  MissCurve curve_;
  std::unordered_set<uint64_t> touched_;  // blocks: region and number
  uint64_t last_touched_ = UINT64_MAX;
  std::vector<Rows> rows_;  // [0]: of regions that are not shown; else by group
  HeatGrid addresses_;
  std::vector<HeatBand> bands_;
};

// "0x7f0012340000, 64.0 MiB".
std::string RegionName(const RegionUse& region);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_TRACE_SUMMARY_H_
