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
  stats->fault_longest_wait_ns = totals.longest_wait.nanoseconds();
  stats->demand_zero_latency = LatencyOf(totals, FaultKind::kDemandZero);
  stats->soft_latency = LatencyOf(totals, FaultKind::kSoft);
  stats->hard_latency = LatencyOf(totals, FaultKind::kHard);
  stats->write_protect_latency = LatencyOf(totals, FaultKind::kWriteProtect);
}

uint64_t Bytes(const Gauge& pages) { return pages.load(std::memory_order_relaxed) << kPageShift; }

uint64_t Less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

void CopyGauges(const StatisticsPage& page, const StatisticsHead& head, userpager_stats* stats) {
  stats->memory_limit_bytes = Bytes(page.frames.limit);
  stats->resident_bytes = Bytes(page.frames.charged);
  stats->resident_bytes_peak = Bytes(page.frames.peak);
  stats->commit_bytes = Bytes(page.commit.charged);
  stats->commit_bytes_peak = Bytes(page.commit.peak);
  stats->page_file_used_bytes = Bytes(page.slots.used);
  stats->page_file_allocated_bytes = Bytes(page.slots.usable);
  stats->page_file_max_bytes = Less(Bytes(page.slots.most), Bytes(page.slots.bad));
  stats->page_file_discarded_bytes = Bytes(page.slots.discarded);
  const PageCount limit(stats->memory_limit_bytes >> kPageShift);
  const uint64_t held_back = BytesOf(Pager::HeldBack(limit, head.shards, head.encrypts != 0));
  stats->commit_limit_bytes =
      Less(stats->memory_limit_bytes, held_back) + stats->page_file_max_bytes;
}

}  // namespace

void AddUpCounters(const StatisticsPage& page, uint32_t shards, CounterTotals* totals) {
  for (uint32_t i = 0; i < shards; ++i) AddCounters(page.shards[i].counters, totals);
}

void FillStatistics(const StatisticsPage& page, const StatisticsHead& head,
                    const CounterTotals& totals, userpager_stats* stats) {
  stats->shards = head.shards;
  stats->commit = static_cast<userpager_commit_mode>(head.commit);
  stats->io = static_cast<userpager_io_engine>(head.io);
  stats->uses_move = head.uses_move;
  stats->kernel_mode_faults = head.kernel_mode_faults;
  CopyCounters(totals, stats);
  CopyGauges(page, head, stats);
}

Errno CollectStatistics(Runtime& runtime, userpager_stats* stats) {
  // Too large for the runtime's stacks.
  CounterTotals* totals = ArenaNew<CounterTotals>();
  if (totals == nullptr) return ENOMEM;
  runtime.pager().CollectCounters(totals);
  FillStatistics(runtime.page(), runtime.page().head, *totals, stats);
  ArenaDelete(totals);
  return 0;
}

}  // namespace userpager
