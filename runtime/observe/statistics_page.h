// StatisticsPage: all counters and gauges of one process's runtime, where other processes can read
// them. The runtime counts in the page itself, so it is as exact as the counters are at any moment,
// also of a process that is idle, busy, stopped or on its way out; nothing is copied, and nobody
// is woken for a reader.
//
// Who may do what:  the runtime writes; others map it for reading (platform/shared_memory.h sees to
//                   it that they can do nothing else, and that the mapping never shrinks).
// A reader          takes nothing for granted: it checks the head (IsReadable), copies it, bounds
//                   what it indexes by, and reads every number with one atomic load.
// Requests          come in the announcement file, which is how the page is found, and are answered
//                   in the page. `wake` is a futex that nobody changes: who has written a request
//                   wakes it until the request is answered.
#ifndef USERPAGER_OBSERVE_STATISTICS_PAGE_H_
#define USERPAGER_OBSERVE_STATISTICS_PAGE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/observe/counters.h"
#include "runtime/observe/fault_samples.h"
#include "runtime/observe/gauges.h"

namespace userpager {

// What tells a reader whether it understands the page. It changes with every change of the layout.
struct StatisticsHead {
  static constexpr uint64_t kMagic = 0x7374617473707075;  // "uppstats"
  static constexpr uint32_t kVersion = 3;
  static constexpr uint32_t kMostShards = 64;

  uint64_t magic = 0;
  uint32_t version = 0;
  uint32_t counters_bytes = 0;  // sizeof(Counters)
  uint64_t page_bytes = 0;      // of the whole page
  uint32_t shards = 0;
  // As in userpager_stats.
  uint32_t commit = 0;
  uint32_t io = 0;
  uint32_t uses_move = 0;
  uint32_t kernel_mode_faults = 0;
  uint32_t encrypts = 0;  // what is written to the page file
};

// What became of a request.
struct LimitAnswer {
  static constexpr size_t kTextBytes = 1000;

  std::atomic<uint64_t> begun{0};     // the number of the request that is or was worked on last
  std::atomic<uint64_t> answered{0};  // the same, when the rest of the answer is complete
  std::atomic<int64_t> result{0};     // 0, or a userpager_error
  char text[kTextBytes] = {};         // the line that says why; ends with a zero byte
};

struct StatisticsPage {
  StatisticsHead head;
  std::atomic<uint32_t> wake{0};
  std::atomic<uint32_t> limit_is_fixed{0};  // 1: no thread is there to answer requests
  LimitAnswer limit_answer;
  alignas(64) FrameGauges frames;
  alignas(64) CommitGauges commit;
  alignas(64) SlotGauges slots;
  // Of each shard. Memory that is not touched costs nothing.
  struct alignas(64) ShardCounters {
    Counters counters;
    FaultSamples samples;
  } shards[StatisticsHead::kMostShards];

  static constexpr uint64_t BytesFor(uint32_t shards) {
    return offsetof(StatisticsPage, shards) + uint64_t{shards} * sizeof(ShardCounters);
  }
  // Whether a reader with a mapping of so many bytes understands a page with this head.
  static bool IsReadable(const StatisticsHead& head, uint64_t bytes) {
    return bytes >= sizeof head && head.magic == StatisticsHead::kMagic &&
           head.version == StatisticsHead::kVersion && head.counters_bytes == sizeof(Counters) &&
           head.shards >= 1 && head.shards <= StatisticsHead::kMostShards &&
           head.page_bytes == BytesFor(head.shards) && bytes >= head.page_bytes;
  }
};

// The content of the announcement file: where the page is, and room for a request.
struct Announcement {
  static constexpr uint64_t kMagic = 0x6e61656761707075;  // "uppagean"
  static constexpr uint32_t kVersion = 1;

  uint64_t magic = 0;
  uint32_t version = 0;
  int32_t process = 0;         // as the process knows itself
  uint64_t start_ticks = 0;    // field 22 of /proc/PID/stat: when it began
  uint64_t page_device = 0;    // what fstat says of the page's descriptor
  uint64_t page_inode = 0;
  int32_t page_descriptor = 0;  // of the process
  uint32_t zero = 0;
  // A request to change the memory limit; number 0: none.
  uint64_t limit_request = 0;
  uint64_t limit_bytes = 0;

  bool IsReadable() const { return magic == kMagic && version == kVersion; }
};

}  // namespace userpager

#endif  // USERPAGER_OBSERVE_STATISTICS_PAGE_H_
