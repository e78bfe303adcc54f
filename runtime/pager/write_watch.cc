// Shard: MEM_WRITE_WATCH. A page of a watched stripe is mapped so that stores go unnoticed only
// while its PTE says that it was written; all others are write-protected, and the fault of the
// first store sets the bit. Whoever asks and forgets in one step holds the mutex from before the
// protection to after the bit: a store is either in the page before, and reported, or waits, and
// counts anew.
#include "runtime/base/check.h"
#include "runtime/base/sync_point.h"
#include "runtime/pager/shard.h"

namespace userpager {

void Shard::WatchWrites(Stripe& stripe) {
  LockHolder hold(mutex_);
  stripe.watches_writes = true;
}

size_t Shard::CollectWritten(Stripe& stripe, PageRange range, AfterCollecting after,
                             std::span<PageIndex> found, PageIndex* next) {
  size_t count = 0;
  PageRange left = range;
  while (!left.empty() && count < found.size()) {
    LockHolder hold(mutex_);
    const PageRange group = NextGroup(stripe, &left);
    PageIndex page = group.begin;
    for (; page < group.end && count < found.size(); ++page) {
      if (stripe.Load(page).written()) found[count++] = page;
    }
    USERPAGER_SYNC_POINT("write_watch:collected", AddressOf(group.begin));
    if (after == AfterCollecting::kForget) {
      ForgetWritesOfGroup(stripe, PageRange(group.begin, page));
    }
    if (page < group.end) left.begin = page;
  }
  *next = left.begin;
  return count;
}

void Shard::ForgetWrites(Stripe& stripe, PageRange range) {
  for (PageRange left = range; !left.empty();) {
    LockHolder hold(mutex_);
    ForgetWritesOfGroup(stripe, NextGroup(stripe, &left));
  }
}

// Of the pages that are mapped, those that do not count as written are protected already, so whole
// runs can be, up to a page that is held: a system call may be writing to it, which must not meet
// the protection and would not be noticed, so it counts as written still.
void Shard::ForgetWritesOfGroup(Stripe& stripe, PageRange group) {
  PageRange open;  // from the first to the last page that is open to stores
  for (PageIndex page = group.begin; page < group.end; ++page) {
    const Pte pte = stripe.Load(page);
    if (pte.holds() != 0) {
      CloseToStores(open);
      open = PageRange();
    }
    if (!pte.written() || pte.holds() != 0) continue;
    if (pte.mapped()) open = PageRange(open.empty() ? page : open.begin, page + PageCount(1));
    SetPte(stripe, page, pte.WithWritten(false));
  }
  CloseToStores(open);
}

void Shard::CloseToStores(PageRange range) {
  if (range.empty()) return;
  const Errno error = platform_.WriteProtect(range);
  USERPAGER_CHECK(error == 0, "pages could not be write-protected", error);
}

}  // namespace userpager
