// FaultFollower: keeps a shard's thread on the CPU of the thread whose faults it answers. Waking
// another CPU that went idle is the largest part of a fault's cost on a virtual machine: answered
// from the same CPU, a fault costs a context switch. That pays while faults are answered one page
// at a time for one thread; where several threads fault in turn, or each answer brings many pages,
// the scheduler places the thread, and work overlaps.
#ifndef USERPAGER_PAGER_FAULT_FOLLOWER_H_
#define USERPAGER_PAGER_FAULT_FOLLOWER_H_

#include <cstdint>

#include "runtime/platform/thread_place.h"

namespace userpager {

class FaultFollower {
 public:
  // By the shard's thread, as everything here.
  void Init() { place_.Init(); }

  // After each turn that answered faults: the thread of the first of them, and how many pages the
  // shard has installed since it began.
  void OnFaults(uint32_t thread_id, uint64_t installed_pages) {
    if (thread_id != last_thread_) ++changes_;
    last_thread_ = thread_id;
    if (++turns_ < kTurns) return;
    const bool one_by_one = installed_pages - installed_before_ <= kFewPages * kTurns;
    if (changes_ <= kFewChanges && one_by_one) {
      place_.BindTo(CpuOfThread(thread_id));
    } else {
      place_.Release();
    }
    installed_before_ = installed_pages;
    turns_ = 0;
    changes_ = 0;
  }

 private:
  // A look at where the thread is costs some microseconds, shared by so many turns.
  static constexpr unsigned kTurns = 32;
  static constexpr unsigned kFewChanges = 4;
  static constexpr uint64_t kFewPages = 4;

  ThreadPlace place_;
  uint32_t last_thread_ = 0;
  unsigned turns_ = 0;
  unsigned changes_ = 0;
  uint64_t installed_before_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_FAULT_FOLLOWER_H_
