// How much may be promised, and how that follows the page file and the memory limit.
#include <errno.h>

#include <algorithm>

#include "runtime/api/reservations.h"

namespace userpager {
namespace {

// More pages than any machine has: a limit that is none.
constexpr PageCount kUnlimited{UINT64_MAX};

// Free slots that keep their disk space: an extent of the page file, so that it does not shrink and
// grow all the time.
constexpr PageCount kKeptSlots = PagesHolding(uint64_t{64} << 20);

}  // namespace

PageCount Reservations::CommitLimit() const {
  if (mode_ == CommitMode::kLazy) return kUnlimited;
  return Less(pager_.CommitLimitNow(), withheld_);
}

CommitCharge::Token Reservations::Charge(PageCount pages, PageCount* slots_needed) {
  const PageCount slots = pager_.page_file().usable();
  const PageCount limit = CommitLimit();
  charge_.set_limit(limit);
  CommitCharge::Token token = charge_.Charge(pages);
  if (!token.granted()) *slots_needed = slots + (charge_.charged() + pages - limit);
  return token;
}

void Reservations::FollowCommit() {
  const PageFile& file = pager_.page_file();
  // What was given back is taken again where pages are to be written, as nothing was promised.
  const PageCount missing =
      Less(charge_.charged(), pager_.CommitLimitNow() + file.discarded());
  if (missing == PageCount(0)) return;
  const PageCount wanted = std::min(file.usable() + missing, file.max_usable());
  // A full disk is no error of a commit that promises nothing.
  (void)pager_.GrowPageFile(wanted);
}

// What no promise counts on, and no page is about to need. A child that is forked takes as much as
// is in use.
PageCount Reservations::SpareSlots() const {
  const PageFile& file = pager_.page_file();
  if (file.refuses()) return PageCount(0);
  const PageCount spare = Less(file.usable(), file.used() + kKeptSlots);
  if (mode_ == CommitMode::kLazy) return spare;
  PageCount promised = charge_.charged() + kKeptSlots;
  if (file.can_have_children()) promised += file.used();
  return std::min(spare, Less(CommitLimit(), promised));
}

bool Reservations::GiveBackSpace() {
  return pager_.GiveBackSpace([this](SlotMap& slots) {
    LockHolder hold(lock_);
    const SlotRun run = slots.Discard(std::min(SpareSlots(), PageFile::kMostGivenBack));
    charge_.set_limit(CommitLimit());
    return run;
  });
}

Errno Reservations::GrowFor(PageCount promised, LogLine* error) {
  PageCount missing;
  {
    LockHolder hold(lock_);
    missing = Less(promised, CommitLimit());
  }
  if (missing == PageCount(0)) return 0;
  const Errno failed = pager_.GrowPageFile(pager_.page_file().usable() + missing);
  if (failed == 0) return 0;
  *error << "the page file cannot grow by the " << BytesOf(missing)
         << " bytes that a child takes of it: " << ErrnoText{failed};
  return failed;
}

Errno Reservations::KeepPromisesBesideChild(LogLine* error) {
  return GrowFor(charge_.charged() + pager_.page_file().used(), error);
}

Errno Reservations::KeepPromisesInChild(LogLine* error) {
  return GrowFor(charge_.charged(), error);
}

int Reservations::SetMemoryLimit(PageCount limit, LogLine* error) {
  {
    LockHolder hold(lock_);
    if (changing_limit_) {
      *error << "the memory limit cannot be changed: another thread is changing it; try again";
      return USERPAGER_ERROR_BUSY;
    }
    changing_limit_ = true;
    // What the lower limit takes away is not promised to anybody from here on.
    withheld_ = Less(pager_.frames().limit(), limit);
  }
  int result = mode_ == CommitMode::kStrict ? GrowForLowerLimit(error) : 0;
  if (result == 0) result = ApplyMemoryLimit(limit, error);
  LockHolder hold(lock_);
  changing_limit_ = false;
  withheld_ = PageCount(0);
  charge_.set_limit(CommitLimit());
  return result;
}

// What is charged beyond the lower limit gets disk space before the memory goes.
int Reservations::GrowForLowerLimit(LogLine* error) {
  PageCount missing;
  {
    LockHolder hold(lock_);
    const PageCount limit = CommitLimit();
    charge_.set_limit(limit);
    missing = Less(charge_.charged(), limit);
  }
  if (missing == PageCount(0)) return 0;
  if (pager_.GrowPageFile(pager_.page_file().usable() + missing) == 0) return 0;
  *error << "the memory limit cannot be lowered: " << BytesOf(charge_.charged())
         << " bytes are committed, and the page file cannot grow by the " << BytesOf(missing)
         << " bytes that would be missing; release memory, free disk space or give a larger "
            "page_file_max";
  return USERPAGER_ERROR_NO_SPACE;
}

int Reservations::ApplyMemoryLimit(PageCount limit, LogLine* error) {
  const Errno failed = pager_.SetMemoryLimit(limit);
  if (failed == 0) return 0;
  if (failed == EBUSY) {
    *error << "the memory limit cannot be lowered to " << BytesOf(limit)
           << " bytes: locked or pinned pages take more; unlock some (VirtualUnlock) or give a "
              "higher limit";
    return USERPAGER_ERROR_BUSY;
  }
  *error << "the memory limit cannot be changed to " << BytesOf(limit) << " bytes: "
         << ErrnoText{failed};
  return failed == ENOMEM ? USERPAGER_ERROR_NO_MEMORY : USERPAGER_ERROR_MEMORY_LIMIT;
}

}  // namespace userpager
