// Pager: what is never paged. Large pages are the kernel's own, in memory as long as they are
// reserved; the pager knows no more of them than that they are charged to the memory limit.
#include "runtime/platform/large_pages.h"

#include <errno.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/pager/shard_thread.h"
#include "runtime/platform/address_map.h"

namespace userpager {
namespace {

// How long the shards may free nothing before the memory counts as out of reach.
constexpr uint64_t kPatienceNs = 5'000'000'000;
// What is left free for each shard meanwhile, so that its faults are answered.
constexpr uint64_t kLeftFreeEachShard = 2;

}  // namespace

Errno Pager::TakeUnpagedFrames(PageCount pages) {
  // Counted first, so that two calls together cannot pass what one may not.
  frames_.AddUnpaged(pages);
  if (StayingPages() > LockablePages()) {
    frames_.DropUnpaged(pages);
    return EAGAIN;
  }
  const PageCount left_free(kLeftFreeEachShard * options_.shards);
  PageCount taken;
  uint64_t progress_ns = NowNanoseconds();
  for (;;) {
    const PageCount more = frames_.ChargeUpTo(pages - taken, left_free);
    taken += more;
    if (taken == pages) return 0;
    const uint64_t now_ns = NowNanoseconds();
    if (more > PageCount(0)) progress_ns = now_ns;
    if (now_ns - progress_ns > kPatienceNs) break;
    for (unsigned i = 0; i < options_.shards; ++i) {
      shards_[i]->shard().OnKick();
      shards_[i]->Kick();
    }
    const timespec nap{0, 500'000};
    nanosleep(&nap, nullptr);
  }
  frames_.Return(taken);
  frames_.DropUnpaged(pages);
  return EAGAIN;
}

void Pager::ReturnUnpagedFrames(PageCount pages) {
  frames_.Return(pages);
  frames_.DropUnpaged(pages);
}

Errno Pager::ReserveLargePages(PageIndex at, PageCount pages, Vad** vad) {
  Vad* made = ArenaNew<Vad>();
  if (made == nullptr) return ENOMEM;
  if (const Errno error = MapLargePages(at, pages); error != 0) {
    ArenaDelete(made);
    return error;
  }
  made->kind = VadKind::kLargePages;
  made->range = PageRange(at, pages);
  made->allocation_protection = Protection{BaseProtection::kReadWrite};
  made->default_pte = Pte(PageState::kActiveDirty, made->allocation_protection);
  made->committed = pages;
  *vad = made;
  return 0;
}

void Pager::AbandonLargePages(Vad* vad) {
  ReleaseSpace(*vad);
  ArenaDelete(vad);
}

}  // namespace userpager
