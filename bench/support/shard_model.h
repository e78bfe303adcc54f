// ShardModel: runs a trace through a replacement policy of the runtime as a shard does, with the
// policy's own code and the frame table's. It sees what a shard sees: touches of pages that are not
// in memory (misses) and of pages that are parked (soft faults), and no others.
//
// Left out: time (what page-out does, it does at once, and waits for no disk), writes (every page
// is clean), readahead and the second shard.
#ifndef USERPAGER_BENCH_SUPPORT_SHARD_MODEL_H_
#define USERPAGER_BENCH_SUPPORT_SHARD_MODEL_H_

#include <vector>

#include "bench/support/replacement_rivals.h"
#include "runtime/frames/standby_lists.h"
#include "runtime/policy/replacement_choice.h"

namespace userpager::bench {

class ShardModel {
 public:
  // `memory`: the limit, in pages.
  ShardModel(ReplacementKind kind, const AccessTrace& trace, uint32_t memory);

  TraceCost Run();

 private:
  enum class State : uint8_t { kOut, kMapped, kParked };
  struct Page {
    State state = State::kOut;
    bool was_in_memory = false;
    FrameIndex frame;
    PageHistory history;
  };

  void Rescue(uint32_t number);
  void BringIn(uint32_t number);
  // As Shard::Balance and what it calls.
  void Balance();
  uint64_t Wanted() const;
  uint64_t ToBeParked();
  void Drop();
  void EarnParking(uint64_t dropped);
  enum class Victims : uint8_t { kAll, kDroppedFirst };
  bool Trim(uint64_t goal, Victims victims);
  void ParkRun(uint32_t first, uint32_t end);
  void DropRun(uint32_t first, uint32_t end);
  bool LeavesWith(uint32_t neighbour, FrameIndex victim) const;

  const AccessTrace& trace_;
  const uint64_t memory_;
  const uint64_t low_;  // watermarks of free memory
  const uint64_t high_;
  FrameTable frames_;
  ReplacementChoice policy_;
  StandbyLists standby_;
  UnmappedPages unmapped_;
  uint64_t park_credit_ = 0;
  std::vector<Page> pages_;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_SHARD_MODEL_H_
