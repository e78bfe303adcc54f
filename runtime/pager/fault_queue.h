// FaultQueue: faults that wait for memory, first come first served. A page is in it once at most
// (its PTE's `queued` bit), so a flood of messages about one page cannot fill it. Where it is full
// all the same, the caller wakes the thread, which asks again: slow, and right.
#ifndef USERPAGER_PAGER_FAULT_QUEUE_H_
#define USERPAGER_PAGER_FAULT_QUEUE_H_

#include <array>
#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

struct QueuedFault {
  PageIndex page;
  bool write = false;
  uint32_t thread_id = 0;
  uint64_t seen_ns = 0;
};

class FaultQueue {
 public:
  static constexpr unsigned kCapacity = 1024;

  bool full() const { return count_ == kCapacity; }
  bool empty() const { return count_ == 0; }
  unsigned count() const { return count_; }
  void Push(const QueuedFault& fault) {
    faults_[(first_ + count_) % kCapacity] = fault;
    ++count_;
  }
  const QueuedFault& front() const { return faults_[first_]; }
  void PopFront() {
    first_ = (first_ + 1) % kCapacity;
    --count_;
  }

 private:
  std::array<QueuedFault, kCapacity> faults_;
  unsigned first_ = 0;
  unsigned count_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_FAULT_QUEUE_H_
