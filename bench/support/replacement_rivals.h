// What a trace costs under replacement policies that see every access, which no pager without
// accessed bits does: the measure for those of the runtime.
#ifndef USERPAGER_BENCH_SUPPORT_REPLACEMENT_RIVALS_H_
#define USERPAGER_BENCH_SUPPORT_REPLACEMENT_RIVALS_H_

#include <cstdint>

#include "bench/support/access_trace.h"

namespace userpager::bench {

struct TraceCost {
  uint64_t misses = 0;       // counted touches of pages that were not in memory
  uint64_t soft_faults = 0;  // counted touches of pages that were parked
};

// Of the pages in memory the one goes that is needed last (L. Belady, IBM Systems Journal 5, 1966):
// nothing can have fewer misses. Pages that the uncounted accesses bring are not chosen so, but
// leave in the order they came, as with any policy that has nothing else to go by.
TraceCost RunOptimal(const AccessTrace& trace, uint32_t memory);
// The one that was used least recently.
TraceCost RunLru(const AccessTrace& trace, uint32_t memory);
// The one that was used least often since the beginning, of these the least recently used. Its
// counts are never forgotten, not even of pages that are out: what can be known of popularity.
TraceCost RunLfu(const AccessTrace& trace, uint32_t memory);
// The one that came first and has no reference bit, which every touch sets.
TraceCost RunClock(const AccessTrace& trace, uint32_t memory);
// The one that came first.
TraceCost RunFifo(const AccessTrace& trace, uint32_t memory);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_REPLACEMENT_RIVALS_H_
