#include "runtime/observe/trace_ring.h"

#include <errno.h>

#include <algorithm>
#include <bit>

#include "runtime/base/check.h"

namespace userpager {

Errno TraceRing::Init(size_t events) {
  USERPAGER_CHECK(std::has_single_bit(events), "a trace ring's size is no power of two", events);
  events_ = ArenaArray<TraceEvent>(events);
  return events_.ok() ? 0 : ENOMEM;
}

std::span<const TraceEvent> TraceRing::Peek() const {
  const uint64_t tail = tail_.load(std::memory_order_relaxed);
  const uint64_t count = head_.load(std::memory_order_acquire) - tail;
  if (count == 0) return {};
  const size_t first = tail & (events_.size() - 1);
  return {events_.data() + first, std::min<size_t>(count, events_.size() - first)};
}

}  // namespace userpager
