// TraceRing: the events of one shard on their way to the trace file. Who holds the shard's mutex
// adds, the recording's thread takes; neither ever waits for the other. An event that finds no room
// is counted and gone.
#ifndef USERPAGER_OBSERVE_TRACE_RING_H_
#define USERPAGER_OBSERVE_TRACE_RING_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/arena.h"
#include "runtime/base/types.h"
#include "runtime/observe/trace_format.h"

namespace userpager {

class TraceRing {
 public:
  // Room for as many events, a power of two. ENOMEM: there is none.
  Errno Init(size_t events);

  // One caller at a time.
  void Add(const TraceEvent& event) {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) == events_.size()) {
      dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return;
    }
    events_[head & (events_.size() - 1)] = event;
    head_.store(head + 1, std::memory_order_release);
  }

  // The taker's: the oldest events, as far as they lie together. They stay until Consume.
  std::span<const TraceEvent> Peek() const;
  void Consume(size_t events) {
    tail_.store(tail_.load(std::memory_order_relaxed) + events, std::memory_order_release);
  }

  // Events that found no room. From any thread.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  ArenaArray<TraceEvent> events_;
  std::atomic<uint64_t> head_{0};  // events added so far
  std::atomic<uint64_t> dropped_{0};
  alignas(64) std::atomic<uint64_t> tail_{0};  // events taken so far
};

}  // namespace userpager

#endif  // USERPAGER_OBSERVE_TRACE_RING_H_
