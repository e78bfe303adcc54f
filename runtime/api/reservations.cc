#include "runtime/api/reservations.h"

#include <errno.h>

#include <algorithm>
#include <optional>

#include "runtime/api/exceptions.h"
#include "runtime/api/page_run.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/large_pages.h"

namespace userpager {
namespace {

// How often a free address that was found may turn out to be taken by another thread meanwhile.
constexpr unsigned kMaxSearches = 16;
constexpr uint64_t kLargePagePages = kLargePageBytes / kPageBytes;

PageRange FootprintOf(PageRange range) {
  return PageRange(range.begin, PageIndex(RoundUp(range.end.value(), kGranularityPages)));
}

// Whether committing the range with the protection would change nothing.
bool IsCommittedAs(const Vad& vad, PageRange range, Protection plain) {
  const PageRun run = RunAt(vad, range.begin, range.end);
  return run.range == range && run.committed && run.protection.base == plain.base &&
         run.protection.guard == plain.guard;
}

// Counted one run after the other, whatever the Vad says.
PageCount CountPages(const Vad& vad) {
  PageCount committed;
  ForEachRun(vad, vad.range, [&committed](const PageRun& run) {
    if (run.committed) committed += run.range.count();
    return true;
  });
  return committed;
}

}  // namespace

std::optional<PageRange> PagesOfRange(uint64_t address, uint64_t bytes) {
  const uint64_t end_of_space = AddressOf(kEndOfAddressSpace);
  if (bytes == 0 || address >= end_of_space || bytes > end_of_space - address) return std::nullopt;
  return PageRange(PageOf(address), PageOf(address + bytes - 1) + PageCount(1));
}

Reservations::Reservations(Pager& pager, CommitMode mode, CommitGauges& gauges)
    : pager_(pager), mode_(mode), charge_(gauges) {}

Reservations::Allocated Reservations::Allocate(uint64_t address, uint64_t bytes, DWORD type,
                                               Protection protection) {
  if ((type & (MEM_RESET | MEM_RESET_UNDO)) != 0) return Reset(address, bytes, type);
  const bool reserve = (type & MEM_RESERVE) != 0 || address == 0;
  const bool commit = (type & MEM_COMMIT) != 0;
  const std::optional<PageRange> asked = PagesOfRange(address, bytes);
  if (!asked.has_value()) return {ERROR_INVALID_PARAMETER};
  const PageIndex unit(RoundDown(asked->begin.value(), kGranularityPages));
  // The lowest 64 KiB are nobody's: 0 stands for anywhere.
  if (reserve && address != 0 && unit == PageIndex(0)) return {ERROR_INVALID_PARAMETER};
  if (protection.guard && !InstallExceptions()) return {ERROR_NOT_ENOUGH_MEMORY};
  // mmap's own choice is the highest free place, the next guess of MapReservation is not.
  if (address == 0 && (type & (MEM_TOP_DOWN | MEM_LARGE_PAGES)) != 0) {
    return AllocateWithin(AddressRequirements{}, bytes, type, protection);
  }
  if ((type & MEM_LARGE_PAGES) != 0) return AllocateLarge(asked->begin, bytes);
  if ((type & (MEM_RESERVE_PLACEHOLDER | MEM_PHYSICAL)) != 0) {
    return HoldAddresses(unit, asked->end - unit, type, protection);
  }
  const bool replace = (type & MEM_REPLACE_PLACEHOLDER) != 0;
  if (replace && address % kPageBytes != 0) return {ERROR_INVALID_ADDRESS};
  const Allocated answer = GrowAndRetry([&] {
    if (replace) return TryReplace(*asked, type, protection);
    return reserve ? TryReserve(unit, asked->end - unit, type, protection)
                   : TryCommit(*asked, protection);
  });
  if (answer.error == 0 && commit && mode_ == CommitMode::kLazy) FollowCommit();
  return answer;
}

Reservations::Allocated Reservations::AllocateWithin(AddressRequirements where, uint64_t bytes,
                                                     DWORD type, Protection protection) {
  // Nothing is to be allocated, and no address is given.
  if ((type & (MEM_RESET | MEM_RESET_UNDO)) != 0) return {ERROR_INVALID_ADDRESS};
  if ((type & MEM_LARGE_PAGES) != 0) {
    where.alignment = std::max(where.alignment, PageCount(kLargePagePages));
  }
  const std::optional<PageRange> asked = PagesOfRange(0, bytes);
  if (!asked.has_value()) return {ERROR_INVALID_PARAMETER};
  for (unsigned searches = 0; searches < kMaxSearches; ++searches) {
    PageIndex at;
    if (FindFreeAddress(where, asked->count(), &at) != 0) break;
    const Allocated made = Allocate(AddressOf(at), bytes, type | MEM_RESERVE, protection);
    if (made.error != ERROR_INVALID_ADDRESS) return made;
  }
  return {ERROR_NOT_ENOUGH_MEMORY};
}

Reservations::Attempt Reservations::TryReserve(PageIndex at, PageCount pages, DWORD type,
                                               Protection protection) {
  const bool commit = (type & MEM_COMMIT) != 0;
  LockHolder hold(lock_);
  const bool anywhere = at == PageIndex(0);
  if (!anywhere && tree_.OverlapsFootprint(FootprintOf(PageRange(at, pages)))) {
    return {{ERROR_INVALID_ADDRESS}, {}};
  }
  PageCount slots_needed;
  CommitCharge::Token token = Charge(commit ? pages : PageCount(0), &slots_needed);
  if (!token.granted()) return {{}, slots_needed};
  Vad* vad = nullptr;
  const Errno refused = pager_.Reserve(at, pages, protection, commit, &vad);
  if (refused == EEXIST) return {{ERROR_INVALID_ADDRESS}, {}};
  if (refused != 0) return {{ERROR_NOT_ENOUGH_MEMORY}, {}};
  if ((type & MEM_WRITE_WATCH) != 0) pager_.WatchWrites(*vad);
  const uint64_t address = AddressOf(vad->range.begin);
  if (tree_.Insert(vad) != 0) {
    pager_.Release(vad);
    return {{ERROR_NOT_ENOUGH_MEMORY}, {}};
  }
  token.Keep();
  return {{0, address}, {}};
}

// Memory is taken and charges are made before the kernel is asked for its pages, which takes time.
Reservations::Allocated Reservations::AllocateLarge(PageIndex at, uint64_t bytes) {
  if (bytes % kLargePageBytes != 0 || at.value() % kLargePagePages != 0) {
    return {ERROR_INVALID_PARAMETER};
  }
  if (!HasLargePages()) return {ERROR_NO_SYSTEM_RESOURCES};
  const PageCount pages(bytes / kPageBytes);
  const Allocated charged = GrowAndRetry([&] {
    LockHolder hold(lock_);
    PageCount slots_needed;
    CommitCharge::Token token = Charge(pages, &slots_needed);
    if (token.granted()) token.Keep();
    return Attempt{{}, slots_needed};
  });
  if (charged.error != 0) return charged;
  Allocated made{ERROR_NO_SYSTEM_RESOURCES};
  if (pager_.TakeUnpagedFrames(pages) == 0) {
    made = ReserveLarge(at, pages);
    if (made.error != 0) pager_.ReturnUnpagedFrames(pages);
  }
  if (made.error != 0) charge_.Return(pages);
  return made;
}

Reservations::Allocated Reservations::ReserveLarge(PageIndex at, PageCount pages) {
  Vad* vad = nullptr;
  switch (pager_.ReserveLargePages(at, pages, &vad)) {
    case 0: break;
    case EEXIST: return {ERROR_INVALID_ADDRESS};
    case EPERM: return {ERROR_PRIVILEGE_NOT_HELD};
    default: return {ERROR_NO_SYSTEM_RESOURCES};
  }
  LockHolder hold(lock_);
  // A footprint's tail is mapped, so the kernel has refused what overlaps one.
  if (tree_.Insert(vad) == 0) return {0, AddressOf(at)};
  pager_.AbandonLargePages(vad);
  return {ERROR_NOT_ENOUGH_MEMORY};
}

Reservations::Attempt Reservations::TryCommit(PageRange range, Protection protection) {
  LockHolder hold(lock_);
  if (IsInLargePages(range)) {
    const bool same = protection == Protection{BaseProtection::kReadWrite};
    return {{same ? DWORD{0} : DWORD{ERROR_INVALID_ADDRESS}, AddressOf(range.begin)}, {}};
  }
  Vad* vad = FindWhole(range);
  if (vad == nullptr) return {{ERROR_INVALID_ADDRESS}, {}};
  // Caching was settled when the range was reserved.
  const Protection plain{protection.base, protection.guard};
  if (IsCommittedAs(*vad, range, plain)) return {{0, AddressOf(range.begin)}, {}};
  PageCount slots_needed;
  CommitCharge::Token token = Charge(range.count() - CountCommitted(*vad, range), &slots_needed);
  if (!token.granted()) return {{}, slots_needed};
  if (pager_.Commit(*vad, range, plain) != 0) return {{ERROR_NOT_ENOUGH_MEMORY}, {}};
  token.Keep();
  return {{0, AddressOf(range.begin)}, {}};
}

Vad* Reservations::FindWhole(PageRange range) const {
  Vad* vad = tree_.Find(range.begin);
  return vad != nullptr && vad->kind == VadKind::kPaged && vad->range.Contains(range) ? vad
                                                                                      : nullptr;
}

bool Reservations::IsInLargePages(PageRange range) const {
  const Vad* vad = tree_.Find(range.begin);
  return vad != nullptr && vad->kind == VadKind::kLargePages && vad->range.Contains(range);
}

DWORD Reservations::Release(uint64_t address) {
  LockHolder hold(lock_);
  Vad* vad = tree_.Find(PageOf(address));
  if (vad == nullptr || vad->range.begin != PageOf(address)) return ERROR_INVALID_ADDRESS;
  const PageCount committed = vad->committed;
  // No rule goes beyond a reservation, so that this needs no memory.
  (void)fork_rules_.Set(vad->range, {});
  tree_.Erase(vad);
  pager_.Release(vad);
  charge_.Return(committed);
  return ERROR_SUCCESS;
}

DWORD Reservations::Decommit(uint64_t address, uint64_t bytes) {
  LockHolder hold(lock_);
  Vad* vad = tree_.Find(PageOf(address));
  if (vad == nullptr || vad->kind != VadKind::kPaged) return ERROR_INVALID_ADDRESS;
  PageRange range = vad->range;
  if (bytes == 0) {
    if (PageOf(address) != range.begin) return ERROR_INVALID_ADDRESS;
  } else {
    const std::optional<PageRange> asked = PagesOfRange(address, bytes);
    if (!asked.has_value() || !range.Contains(*asked)) return ERROR_INVALID_PARAMETER;
    range = *asked;
  }
  const PageCount committed = vad->committed;
  pager_.Decommit(*vad, range);
  charge_.Return(committed - vad->committed);
  return ERROR_SUCCESS;
}

bool Reservations::CheckConsistency() {
  LockHolder hold(lock_);
  if (!tree_.CheckConsistency()) return false;
  PageCount committed;
  for (const Vad* vad = tree_.AtOrAfter(PageIndex(0)); vad != nullptr; vad = tree_.Next(*vad)) {
    const PageCount counted = CountPages(*vad);
    if (counted != vad->committed) {
      LogLine line;
      line << "the reservation at " << Hex{AddressOf(vad->range.begin)} << " has "
           << counted.value() << " committed pages and says " << vad->committed.value();
      line.Write();
      return false;
    }
    committed += counted;
  }
  if (committed == charge_.charged()) return true;
  LogLine line;
  line << "the reservations have " << committed.value() << " committed pages, and "
       << charge_.charged().value() << " are charged";
  line.Write();
  return false;
}

}  // namespace userpager
