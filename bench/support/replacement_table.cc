#include "bench/support/replacement_table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/support/shard_model.h"
#include "runtime/cli/svg_chart.h"

namespace userpager::bench {
namespace {

using cli::ChartSeries;
using cli::DrawBars;
using cli::Scale;

template <ReplacementKind kKind>
TraceCost RunInModel(const AccessTrace& trace, uint32_t memory) {
  return ShardModel(kKind, trace, memory).Run();
}

struct Policy {
  const char* name;
  const char* title;
  bool is_ours;  // sees soft faults, and nothing else of what is in memory
  TraceCost (*run)(const AccessTrace& trace, uint32_t memory);
};

constexpr Policy kPolicies[] = {
    {"optimal", "optimal", false, RunOptimal},
    {"adaptive", "policy:adaptive", true, RunInModel<ReplacementKind::kAdaptive>},
    {"clock", "policy:clock", true, RunInModel<ReplacementKind::kClock>},
    {"fifo", "policy:fifo", true, RunInModel<ReplacementKind::kFifo>},
    {"ideal_lru", "LRU", false, RunLru},
    {"ideal_lfu", "LFU", false, RunLfu},
    {"ideal_clock", "CLOCK", false, RunClock},
    {"ideal_fifo", "FIFO", false, RunFifo},
};
constexpr size_t kOptimal = 0;

double Percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

void ReplacementTable::Measure(const AccessTrace& trace, uint32_t memory) {
  Row row{trace.name, trace.pages.size() - trace.counted_from, trace.page_count, memory, {}};
  for (const Policy& policy : kPolicies) row.costs.push_back(policy.run(trace, memory));
  rows_.push_back(row);
}

std::string ReplacementTable::Markdown() const {
  std::string text = "| trace |";
  std::string line = "|---|";
  for (const Policy& policy : kPolicies) {
    absl::StrAppend(&text, " ", policy.title, " |");
    absl::StrAppend(&line, "---|");
  }
  absl::StrAppend(&text, "\n", line, "\n");
  for (const Row& row : rows_) {
    const uint64_t least = row.costs[kOptimal].misses;
    absl::StrAppendFormat(&text, "| %s | %.2f%% |", row.trace, Percent(least, row.accesses));
    for (size_t i = kOptimal + 1; i < row.costs.size(); ++i) {
      absl::StrAppendFormat(&text, " %.2f", Percent(row.costs[i].misses, least) / 100);
      if (kPolicies[i].is_ours) {
        absl::StrAppendFormat(&text, " (%.1f%%)", Percent(row.costs[i].soft_faults, row.accesses));
      }
      text += " |";
    }
    text += "\n";
  }
  return text;
}

std::string ReplacementTable::Json() const {
  std::string text = "[";
  for (const Row& row : rows_) {
    absl::StrAppendFormat(&text,
                          "%s\n{\"trace\": \"%s\", \"accesses\": %u, \"pages\": %u, "
                          "\"memory_pages\": %u, \"policies\": {",
                          text.size() > 1 ? "," : "", row.trace, row.accesses, row.pages,
                          row.memory);
    for (size_t i = 0; i < row.costs.size(); ++i) {
      absl::StrAppendFormat(&text, "%s\"%s\": {\"misses\": %u", i == 0 ? "" : ", ",
                            kPolicies[i].name, row.costs[i].misses);
      if (kPolicies[i].is_ours) {
        absl::StrAppendFormat(&text, ", \"soft_faults\": %u", row.costs[i].soft_faults);
      }
      text += "}";
    }
    text += "}}";
  }
  return text + "\n]\n";
}

std::string ReplacementTable::Chart() const {
  std::vector<std::string> traces;
  for (const Row& row : rows_) traces.push_back(row.trace);
  std::vector<ChartSeries> series;
  for (size_t i = 0; i < std::size(kPolicies); ++i) {
    ChartSeries one{kPolicies[i].title, {}};
    for (const Row& row : rows_) one.values.push_back(Percent(row.costs[i].misses, row.accesses));
    series.push_back(one);
  }
  return DrawBars({"Misses by replacement policy", "misses of 100 accesses", ""}, Scale::kLinear,
                  traces, series);
}

}  // namespace userpager::bench
