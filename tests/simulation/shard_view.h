// ShardTestPeer: what the auditor sees of a shard's own structures, between two steps of it.
#ifndef USERPAGER_TESTS_SIMULATION_SHARD_VIEW_H_
#define USERPAGER_TESTS_SIMULATION_SHARD_VIEW_H_

#include "runtime/pager/shard.h"

namespace userpager {

// One thread runs a simulation, so no lock is needed.
class ShardTestPeer {
 public:
  static const Frame& FrameOf(Shard& shard, FrameIndex frame) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return shard.frames_[frame];
  }
  static PageIndex ParkedAt(Shard& shard, FrameIndex frame) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return shard.ParkedAt(shard.frames_[frame]);
  }
  // Pages that are charged for the shard.
  static PageCount Charged(Shard& shard) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return shard.frames_.in_use() + shard.reading_pages_ + shard.buffer_pages_;
  }
  static TransferTable& Transfers(Shard& shard) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return shard.transfers_;
  }
};

}  // namespace userpager

#endif  // USERPAGER_TESTS_SIMULATION_SHARD_VIEW_H_
