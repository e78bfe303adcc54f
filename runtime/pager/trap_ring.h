// TrapRing: the pages that were made to fault in the kernel, so that the program gets its SIGSEGV,
// in order of age. Their number is bounded: the oldest trap is removed, and a later touch traps
// again.
#ifndef USERPAGER_PAGER_TRAP_RING_H_
#define USERPAGER_PAGER_TRAP_RING_H_

#include <array>

#include "runtime/base/types.h"

namespace userpager {

class TrapRing {
 public:
  static constexpr unsigned kCapacity = 256;

  // Adds a page; the one that had to make room, or PageIndex(0). Pages whose trap is gone already
  // may still be in the ring: the caller looks at the PTE.
  PageIndex Push(PageIndex page) {
    const PageIndex removed = pages_[next_];
    pages_[next_] = page;
    next_ = (next_ + 1) % kCapacity;
    return removed;
  }

 private:
  std::array<PageIndex, kCapacity> pages_{};
  unsigned next_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_TRAP_RING_H_
