#include "runtime/cli/trace_summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/base/types.h"
#include "runtime/cli/format.h"
#include "runtime/cli/trace_regions.h"

namespace userpager::cli {
namespace {

constexpr size_t kHeatRows = 120;
constexpr double kLowestLatencyNs = 100;

// A kind of fault that was answered, or kFaultKindCount.
unsigned FaultOf(const TraceEvent& event) {
  const auto first = static_cast<unsigned>(TraceKind::kDemandZero);
  const auto kind = static_cast<unsigned>(event.kind);
  return kind >= first && kind < first + kFaultKindCount ? kind - first : kFaultKindCount;
}

// Regions are far fewer than 2^24, and addresses have 47 bits.
uint64_t TouchedKey(size_t region, uint64_t page) {
  return uint64_t{region} << 40 | page / TraceSummary::kHeatBlockPages;
}

GroupSeries EmptySeries() {
  GroupSeries series;
  for (auto& counts : series.faults) counts.resize(TraceSummary::kColumns);
  series.pages_in.resize(TraceSummary::kColumns);
  series.pages_out.resize(TraceSummary::kColumns);
  series.latency.columns = TraceSummary::kColumns;
  series.latency.rows.assign(
      TraceSummary::kLatencyRowsPerDecade * TraceSummary::kLatencyDecades,
      std::vector<uint32_t>(TraceSummary::kColumns));
  return series;
}

}  // namespace

uint64_t RegionUse::all_faults() const {
  return std::accumulate(std::begin(faults), std::end(faults), uint64_t{0});
}

uint64_t RegionUse::all_waited_ns() const {
  return std::accumulate(std::begin(waited_ns), std::end(waited_ns), uint64_t{0});
}

std::string RegionName(const RegionUse& region) {
  if (region.page_count == 0) return "unknown";
  return Format("0x%llx, ", static_cast<unsigned long long>(region.first_page << kPageShift)) +
         SizeText(static_cast<double>(region.page_count << kPageShift));
}

TraceSummary::TraceSummary(const TraceFile& file,
                           const std::function<void(double)>& progress)
    : file_(file),
      begin_ns_(file.header().began_ns),
      end_ns_(begin_ns_ + 1),
      regions_(1),
      limit_pages_(file.header().limit_pages) {
  // Twice through all events.
  const double all_events = 2 * static_cast<double>(std::max<uint64_t>(file.event_count(), 1));
  uint64_t done = 0;
  const auto tell = [&](size_t events) {
    done += events;
    progress(static_cast<double>(done) / all_events);
  };
  TraceRegions regions;
  for (const TraceFile::Events& block : file.blocks()) {
    tell(block.events.size());
    for (const TraceEvent& event : block.events) Count(event, regions.Take(event));
  }
  for (const TraceSample& sample : file.samples()) end_ns_ = std::max(end_ns_, sample.time_ns);
  ChooseShown();
  LayOutBands();
  TraceRegions again;
  for (const TraceFile::Events& block : file.blocks()) {
    tell(block.events.size());
    for (const TraceEvent& event : block.events) Place(event, again.Take(event));
  }
}

void TraceSummary::Count(const TraceEvent& event, size_t region) {
  end_ns_ = std::max(end_ns_, event.time_ns);
  curve_.Take(event);
  if (region >= regions_.size()) regions_.resize(region + 1);
  if (event.kind == TraceKind::kReserved) {
    regions_[region].first_page = event.page;
    regions_[region].page_count = event.page_count;
    regions_[region].reserved_ns = event.time_ns;
  }
  if (event.kind == TraceKind::kReleased) regions_[region].released_ns = event.time_ns;
  CountIn(event, &total_);
  CountIn(event, &regions_[region]);
  switch (event.kind) {
    case TraceKind::kViolation: ++violations_; return;
    case TraceKind::kZerosDropped: zero_pages_dropped_ += event.page_count; return;
    case TraceKind::kDropped: clean_pages_dropped_ += event.page_count; return;
    case TraceKind::kLimit:
      limit_changed_ = true;
      limit_pages_ = event.page;
      return;
    default: break;
  }
  const unsigned kind = FaultOf(event);
  if (kind == kFaultKindCount) return;
  latency_[kind].Record(event.latency_ns);
  const uint64_t key = TouchedKey(region, event.page + event.lead);
  if (key == last_touched_) return;
  last_touched_ = key;
  if (touched_.insert(key).second) {
    regions_[region].touched_bytes += kHeatBlockPages * kPageBytes;
    total_.touched_bytes += kHeatBlockPages * kPageBytes;
  }
}

void TraceSummary::CountIn(const TraceEvent& event, RegionUse* use) {
  if (const unsigned kind = FaultOf(event); kind != kFaultKindCount) {
    ++use->faults[kind];
    use->waited_ns[kind] += event.latency_ns;
    return;
  }
  switch (event.kind) {
    case TraceKind::kPagesIn:
      use->pages_in += event.page_count;
      use->ahead_pages += event.page_count - std::min<uint32_t>(event.lead, event.page_count);
      return;
    case TraceKind::kPagesOut: use->pages_out += event.page_count; return;
    case TraceKind::kAheadUsed: use->ahead_used += event.page_count; return;
    case TraceKind::kAheadWasted: use->ahead_wasted += event.page_count; return;
    default: return;
  }
}

void TraceSummary::ChooseShown() {
  for (size_t region = 1; region < regions_.size(); ++region) {
    if (regions_[region].all_faults() > 0) shown_.push_back(region);
  }
  std::stable_sort(shown_.begin(), shown_.end(), [this](size_t a, size_t b) {
    return regions_[a].all_waited_ns() > regions_[b].all_waited_ns();
  });
  shown_.resize(std::min(shown_.size(), kMostShown));
  group_of_.resize(regions_.size());
  for (size_t i = 0; i < shown_.size(); ++i) group_of_[shown_[i]] = i + 1;
  groups_.assign(shown_.size() + 1, EmptySeries());
}

// Only blocks that were touched have a place; each band has rows by its share of them.
void TraceSummary::LayOutBands() {
  rows_.resize(shown_.size() + 1);
  for (const uint64_t key : touched_) rows_[group_of_[key >> 40]].blocks.push_back(key);
  std::vector<size_t> order(rows_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [this](size_t a, size_t b) {
    if (a == 0 || b == 0) return b == 0 && a != 0;
    return regions_[shown_[a - 1]].first_page < regions_[shown_[b - 1]].first_page;
  });
  size_t row = 0;
  for (const size_t band : order) {
    Rows& rows = rows_[band];
    if (rows.blocks.empty()) continue;
    std::sort(rows.blocks.begin(), rows.blocks.end());
    const size_t share = kHeatRows * rows.blocks.size() / touched_.size();
    rows.first = row;
    rows.count = std::min(std::max<size_t>(share, 4), rows.blocks.size());
    row += rows.count;
    const bool others = band == 0;
    const std::string name = others ? "all others" : RegionName(regions_[shown_[band - 1]]);
    bands_.push_back({rows.first, others ? "others" : Format("region %zu", band),
                      others ? name : Format("region %zu: ", band) + name + "; click to see it"
                                                                            " alone",
                      others ? "" : std::to_string(band)});
  }
  addresses_.columns = kColumns;
  addresses_.rows.assign(row, std::vector<uint32_t>(kColumns));
}

size_t TraceSummary::ColumnOf(uint64_t time_ns) const {
  const double share = static_cast<double>(std::max(time_ns, begin_ns_) - begin_ns_) /
                       static_cast<double>(end_ns_ - begin_ns_);
  return std::min(static_cast<size_t>(share * static_cast<double>(kColumns)), kColumns - 1);
}

void TraceSummary::Place(const TraceEvent& event, size_t region) {
  const size_t column = ColumnOf(event.time_ns);
  const size_t group = group_of_[region];
  PlaceIn(event, column, &groups_[0]);
  if (group != 0) PlaceIn(event, column, &groups_[group]);
  if (FaultOf(event) == kFaultKindCount) return;
  const Rows& rows = rows_[group];
  const uint64_t key = TouchedKey(region, event.page + event.lead);
  const auto at = std::lower_bound(rows.blocks.begin(), rows.blocks.end(), key);
  const auto place = static_cast<size_t>(at - rows.blocks.begin());
  ++addresses_.rows[rows.first + place * rows.count / rows.blocks.size()][column];
}

void TraceSummary::PlaceIn(const TraceEvent& event, size_t column, GroupSeries* series) const {
  if (event.kind == TraceKind::kPagesIn) series->pages_in[column] += event.page_count;
  if (event.kind == TraceKind::kPagesOut) series->pages_out[column] += event.page_count;
  const unsigned kind = FaultOf(event);
  if (kind == kFaultKindCount) return;
  ++series->faults[kind][column];
  const double decades = std::log10(std::max<double>(event.latency_ns, kLowestLatencyNs) /
                                    kLowestLatencyNs);
  const size_t rows = series->latency.rows.size();
  const auto row = static_cast<size_t>(decades * kLatencyRowsPerDecade);
  ++series->latency.rows[rows - 1 - std::min(row, rows - 1)][column];
}

}  // namespace userpager::cli
