// SlotLoans: the slots that forked children may read. Each child that was forked while slots were
// in use has a loan of them; it lasts until the child, and whoever has inherited the loan from it,
// has let go (LifeLine).
//
// Not thread-safe: the slot map's lock covers it.
#ifndef USERPAGER_PAGE_FILE_SLOT_LOANS_H_
#define USERPAGER_PAGE_FILE_SLOT_LOANS_H_

#include <cstdint>

#include "runtime/base/arena.h"
#include "runtime/base/types.h"

namespace userpager {

class SlotLoans {
 public:
  // The most at a time.
  static constexpr unsigned kMost = 256;

  // One bit a slot, in words of 64, `count` of them set. Takes the watched end of the life line.
  // EAGAIN: there are kMost loans. ENOMEM.
  Errno Add(ArenaArray<uint64_t> slots, uint64_t count, int life_line);
  // Which slots of a word are lent to anybody.
  uint64_t Lent(uint64_t word) const;
  // Removes a loan whose borrowers are gone, and gives its slots. False: there is none.
  bool TakeEnded(ArenaArray<uint64_t>* slots);
  // In a forked child, whose parent's loans are not its own, and whose descriptors of them are
  // closed.
  void ForgetInChild();
  unsigned count() const { return count_; }
  // The slots of all loans together; one that is lent twice counts twice.
  uint64_t slots() const { return slots_; }

 private:
  struct Loan {
    ArenaArray<uint64_t> slots;
    int life_line = -1;
    uint64_t count = 0;
    Loan* next = nullptr;
  };

  Loan* first_ = nullptr;
  unsigned count_ = 0;
  uint64_t slots_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_SLOT_LOANS_H_
