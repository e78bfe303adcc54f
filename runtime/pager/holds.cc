// Holds: pages that a system call is about to use stay in memory, and may be written by the kernel,
// however often they are held at a time (userpager_hold).
#include <errno.h>

#include <algorithm>

#include "runtime/pager/for_each_stripe.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/pager/shard_thread.h"

namespace userpager {

void Shard::HoldPages(Stripe& stripe, PageRange range) {
  LockHolder hold(mutex_);
  for (PageIndex page = range.begin; page < range.end; ++page) {
    const Pte pte = stripe.Load(page);
    KeepPage(stripe, page, pte.WithHolds(pte.holds() + 1));
  }
}

void Shard::ReleasePages(Stripe& stripe, PageRange range, bool* all) {
  LockHolder hold(mutex_);
  for (PageIndex page = range.begin; page < range.end; ++page) {
    const Pte pte = stripe.Load(page);
    if (pte.holds() == 0) {
      *all = false;
    } else {
      KeepPage(stripe, page, pte.WithHolds(pte.holds() - 1));
    }
  }
}

// A group at a time, so that faults get their turn.
void Shard::OpenForWriting(PageRange range) {
  for (PageIndex page = range.begin; page < range.end;) {
    LockHolder hold(mutex_);
    const auto entry = stripes_.FindAtOrAfter(page);
    if (entry.value == nullptr || entry.range.begin >= range.end) return;
    page = std::max(page, entry.range.begin);
    const PageIndex end =
        std::min({entry.range.end, range.end, page + PageCount(kPteGroupPages)});
    const auto is_open = [&](PageIndex p) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      const Pte pte = entry.value->Load(p);
      return pte.mapped() && pte.protection().AllowsWrite();
    };
    while (page < end) {
      PageRange run(page, PageCount(0));
      while (run.end < end && is_open(run.end)) ++run.end;
      if (!run.empty()) MakeDirty(*entry.value, run);
      page = run.empty() ? page + PageCount(1) : run.end;
    }
  }
}

Errno Pager::HoldPages(Vad& vad, PageRange range) {
  if (!MayStay(vad, range)) return EAGAIN;
  for (PageIndex page = vad.NextTouched(range.begin, range.end); page < range.end;
       page = vad.NextTouched(page + PageCount(1), range.end)) {
    if (vad.Load(page).holds() == Pte::kMostHolds) return EAGAIN;
  }
  return ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.HoldPages(stripe, part);
    return 0;
  });
}

bool Pager::ReleasePages(Vad& vad, PageRange range) {
  bool all = true;
  (void)ForEachStripe(vad, range, [&all](Shard& shard, Stripe& stripe, PageRange part) {
    shard.ReleasePages(stripe, part, &all);
    return 0;
  });
  return all;
}

void Pager::OpenForWriting(PageRange range) {
  for (unsigned i = 0; i < options_.shards; ++i) shards_[i]->shard().OpenForWriting(range);
}

}  // namespace userpager
