// Pager: reservations whose address space was held by a placeholder before, and is again after.
#include <errno.h>

#include "runtime/base/check.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/pager/shard_thread.h"
#include "runtime/platform/address_map.h"

namespace userpager {
namespace {

// What a placeholder has: its address space.
void ForgetPages(Vad& vad) {
  vad.kind = VadKind::kPlaceholder;
  vad.watches_writes = false;
  vad.allocation_protection = Protection{};
  vad.default_pte = Pte(PageState::kReserved, Protection{});
  vad.committed = PageCount(0);
  vad.ptes = ArenaArray<PteWord>();
  vad.stripes = ArenaArray<Stripe>();
  // Of no elements: needs no memory.
  (void)vad.touched.Reset(0);
  (void)vad.opened.Reset(0);
}

}  // namespace

Errno Pager::ReservePlaceholder(PageIndex at, PageCount pages, Vad** vad) {
  Vad* made = ArenaNew<Vad>();
  if (made == nullptr) return ENOMEM;
  ForgetPages(*made);
  made->from_placeholder = true;
  made->range = PageRange(at, pages);
  PageIndex mapped;
  if (const Errno error = MapReservation(at, made->footprint().count(), &mapped); error != 0) {
    ArenaDelete(made);
    return error;
  }
  made->range = PageRange(mapped, pages);
  *vad = made;
  return 0;
}

Errno Pager::ReplacePlaceholder(Vad& vad, Protection protection, bool commit) {
  vad.kind = VadKind::kPaged;
  Errno error = AdoptReservation(vad.footprint());
  if (error == 0) error = BuildPages(protection, commit, vad);
  size_t added = 0;
  if (error == 0) error = OpenStripes(vad, &added);
  if (error == 0) return 0;
  for (size_t i = 0; i < added; ++i) {
    Stripe& stripe = vad.stripes[i];
    (void)shards_[stripe.shard]->shard().RemoveStripe(&stripe, stripe.range, SpaceAfter::kHeld);
  }
  const Errno failed = HoldAddressSpace(vad.footprint());
  USERPAGER_CHECK(failed == 0, "a placeholder's address space could not be kept", failed);
  ForgetPages(vad);
  return error;
}

void Pager::MakePlaceholder(Vad& vad) {
  for (size_t i = 0; i < vad.stripes.size(); ++i) {
    Stripe& stripe = vad.stripes[i];
    (void)shards_[stripe.shard]->shard().RemoveStripe(&stripe, SpaceOf(vad, i), SpaceAfter::kHeld);
  }
  ForgetPages(vad);
}

}  // namespace userpager
