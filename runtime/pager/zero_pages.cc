// Pager and Shard: what Linux's mappings ask for beyond VirtualAlloc: pages that become zeros
// again, reservations at any page, and pages of a reservation where the program maps something of
// its own.
#include <errno.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/pager/for_each_stripe.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/platform/address_map.h"

namespace userpager {

void Shard::MarkForeign(Stripe& stripe, PageRange range, bool foreign) {
  LockHolder hold(mutex_);
  for (PageIndex page = range.begin; page < range.end; ++page) {
    Untrap(stripe, page);
    const Pte pte = stripe.Load(page);
    USERPAGER_CHECK(!pte.committed(), "a committed page was given up", AddressOf(page));
    SetPte(stripe, page, pte.WithForeign(foreign));
  }
}

Errno Pager::ReserveExactly(PageRange range, Protection protection, bool replace, Vad** vad) {
  Vad* made = ArenaNew<Vad>();
  if (made == nullptr) return ENOMEM;
  made->kind = VadKind::kPlaceholder;
  made->exact_end = true;
  made->range = range;
  PageIndex mapped;
  Errno error = replace ? HoldAddressSpace(range)
                        : MapReservation(range.begin, range.count(), &mapped);
  if (error == 0) {
    error = ReplacePlaceholder(*made, protection, true);
    if (error != 0) (void)Unmap(range);
  }
  if (error != 0) {
    ArenaDelete(made);
    return error;
  }
  *vad = made;
  return 0;
}

void Pager::GiveUp(Vad& vad, PageRange range) {
  (void)ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.MarkForeign(stripe, part, true);
    return 0;
  });
  vad.foreign += range.count();
}

// The kernel allows what it allows in the rest of the reservation: the spans count as opened.
Errno Pager::TakeBack(Vad& vad, PageRange range) {
  if (const Errno error = HoldAddressSpace(range); error != 0) return error;
  Errno error = AdoptReservation(range);
  if (error == 0) {
    error = ForEachStripe(vad, range, [this](Shard&, Stripe& stripe, PageRange part) {
      return shards_[stripe.shard]->platform().Register(part);
    });
  }
  if (error == 0) error = shards_[0]->platform().SetAccess(range, KernelAccess::kReadWrite);
  if (error != 0) return error;
  (void)ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.MarkForeign(stripe, part, false);
    return 0;
  });
  vad.foreign -= range.count();
  return 0;
}

}  // namespace userpager
