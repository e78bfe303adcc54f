#include "runtime/api/statistics.h"

#include <errno.h>

#include "runtime/base/arena.h"
#include "runtime/observe/counters.h"

namespace userpager {
namespace {

uint64_t FaultsOf(const CounterTotals& totals, FaultKind kind) {
  return totals.faults[static_cast<unsigned>(kind)].value();
}

userpager_latency LatencyOf(const CounterTotals& totals, FaultKind kind) {
  const LatencyHistogram& histogram = totals.latency[static_cast<unsigned>(kind)];
  return {histogram.count(), histogram.Percentile(500), histogram.Percentile(990),
          histogram.Percentile(999), histogram.max_ns()};
}

void CopyCounters(const CounterTotals& totals, userpager_stats* stats) {
  stats->demand_zero_faults = FaultsOf(totals, FaultKind::kDemandZero);
  stats->soft_faults = FaultsOf(totals, FaultKind::kSoft);
  stats->hard_faults = FaultsOf(totals, FaultKind::kHard);
  stats->write_protect_faults = FaultsOf(totals, FaultKind::kWriteProtect);
  stats->access_violations = totals.access_violations.value();
  stats->queued_faults = totals.queued_faults.value();
  stats->stale_messages = totals.stale_messages.value();
  stats->pages_in = totals.pages_in.value();
  stats->pages_out = totals.pages_out.value();
  stats->file_reads = totals.file_reads.value();
  stats->file_writes = totals.file_writes.value();
  stats->file_read_bytes = totals.file_read_bytes.value();
  stats->file_write_bytes = totals.file_write_bytes.value();
  stats->file_read_errors = totals.file_read_errors.value();
  stats->file_write_errors = totals.file_write_errors.value();
  stats->ahead_pages = totals.ahead_pages.value();
  stats->ahead_pages_used = totals.ahead_pages_used.value();
  stats->zero_pages_dropped = totals.zero_pages_dropped.value();
  stats->clean_pages_dropped = totals.clean_pages_dropped.value();
  stats->pinned_pages = totals.pinned_pages.value();
  stats->lost_pages = totals.lost_pages.value();
  stats->demand_zero_latency = LatencyOf(totals, FaultKind::kDemandZero);
  stats->soft_latency = LatencyOf(totals, FaultKind::kSoft);
  stats->hard_latency = LatencyOf(totals, FaultKind::kHard);
  stats->write_protect_latency = LatencyOf(totals, FaultKind::kWriteProtect);
}

void CopyMemory(const Pager& pager, const CommitCharge& charge, userpager_stats* stats) {
  stats->memory_limit_bytes = BytesOf(pager.frames().limit());
  stats->resident_bytes = BytesOf(pager.frames().charged());
  stats->resident_bytes_peak = BytesOf(pager.frames().peak());
  stats->commit_bytes = BytesOf(charge.charged());
  stats->commit_limit_bytes = BytesOf(pager.CommitLimitMost());
  stats->commit_bytes_peak = BytesOf(charge.peak());
  stats->page_file_used_bytes = BytesOf(pager.page_file().used());
  stats->page_file_allocated_bytes = BytesOf(pager.page_file().usable());
  stats->page_file_max_bytes = BytesOf(pager.page_file().max_usable());
}

}  // namespace

Errno CollectStatistics(Runtime& runtime, userpager_stats* stats) {
  // Too large for the runtime's stacks.
  CounterTotals* totals = ArenaNew<CounterTotals>();
  if (totals == nullptr) return ENOMEM;
  const Pager& pager = runtime.pager();
  pager.CollectCounters(totals);
  stats->shards = runtime.options().shards;
  stats->commit = runtime.options().commit;
  stats->io = runtime.options().io;
  stats->uses_move = pager.uses_move() ? 1 : 0;
  stats->kernel_mode_faults = pager.features().kernel_faults ? 1 : 0;
  CopyCounters(*totals, stats);
  CopyMemory(pager, runtime.reservations().charge(), stats);
  ArenaDelete(totals);
  return 0;
}

}  // namespace userpager
