// ReplacementTable: what each trace cost under each replacement policy, as a Markdown table, as
// JSON and as a chart.
#ifndef USERPAGER_BENCH_SUPPORT_REPLACEMENT_TABLE_H_
#define USERPAGER_BENCH_SUPPORT_REPLACEMENT_TABLE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/replacement_rivals.h"

namespace userpager::bench {

class ReplacementTable {
 public:
  // Runs the trace under every policy.
  void Measure(const AccessTrace& trace, uint32_t memory);

  // Misses of 100 accesses under the optimal policy, of each other policy how many times as many,
  // and the soft faults of 100 accesses of the policies that have them.
  std::string Markdown() const;
  // Counts.
  std::string Json() const;
  // Misses of 100 accesses.
  std::string Chart() const;

 private:
  struct Row {
    std::string trace;
    uint64_t accesses = 0;
    uint64_t pages = 0;
    uint64_t memory = 0;
    std::vector<TraceCost> costs;  // in the order of the policies
  };

  std::vector<Row> rows_;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_REPLACEMENT_TABLE_H_
