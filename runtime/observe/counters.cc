#include "runtime/observe/counters.h"

namespace userpager {

void AddCounters(const Counters& shard, CounterTotals* totals) {
  static constexpr Counter Counters::*kPlain[] = {
      &Counters::access_violations,  &Counters::stale_messages,      &Counters::pages_in,
      &Counters::pages_out,          &Counters::file_reads,          &Counters::file_writes,
      &Counters::file_read_bytes,    &Counters::file_write_bytes,    &Counters::file_read_errors,
      &Counters::file_write_errors,  &Counters::ahead_pages,         &Counters::ahead_pages_used,
      &Counters::zero_pages_dropped, &Counters::clean_pages_dropped, &Counters::pinned_pages,
      &Counters::lost_pages,         &Counters::queued_faults,       &Counters::zero_pages,
  };
  for (const auto member : kPlain) (totals->*member).Add((shard.*member).value());
  totals->longest_wait.Note(shard.longest_wait.nanoseconds());
  for (unsigned kind = 0; kind < kFaultKindCount; ++kind) {
    totals->faults[kind].Add(shard.faults[kind].value());
    totals->latency[kind].Add(shard.latency[kind]);
  }
}

}  // namespace userpager
