// Counters: what one shard has done. Each is written by one thread at a time (under the shard's
// mutex) and read by any: statistics are sums over shards, each number exact, the set of them not
// taken at one instant.
#ifndef USERPAGER_OBSERVE_COUNTERS_H_
#define USERPAGER_OBSERVE_COUNTERS_H_

#include <atomic>
#include <cstdint>

#include "runtime/observe/latency_histogram.h"

namespace userpager {

class Counter {
 public:
  void Add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  Counter& operator++() {
    Add(1);
    return *this;
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// The longest of many waits.
class LongestWait {
 public:
  void Note(uint64_t nanoseconds) {
    if (nanoseconds > this->nanoseconds()) value_.store(nanoseconds, std::memory_order_relaxed);
  }
  uint64_t nanoseconds() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

enum class FaultKind : uint8_t { kDemandZero, kSoft, kHard, kWriteProtect };
inline constexpr unsigned kFaultKindCount = 4;

struct Counters {
  Counter faults[kFaultKindCount];   // answered, by kind
  Counter access_violations;         // touches that the page's state or protection forbids
  Counter stale_messages;            // of the kernel, about a page that needs nothing any more
  Counter pages_in;                  // read from the page file and installed
  Counter pages_out;                 // written to the page file
  Counter file_reads;                // requests
  Counter file_writes;
  Counter file_read_bytes;
  Counter file_write_bytes;
  Counter file_read_errors;          // requests that failed, came short or failed their checksum
  Counter file_write_errors;
  Counter ahead_pages;               // read ahead of demand
  Counter ahead_pages_used;          // of these, known to have been used
  Counter zero_pages;                // installed on their first touch, or beside one
  Counter zero_pages_dropped;        // paged out as zeros, without a slot
  Counter clean_pages_dropped;       // left memory without a write
  Counter pinned_pages;              // that could not be paged out because something pins them
  Counter lost_pages;                // that the page file failed to give back
  Counter queued_faults;             // that had to wait for memory
  LatencyHistogram latency[kFaultKindCount];  // from message to answer
  LongestWait longest_wait;  // of all faults, also of those that no histogram has
};

// The sums over all shards have the same shape.
using CounterTotals = Counters;
void AddCounters(const Counters& shard, CounterTotals* totals);

}  // namespace userpager

#endif  // USERPAGER_OBSERVE_COUNTERS_H_
