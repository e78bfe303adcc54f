// Statistics: userpager_stats filled from the counters of all shards, the frame ledger, the commit
// charge and the page file.
#ifndef USERPAGER_API_STATISTICS_H_
#define USERPAGER_API_STATISTICS_H_

#include <userpager/userpager.h>

#include "runtime/base/types.h"
#include "runtime/api/runtime.h"
#include "runtime/observe/statistics_page.h"

namespace userpager {

// Fills everything but struct_bytes from a page of this or another process, which need not make
// sense, a copy of its head that was checked (IsReadable), and the sums of its counters.
void FillStatistics(const StatisticsPage& page, const StatisticsHead& head,
                    const CounterTotals& totals, userpager_stats* stats);
// The sums of the counters of the page's first shards. `totals` is all zeros.
void AddUpCounters(const StatisticsPage& page, uint32_t shards, CounterTotals* totals);

// Fills everything but struct_bytes. ENOMEM: no memory to add the counters up in.
Errno CollectStatistics(Runtime& runtime, userpager_stats* stats);

}  // namespace userpager

#endif  // USERPAGER_API_STATISTICS_H_
