// ProcessRates: what a process under the runtime did between two looks at it.
#ifndef USERPAGER_CLI_PROCESS_RATES_H_
#define USERPAGER_CLI_PROCESS_RATES_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "runtime/cli/managed_process.h"

namespace userpager::cli {

struct ProcessLook {
  std::chrono::steady_clock::time_point when;
  std::unique_ptr<CounterTotals> counters;
  userpager_stats stats = {};
  std::vector<uint64_t> samples_told;  // by shard
};

ProcessLook LookAt(const ManagedProcess& process);

struct FaultRates {
  double per_second = 0;
  uint64_t total = 0;  // since the process began
  // Of the faults between the looks, in nanoseconds; 0 where there were none.
  uint64_t p50_ns = 0;
  uint64_t p99_ns = 0;
  uint64_t p999_ns = 0;
};

struct RegionRates {
  uint64_t first_page = 0;
  uint64_t page_count = 0;
  double share = 0;  // of the process's faults
};

struct ProcessRates {
  pid_t number = 0;
  std::string name;
  userpager_stats stats = {};          // at the later look
  FaultRates faults[kFaultKindCount];  // by FaultKind
  double faults_per_second = 0;        // of all kinds
  double queued_per_second = 0;
  double reads_per_second = 0;
  double read_bytes_per_second = 0;
  double writes_per_second = 0;
  double write_bytes_per_second = 0;
  double ahead_per_second = 0;       // pages read ahead
  double ahead_used_per_second = 0;  // pages of these that were found used
  // Those with most faults first, by a sample of the faults.
  std::vector<RegionRates> regions;
};

// `before` is a look at the same process, earlier.
ProcessRates RatesBetween(const ManagedProcess& process, const ProcessLook& before,
                          const ProcessLook& after);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_PROCESS_RATES_H_
