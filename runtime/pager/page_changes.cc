// Shard: what API calls do to pages, in their own threads, under the shard's mutex. Long ranges go
// group by group, so that faults get their turn.
#include <errno.h>

#include <algorithm>
#include <bit>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/sync_point.h"
#include "runtime/pager/shard.h"
#include "runtime/platform/address_map.h"

namespace userpager {

Errno Shard::AddStripe(Stripe* stripe) {
  LockHolder hold(mutex_);
  const Errno error = stripes_.Insert(stripe->range, stripe);
  if (error == 0) trace_.Add(TraceKind::kReserved, stripe->range, NowNanoseconds());
  return error;
}

// Two passes over what was touched: the first lets faults have their turn in between, the second
// and the removal are one step.
bool Shard::RemoveStripe(Stripe* stripe, PageRange space, SpaceAfter after) {
  const PageRange all = stripe->range;
  PageIndex page = stripe->NextTouched(all.begin, all.end);
  while (page < all.end) {
    const PageRange group = GroupOf(*stripe, page, all);
    {
      LockHolder hold(mutex_);
      DecommitGroup(*stripe, group);
    }
    page = stripe->NextTouched(group.end, all.end);
  }
  LockHolder hold(mutex_);
  for (page = stripe->NextTouched(all.begin, all.end); page < all.end;) {
    const PageRange group = GroupOf(*stripe, page, all);
    DecommitGroup(*stripe, group);
    page = stripe->NextTouched(group.end, all.end);
  }
  trace_.Add(TraceKind::kReleased, all, NowNanoseconds());
  USERPAGER_SYNC_POINT("release:before_unmap", AddressOf(all.begin));
  const Errno error = after == SpaceAfter::kHeld ? HoldAddressSpace(space) : Unmap(space);
  USERPAGER_CHECK(error == 0 || (error == ENOMEM && after == SpaceAfter::kUnmapped),
                  "a reservation could not be unmapped (ENOMEM: too many mappings;"
                  " raise vm.max_map_count)", error);
  if (error == 0) {
    Stripe* removed = stripes_.Erase(all.begin);
    USERPAGER_CHECK(removed == stripe, "a stripe was removed that the shard does not have",
                    AddressOf(all.begin));
    releases_.fetch_add(1, std::memory_order_relaxed);
  }
  // Unmapping leaves waiters asleep: they look again, and find nothing.
  platform_.Wake(all);
  return error == 0;
}

Errno Shard::HidePages(Stripe& stripe, PageRange range) {
  PageIndex page = stripe.NextTouched(range.begin, range.end);
  while (page < range.end) {
    const PageRange group = GroupOf(stripe, page, range);
    LockHolder hold(mutex_);
    for (PageIndex p = group.begin; p < group.end; ++p) {
      const Pte pte = stripe.Load(p);
      if (!pte.mapped()) continue;
      if (Park(stripe, PageRange(p, PageCount(1))).value() == 0 && !HideInPlace(stripe, p)) {
        return ENOMEM;
      }
    }
    page = stripe.NextTouched(group.end, range.end);
  }
  return 0;
}

void Shard::UnhidePages(Stripe& stripe, PageRange range) {
  PageIndex page = stripe.NextTouched(range.begin, range.end);
  while (page < range.end) {
    const PageRange group = GroupOf(stripe, page, range);
    LockHolder hold(mutex_);
    for (PageIndex p = group.begin; p < group.end; ++p) {
      if (stripe.Load(p).mapped()) Untrap(stripe, p);
    }
    page = stripe.NextTouched(group.end, range.end);
  }
}

void Shard::SetProtection(Stripe& stripe, PageRange range, Protection protection, bool commit) {
  PageIndex page = range.begin;
  while (page < range.end) {
    const PageRange group = GroupOf(stripe, page, range);
    LockHolder hold(mutex_);
    bool mapped = false;
    for (PageIndex p = group.begin; p < group.end; ++p) {
      const Pte pte = stripe.Load(p);
      USERPAGER_CHECK(commit || pte.committed(), "a reserved page was to be protected",
                      AddressOf(p));
      mapped |= pte.mapped();
      ProtectPage(stripe, p, protection);
    }
    if (mapped && protection.AllowsAccess() && !protection.AllowsWrite()) {
      const Errno error = platform_.WriteProtect(group);
      USERPAGER_CHECK(error == 0, "pages could not be write-protected", error);
    }
    page = group.end;
  }
}

void Shard::ProtectPage(Stripe& stripe, PageIndex page, Protection protection) {
  const Pte before = stripe.Load(page);
  if (!before.committed()) {
    Untrap(stripe, page);
    SetPte(stripe, page, Pte(PageState::kDemandZero, protection));
    return;
  }
  if (!protection.AllowsAccess() && before.mapped()) {
    // It came back between HidePages and now.
    const bool hidden = Park(stripe, PageRange(page, PageCount(1))).value() == 1 ||
                        HideInPlace(stripe, page);
    USERPAGER_CHECK(hidden, "a page could not be made inaccessible (too many mappings; raise"
                    " vm.max_map_count)", AddressOf(page));
  }
  Pte pte = stripe.Load(page).With(protection);
  if (!protection.AllowsAccess()) pte = pte.WithLocked(false).WithHolds(0);
  KeepPage(stripe, page, pte);
  Untrap(stripe, page);
  if (pte.state() == PageState::kActiveDirty && stripe.OpensToStores(pte) &&
      !before.protection().AllowsWrite()) {
    LiftProtection(PageRange(page, PageCount(1)));
  }
}

void Shard::DecommitPages(Stripe& stripe, PageRange range) {
  // Untouched pages of a reservation that began committed must be marked; others are reserved.
  const bool marks_untouched = stripe.default_pte.committed();
  PageIndex page = marks_untouched ? range.begin : stripe.NextTouched(range.begin, range.end);
  while (page < range.end) {
    const PageRange group = GroupOf(stripe, page, range);
    LockHolder hold(mutex_);
    DecommitGroup(stripe, group);
    page = marks_untouched ? group.end : stripe.NextTouched(group.end, range.end);
  }
}

// First the kernel lets go of the pages, then their charges and slots go back: in the other order
// somebody else's page would be resident beside them.
void Shard::DecommitGroup(Stripe& stripe, PageRange range) {
  bool mapped = false;
  bool waited = false;
  for (PageIndex page = range.begin; page < range.end; ++page) {
    Pte pte = stripe.Load(page);
    if (pte.trapped()) {
      if (pte.mapped()) {
        // Also a page that was hidden in place opens again; it is discarded below.
        SetPte(stripe, page,
               pte.WithOffered(false).With(Protection{BaseProtection::kReadWrite}));
      }
      Untrap(stripe, page);
      pte = stripe.Load(page);
    }
    mapped |= pte.mapped();
    waited |= pte.queued() || pte.state() == PageState::kReading;
    if (pte.state() == PageState::kLost) {
      const Errno error = platform_.Unpoison(page);
      USERPAGER_CHECK(error == 0, "a lost page could not be decommitted", error);
    }
  }
  if (mapped) {
    const Errno error = platform_.Discard(range);
    USERPAGER_CHECK(error == 0, "pages could not be discarded", error);
  }
  USERPAGER_SYNC_POINT("decommit:discarded", AddressOf(range.begin));
  for (PageIndex page = range.begin; page < range.end; ++page) ForgetPage(stripe, page);
  (void)DropDiscarded();
  if (waited) platform_.Wake(range);
}

// Gives back what the page has. The kernel has no page at its address any more. What a transfer
// owns goes back at its completion.
void Shard::ForgetPage(Stripe& stripe, PageIndex page) {
  const Pte pte = stripe.Load(page);
  switch (pte.state()) {
    case PageState::kActiveClean:
    case PageState::kActiveDirty: {
      const FrameIndex frame = pte.frame();
      if (frames_[frame].slot != kNoSlot) page_file_.Free(frames_[frame].slot, PageCount(1));
      (void)LeaveWorkingSet(frame, pte);
      if (!LeaveToWrite(page, frame)) ReleaseFrame(frame);
      break;
    }
    case PageState::kModified:
    case PageState::kStandby:
    case PageState::kOffered: {
      const FrameIndex frame = pte.frame();
      RemoveParked(frame);
      if (frames_[frame].slot != kNoSlot) page_file_.Free(frames_[frame].slot, PageCount(1));
      frames_[frame].slot = kNoSlot;
      discard_.PushYoungest(frames_, frame);
      break;
    }
    case PageState::kWritingInPlace:
      USERPAGER_CHECK(LeaveToWrite(page, pte.frame()), "a page is being written by no transfer",
                      AddressOf(page));
      break;
    case PageState::kPagedOut:
      page_file_.Free(pte.slot(), PageCount(1));
      break;
    case PageState::kReserved:
    case PageState::kDemandZero:
    case PageState::kReading:
    case PageState::kWriting:
    case PageState::kLost:
      break;
  }
  if (pte.committed()) SetPte(stripe, page, Pte(PageState::kReserved, Protection{}));
}

// Stores a PTE in which nothing that lists depend on is new but what keeps the page in memory. A
// page that is being written in place enters the working set when that is done.
void Shard::KeepPage(Stripe& stripe, PageIndex page, Pte kept) {
  const Pte before = stripe.Load(page);
  if (kept == before) return;
  SetPte(stripe, page, kept);
  if (kept.stays() == before.stays() || !kept.mapped()) return;
  if (kept.stays()) {
    (void)LeaveWorkingSet(kept.frame(), kept);
  } else if (kept.state() != PageState::kWritingInPlace) {
    EnterWorkingSet(kept.frame(), kept, Arrival::kReturned);
  }
}

void Shard::LockPages(Stripe& stripe, PageRange range) {
  LockHolder hold(mutex_);
  for (PageIndex page = range.begin; page < range.end; ++page) {
    KeepPage(stripe, page, stripe.Load(page).WithLocked(true));
  }
}

bool Shard::AllLocked(Stripe& stripe, PageRange range) {
  LockHolder hold(mutex_);
  for (PageIndex page = range.begin; page < range.end; ++page) {
    if (!stripe.Load(page).locked()) return false;
  }
  return true;
}

void Shard::UnlockPages(Stripe& stripe, PageRange range) {
  LockHolder hold(mutex_);
  for (PageIndex page = range.begin; page < range.end; ++page) {
    KeepPage(stripe, page, stripe.Load(page).WithLocked(false));
  }
}

// The touched bits are looked at with the mutex held: a thread that has just been given its first
// page may ask before they say so.
PageRange Shard::NextGroup(const Stripe& stripe, PageRange* left) {
  left->begin = stripe.NextTouched(left->begin, left->end);
  const PageRange group = left->empty() ? PageRange(left->end, left->end)
                                        : GroupOf(stripe, left->begin, *left);
  left->begin = group.end;
  return group;
}

PageRange Shard::ReadPtes(const Stripe& stripe, PageRange range, std::span<Pte> ptes) {
  LockHolder hold(mutex_);
  const PageIndex begin = std::min(stripe.NextTouched(range.begin, range.end), range.end);
  const PageRange read(begin, std::min(range.end, begin + PageCount(ptes.size())));
  for (PageIndex page = read.begin; page < read.end; ++page) {
    ptes[(page - read.begin).value()] = stripe.Load(page);
  }
  return read;
}

void Shard::TrimPages(Stripe& stripe, PageRange range) {
  for (PageRange left = range; !left.empty();) {
    LockHolder hold(mutex_);
    const PageRange group = NextGroup(stripe, &left);
    for (PageIndex p = group.begin; p < group.end; ++p) {
      const Pte pte = stripe.Load(p);
      const bool active =
          pte.state() == PageState::kActiveClean || pte.state() == PageState::kActiveDirty;
      const bool hidden = pte.trapped() && !pte.protection().AllowsAccess();
      if (active && !pte.stays() && !hidden) (void)Park(stripe, PageRange(p, PageCount(1)));
    }
  }
}

}  // namespace userpager
