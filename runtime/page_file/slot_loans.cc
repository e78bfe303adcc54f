#include "runtime/page_file/slot_loans.h"

#include <errno.h>

#include <utility>

#include "runtime/platform/descriptors.h"
#include "runtime/platform/life_line.h"

namespace userpager {

Errno SlotLoans::Add(ArenaArray<uint64_t> slots, uint64_t count, int life_line) {
  if (count_ == kMost) return EAGAIN;
  Loan* loan = ArenaNew<Loan>();
  if (loan == nullptr) return ENOMEM;
  loan->slots = std::move(slots);
  loan->life_line = life_line;
  loan->count = count;
  loan->next = first_;
  first_ = loan;
  ++count_;
  slots_ += count;
  return 0;
}

uint64_t SlotLoans::Lent(uint64_t word) const {
  uint64_t lent = 0;
  for (const Loan* loan = first_; loan != nullptr; loan = loan->next) {
    // The file may have grown since.
    if (word < loan->slots.size()) lent |= loan->slots[word];
  }
  return lent;
}

bool SlotLoans::TakeEnded(ArenaArray<uint64_t>* slots) {
  for (Loan** link = &first_; *link != nullptr; link = &(*link)->next) {
    Loan* loan = *link;
    if (!LifeLine::HasEnded(loan->life_line)) continue;
    *link = loan->next;
    --count_;
    slots_ -= loan->count;
    *slots = std::move(loan->slots);
    Descriptors::Close(loan->life_line);
    ArenaDelete(loan);
    return true;
  }
  return false;
}

void SlotLoans::ForgetInChild() {
  while (first_ != nullptr) ArenaDelete(std::exchange(first_, first_->next));
  count_ = 0;
  slots_ = 0;
}

}  // namespace userpager
