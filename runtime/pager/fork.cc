// Pager and Shard: the fork of a process whose children inherit its reservations, in the parent and
// in a child that has plain memory. The kernel gives the child copies of all pages that are in
// memory, those of the parking area included; what is in the page file is lent to it. A child that
// pages on its own goes on from there (child.cc); another brings everything into its place: from
// its copy of the parking area, and from the page file.
//
// What happens to the parent's pages: the kernel refuses to move a page that it shares with a child
// (EBUSY), also after the child has gone, until it is written. Clean pages are dropped instead;
// others get a copy of their own first.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/check.h"
#include "runtime/base/log_line.h"
#include "runtime/page_file/checksum.h"
#include "runtime/pager/for_each_stripe.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/descriptors.h"
#include "runtime/platform/life_line.h"

namespace userpager {
namespace {

constexpr PageCount kReadAtOnce{256};

}  // namespace

// The page file's lock and the arena's last: other threads take them without a shard's mutex.
Errno Pager::Freeze() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (unsigned i = 0; i < options_.shards; ++i) shards_[i]->shard().Freeze();
  limit_at_fork_ = frames_.limit();
  if (const Errno error = page_file_.Lend(&loan_); error != 0) {
    ThawShards();
    return error;
  }
  page_file_.HoldForFork();
  Arena::HoldForFork();
  return 0;
}

// A child that could not be lent its slots reads them while everything is held still.
void Pager::Thaw() {
  Arena::ReleaseAfterFork();
  page_file_.ReleaseAfterFork();
  Descriptors::Close(loan_.held);
  if (loan_.watched >= 0) {
    LifeLine::AwaitEnd(loan_.watched);
    Descriptors::Close(loan_.watched);
  }
  ThawShards();
}

void Pager::ThawShards() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (unsigned i = options_.shards; i > 0; --i) shards_[i - 1]->shard().Thaw();
}

Errno Pager::TryChild(LogLine* error) const {
  if (const Errno failed = TryUserfaultfdOfChild(error); failed != 0) return failed;
  SlotLoan loan;
  const Errno failed = LifeLine::Make(&loan.watched, &loan.held);
  if (failed != 0) *error << "no descriptors are left: " << ErrnoText{failed};
  Descriptors::Close(loan.watched);
  Descriptors::Close(loan.held);
  return failed;
}

bool Pager::FillChild(Vad& vad, PageRange range) {
  return ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
           return shard.FillChild(stripe, part) ? 0 : EIO;
         }) == 0;
}

// With the userfaultfds their registrations end.
void Pager::CloseInChild() {
  Descriptors::CloseInherited();
  for (unsigned i = 0; i < options_.shards; ++i) shards_[i]->ForgetInChild();
}

void Pager::EndInChild() {
  for (unsigned i = 0; i < options_.shards; ++i) shards_[i]->shard().EndInChild();
  Descriptors::CloseAll();
}

// The child has one thread, and the mutex is held by what was this thread in the parent.
bool Shard::FillChild(Stripe& stripe, PageRange range) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (PageIndex page = stripe.NextTouched(range.begin, range.end); page < range.end;
       page = stripe.NextTouched(page + PageCount(1), range.end)) {
    if (!FillPages(stripe, range.end, &page)) return false;
  }
  return true;
}

// The pages from `page` on that have neighbouring slots, up to `end`, are read together. `page` is
// then the last.
bool Shard::FillPages(Stripe& stripe, PageIndex end,
                      PageIndex* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const PageIndex first = *page;
  const SlotIndex slot = FillPage(stripe, first);
  if (slot == kNoSlot) return true;
  PageCount count(1);
  while (count < kReadAtOnce && first + count < end) {
    const Pte pte = stripe.Load(first + count);
    const bool fits = pte.state() == PageState::kPagedOut && !pte.trapped();
    if (!fits || pte.slot() != slot + count) break;
    ++count;
  }
  *page = first + (count - PageCount(1));
  return FillFromSlots(first, slot, count);
}

void Shard::EndInChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (const ParkingArea& area : parking_) {
    if (area.ready()) (void)Unmap(area.range());
  }
  if (cipher_ != nullptr) cipher_->Wipe();
}

// Returns the slot that the page must be read from, if it must.
SlotIndex Shard::FillPage(Stripe& stripe, PageIndex page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Pte pte = stripe.Load(page);
  // The kernel copies guards; what is not there must be open to be filled.
  if (!pte.mapped()) Untrap(stripe, page);
  switch (pte.state()) {
    case PageState::kModified:
    case PageState::kWriting:
    case PageState::kStandby:
    case PageState::kOffered:
      memcpy(PointerTo(page), platform_.Peek(ParkedAt(frames_[pte.frame()])), kPageBytes);
      break;
    case PageState::kPagedOut:
      return pte.slot();
    case PageState::kReading:
      USERPAGER_CHECK(false, "a page is being read in a forked child", AddressOf(page));
      break;
    case PageState::kReserved:
    case PageState::kDemandZero:
    case PageState::kActiveClean:
    case PageState::kActiveDirty:
    case PageState::kWritingInPlace:
    case PageState::kLost:
      break;
  }
  return kNoSlot;
}

bool Shard::FillFromSlots(PageIndex first, SlotIndex slot, PageCount count) {
  const auto offset = static_cast<off_t>(page_file_.OffsetOf(slot));
  const ssize_t got =
      pread(page_file_.DescriptorOf(slot), PointerTo(first), BytesOf(count), offset);
  bool right = got == static_cast<ssize_t>(BytesOf(count));
  for (PageCount i; right && i < count; ++i) {
    if (cipher_ != nullptr) cipher_->Open(slot + i, PointerTo(first + i), page_file_.MarkOf(slot));
    right = Crc32c(PointerTo(first + i), kPageBytes) == page_file_.checksum(slot + i);
  }
  if (right) return true;
  LogLine line;
  line << "a forked child cannot have its parent's memory: the page file at offset "
       << page_file_.OffsetOf(slot)
       << (got < 0 ? " cannot be read" : " does not hold what was written");
  line.Write();
  return false;
}

// After EBUSY: a page that the process shares with a child gets a copy of its own. The page is in
// memory and open for writing, so the kernel answers the touch alone.
bool Shard::MakeExclusive(Stripe& stripe, PageIndex page) {
  const PageRange one(page, PageCount(1));
  if (!stripe.Load(page).protection().AllowsWrite()) return false;
  LiftProtection(one);
  return platform_.TouchForWriting(one) == 0;
}

// Takes a page out of memory that the kernel refused to move, if a fork may be why. Returns how
// many have gone.
PageCount Shard::ParkShared(Stripe& stripe, PageIndex page) {
  const PageRange one(page, PageCount(1));
  if (stripe.Load(page).state() == PageState::kActiveClean) {
    DropClean({&one, 1});
    return PageCount(1);
  }
  if (!stripe.Load(page).protection().AllowsWrite()) return ParkByCopy(stripe, one);
  if (!MakeExclusive(stripe, page)) return PageCount(0);
  const bool executable = stripe.Load(page).protection().AllowsExecute();
  ParkingArea* area = Parking(executable);
  const PlaceRun place = area->Allocate(PageCount(1));
  const RunResult moved =
      platform_.Move(area->PageAt(place.first), page, PageCount(1), WakeMode::kNoWake);
  if (moved.done.value() == 0) {
    area->Free(place.first, PageCount(1));
    return PageCount(0);
  }
  ParkedPage(stripe, page, place.first, executable);
  return PageCount(1);
}

}  // namespace userpager
