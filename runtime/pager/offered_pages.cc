// Shard: contents that the program can do without: MEM_RESET, and memory that it offers. Such pages
// are parked on lists of their own, which are emptied before anything else leaves memory. Until
// then a touch of a reset page brings it back; an offered one allows no access until it is
// reclaimed.
#include "runtime/base/check.h"
#include "runtime/pager/shard.h"

namespace userpager {
namespace {

constexpr unsigned kResetPriority = 0;

}  // namespace

void Shard::ResetPages(Stripe& stripe, PageRange range) {
  for (PageRange left = range; !left.empty();) {
    LockHolder hold(mutex_);
    const PageRange group = NextGroup(stripe, &left);
    for (PageIndex p = group.begin; p < group.end; ++p) {
      const Pte pte = stripe.Load(p);
      if (pte.stays() || pte.offered()) continue;
      // A page that cannot be moved keeps its content, which is no error.
      const bool hidden = pte.trapped() && !pte.protection().AllowsAccess();
      if (pte.state() == PageState::kActiveDirty && !hidden) {
        (void)Park(stripe, PageRange(p, PageCount(1)));
      }
      OfferPage(stripe, p, kResetPriority);
    }
  }
}

void Shard::OfferPages(Stripe& stripe, PageRange range, unsigned priority) {
  for (PageIndex page = range.begin; page < range.end;) {
    const PageRange group = GroupOf(stripe, page, range);
    LockHolder hold(mutex_);
    for (PageIndex p = group.begin; p < group.end; ++p) {
      const Pte pte = stripe.Load(p);
      if (!pte.offered()) {
        ProtectPage(stripe, p, Protection{});
        SetPte(stripe, p, stripe.Load(p).With(pte.protection()).WithOffered(true));
      }
      OfferPage(stripe, p, priority);
    }
    page = group.end;
  }
}

// Only content that would have to be written is worth giving up.
void Shard::OfferPage(Stripe& stripe, PageIndex page, unsigned priority) {
  Pte pte = stripe.Load(page);
  if (pte.given_up() && pte.state() != PageState::kDemandZero) {
    // It has new content since.
    pte = pte.WithGivenUp(false);
    SetPte(stripe, page, pte);
  }
  if (pte.state() != PageState::kModified && pte.state() != PageState::kOffered) return;
  const FrameIndex frame = pte.frame();
  RemoveParked(frame);
  offered_[priority].PushYoungest(frames_, frame);
  SetPte(stripe, page, pte.With(PageState::kOffered, frame.value()));
}

bool Shard::ReclaimPages(Stripe& stripe, PageRange range, bool offered) {
  bool intact = true;
  for (PageRange left = range; !left.empty();) {
    LockHolder hold(mutex_);
    const PageRange group = NextGroup(stripe, &left);
    for (PageIndex p = group.begin; p < group.end; ++p) {
      const Pte pte = stripe.Load(p);
      if (pte.offered() && !offered) continue;
      intact &= ReclaimPage(stripe, p);
    }
  }
  return intact;
}

// Whether the page has its content.
bool Shard::ReclaimPage(Stripe& stripe, PageIndex page) {
  const Pte pte = stripe.Load(page);
  if (pte.given_up()) SetPte(stripe, page, pte.WithGivenUp(false));
  if (pte.state() == PageState::kOffered) {
    const FrameIndex frame = pte.frame();
    RemoveParked(frame);
    SetPte(stripe, page, pte.With(PageState::kModified, frame.value()));
    modified_.PushYoungest(frames_, frame);
  }
  if (pte.offered()) {
    // From a page without access to its own protection, as VirtualProtect would.
    SetPte(stripe, page, stripe.Load(page).With(Protection{}).WithOffered(false));
    ProtectPage(stripe, page, pte.own_protection());
  }
  return !pte.given_up() && pte.state() != PageState::kLost;
}

// Lower priorities first. Whether any page was given up.
bool Shard::GiveUpOffered(PageCount most) {
  for (FrameList& list : offered_) {
    if (!list.empty()) return DropOldest(&list, most);
  }
  return false;
}

// Group by group, in one step each: nobody meets a reserved page in between.
void Shard::DiscardPages(Stripe& stripe, PageRange range) {
  Pte before[kPteGroupPages];
  for (PageRange left = range; !left.empty();) {
    LockHolder hold(mutex_);
    const PageRange group = NextGroup(stripe, &left);
    for (PageIndex p = group.begin; p < group.end; ++p) {
      before[(p - group.begin).value()] = stripe.Load(p);
    }
    DecommitGroup(stripe, group);
    for (PageIndex p = group.begin; p < group.end; ++p) {
      const Pte old = before[(p - group.begin).value()];
      if (!old.committed()) continue;
      SetPte(stripe, p,
             Pte(PageState::kDemandZero, old.protection()).WithWritten(old.written()));
    }
  }
}

}  // namespace userpager
