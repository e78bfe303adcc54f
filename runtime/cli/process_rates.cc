#include "runtime/cli/process_rates.h"

#include <algorithm>
#include <map>
#include <utility>

namespace userpager::cli {
namespace {

std::vector<RegionRates> RegionsOf(const std::vector<FaultSamples::Region>& samples) {
  std::map<std::pair<uint64_t, uint64_t>, size_t> counts;
  for (const FaultSamples::Region& region : samples) {
    ++counts[{region.first_page, region.page_count}];
  }
  std::vector<RegionRates> regions;
  for (const auto& [region, count] : counts) {
    regions.push_back({region.first, region.second,
                       static_cast<double>(count) / static_cast<double>(samples.size())});
  }
  std::stable_sort(regions.begin(), regions.end(),
                   [](const RegionRates& a, const RegionRates& b) { return a.share > b.share; });
  return regions;
}

}  // namespace

ProcessLook LookAt(const ManagedProcess& process) {
  ProcessLook look;
  look.when = std::chrono::steady_clock::now();
  look.counters = process.Counters();
  look.stats = process.Statistics(*look.counters);
  look.samples_told = process.SamplesTold();
  return look;
}

ProcessRates RatesBetween(const ManagedProcess& process, const ProcessLook& before,
                          const ProcessLook& after) {
  constexpr double kShortest = 1e-6;
  const double seconds =
      std::max(kShortest, std::chrono::duration<double>(after.when - before.when).count());
  // Counters only grow, but what is in the page is not to be trusted.
  const auto rate = [&](uint64_t from, uint64_t to) {
    return to <= from ? 0.0 : static_cast<double>(to - from) / seconds;
  };
  const auto rate_of = [&](uint64_t userpager_stats::*field) {
    return rate(before.stats.*field, after.stats.*field);
  };
  ProcessRates rates;
  rates.number = process.number();
  rates.name = process.name();
  rates.stats = after.stats;
  for (unsigned kind = 0; kind < kFaultKindCount; ++kind) {
    FaultRates& faults = rates.faults[kind];
    faults.total = after.counters->faults[kind].value();
    faults.per_second = rate(before.counters->faults[kind].value(), faults.total);
    LatencyHistogram between;
    between.Add(after.counters->latency[kind]);
    between.Subtract(before.counters->latency[kind]);
    faults.p50_ns = between.Percentile(500);
    faults.p99_ns = between.Percentile(990);
    faults.p999_ns = between.Percentile(999);
    rates.faults_per_second += faults.per_second;
  }
  rates.regions = RegionsOf(process.SamplesSince(before.samples_told));
  rates.queued_per_second = rate_of(&userpager_stats::queued_faults);
  rates.reads_per_second = rate_of(&userpager_stats::file_reads);
  rates.read_bytes_per_second = rate_of(&userpager_stats::file_read_bytes);
  rates.writes_per_second = rate_of(&userpager_stats::file_writes);
  rates.write_bytes_per_second = rate_of(&userpager_stats::file_write_bytes);
  rates.ahead_per_second = rate_of(&userpager_stats::ahead_pages);
  rates.ahead_used_per_second = rate_of(&userpager_stats::ahead_pages_used);
  return rates;
}

}  // namespace userpager::cli
