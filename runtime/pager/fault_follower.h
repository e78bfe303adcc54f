// FaultFollower: keeps a shard's thread on the CPU of the thread whose faults it answers. Waking
// another CPU that went idle is the largest part of a fault's cost on a virtual machine: answered
// from the same CPU, a fault costs a context switch. That pays while faults are answered one page
// at a time for one thread; where several threads fault in turn, or each answer brings many pages,
// or the thread is to keep apart (IdleWay::kSpin), the scheduler places it, and work overlaps.
#ifndef USERPAGER_PAGER_FAULT_FOLLOWER_H_
#define USERPAGER_PAGER_FAULT_FOLLOWER_H_

#include <cstdint>
#include <utility>

#include "runtime/platform/thread_place.h"

namespace userpager {

class FaultFollower {
 public:
  // By the shard's thread, as everything here.
  void Init() { place_.Init(); }

  // After each turn that answered faults: the thread of the first of them, how many pages the shard
  // has installed since it began, and whether the thread is to keep apart from the faulting one.
  void OnFaults(uint32_t thread_id, uint64_t installed_pages, bool apart) {
    if (thread_id != last_thread_) ++changes_;
    last_thread_ = thread_id;
    const bool as_before = apart == std::exchange(apart_, apart);
    if (++turns_ >= kTurns) {
      for_one_thread_ = changes_ <= kFewChanges;
      one_by_one_ = installed_pages - installed_before_ <= kFewPages * kTurns;
      installed_before_ = installed_pages;
      turns_ = 0;
      changes_ = 0;
    } else if (as_before) {
      return;
    }
    if (for_one_thread_ && one_by_one_ && !apart) {
      place_.BindTo(CpuOfThread(thread_id));
    } else {
      place_.Release();
    }
  }

  // Whether the last faults were answered one page at a time.
  bool one_by_one() const { return one_by_one_; }

 private:
  // A look at where the thread is costs some microseconds, shared by so many turns.
  static constexpr unsigned kTurns = 32;
  static constexpr unsigned kFewChanges = 4;
  static constexpr uint64_t kFewPages = 4;

  ThreadPlace place_;
  uint32_t last_thread_ = 0;
  unsigned turns_ = 0;
  unsigned changes_ = 0;
  bool for_one_thread_ = false;
  bool one_by_one_ = false;
  bool apart_ = false;
  uint64_t installed_before_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_FAULT_FOLLOWER_H_
