// ResultTable: what every workload gave on every backend in every round, and the medians of it as a
// Markdown table, as JSON and as charts.
#ifndef USERPAGER_BENCH_SUPPORT_RESULT_TABLE_H_
#define USERPAGER_BENCH_SUPPORT_RESULT_TABLE_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/out_of_core_options.h"

namespace userpager::bench {

// Names and values, in the order in which they are shown.
using Environment = std::vector<std::pair<std::string, std::string>>;

class ResultTable {
 public:
  void Add(unsigned round, Workload workload, Backend backend, Metrics metrics) {
    results_[{workload, backend}][round] = std::move(metrics);
  }
  // A backend that is not measured.
  void Skip(Backend backend, std::string reason) { skipped_[backend] = std::move(reason); }

  // The median over the rounds of one metric; nothing where it was not measured.
  std::optional<double> MedianOf(Workload workload, Backend backend,
                                 const std::string& metric) const;
  // The median over the rounds of one backend's throughput divided by another's in the same round.
  std::optional<double> RatioOf(Workload workload, Backend backend, Backend to) const;
  // That one of the mappings of a file that was fastest; nothing where none was measured.
  std::optional<Backend> BestMapped(Workload workload) const;

  // The environment, the table, what is compared with floors, and what was left out and why.
  std::string Markdown(const Environment& environment) const;
  // The environment, what was left out, and every metric of every round.
  std::string Json(const Environment& environment) const;
  // What does not fit into the limit: throughput in bytes, or in accesses.
  std::string Chart(bool in_bytes) const;

 private:
  bool Measured(Workload workload) const;
  std::string MarkdownRow(Workload workload) const;
  std::string MarkdownFloors() const;

  std::map<std::pair<Workload, Backend>, std::map<unsigned, Metrics>> results_;
  std::map<Backend, std::string> skipped_;
};

// One line: the value first, then the other metrics.
std::string FormatResult(unsigned round, Workload workload, Backend backend,
                         const Metrics& metrics);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_RESULT_TABLE_H_
