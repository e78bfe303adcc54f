// What pages of reservations are and may be: VirtualProtect, VirtualQuery, region information,
// VirtualLock and VirtualUnlock.
#include <errno.h>

#include "runtime/api/allocation_flags.h"
#include "runtime/api/exceptions.h"
#include "runtime/api/foreign_memory.h"
#include "runtime/api/page_run.h"
#include "runtime/api/reservations.h"
#include "runtime/base/sync_point.h"
#include "runtime/platform/address_map.h"

namespace userpager {
namespace {

bool IsAllCommitted(const Vad& vad, PageRange range) {
  return CountCommitted(vad, range) == range.count();
}

MEMORY_BASIC_INFORMATION Describe(const Vad& vad, PageIndex page) {
  const PageRun run = VisibleRunAt(vad, page, vad.range.end);
  MEMORY_BASIC_INFORMATION information = {};
  information.BaseAddress = PointerTo(page);
  information.AllocationBase = PointerTo(vad.range.begin);
  information.AllocationProtect = EncodeProtection(vad.allocation_protection);
  information.RegionSize = BytesOf(run.range.count());
  information.State = run.committed ? MEM_COMMIT : MEM_RESERVE;
  information.Protect = run.committed ? EncodeProtection(run.protection) : 0;
  information.Type = MEM_PRIVATE;
  return information;
}

}  // namespace

Reservations::Protected Reservations::Protect(uint64_t address, uint64_t bytes,
                                              Protection protection) {
  const std::optional<PageRange> range = PagesOfRange(address, bytes);
  if (!range.has_value()) return {ERROR_INVALID_PARAMETER};
  if (protection.guard && !InstallExceptions()) return {ERROR_NOT_ENOUGH_MEMORY};
  LockHolder hold(lock_);
  // Large pages are what they are.
  constexpr Protection kOfLargePages{BaseProtection::kReadWrite};
  if (protection == kOfLargePages && IsInLargePages(*range)) return {0, PAGE_READWRITE};
  Vad* vad = FindWhole(*range);
  if (vad == nullptr || !IsAllCommitted(*vad, *range)) return {ERROR_INVALID_ADDRESS};
  const PageRun first = RunAt(*vad, range->begin, range->end);
  const Protection plain{protection.base, protection.guard};
  if (pager_.Protect(*vad, *range, plain) != 0) return {ERROR_NOT_ENOUGH_MEMORY};
  return {0, EncodeProtection(first.protection)};
}

// The kernel's map is read under the lock too: a reservation that came or went meanwhile would be
// described as somebody else's.
Reservations::Queried Reservations::Query(uint64_t address) {
  const PageIndex page = PageOf(address);
  if (page >= kEndOfAddressSpace) return {ERROR_INVALID_PARAMETER};
  LockHolder hold(lock_);
  const Vad* next = tree_.AtOrAfter(page);
  if (next != nullptr && next->range.Contains(page)) return {0, Describe(*next, page)};
  Gap gap;
  gap.limit = next == nullptr ? kEndOfAddressSpace : next->range.begin;
  const bool in_tail = tree_.OverlapsFootprint(PageRange(page, PageCount(1)));
  gap.tail_end =
      in_tail ? PageIndex(RoundUp(page.value() + 1, kGranularityBytes / kPageBytes)) : page;
  USERPAGER_SYNC_POINT("query:before_map", AddressOf(page));
  Queried foreign;
  if (DescribeForeign(page, gap, &foreign.information) != 0) return {ERROR_NO_SYSTEM_RESOURCES};
  USERPAGER_SYNC_POINT("query:after_map", AddressOf(page));
  return foreign;
}

Reservations::Region Reservations::QueryRegion(uint64_t address) {
  LockHolder hold(lock_);
  const Vad* vad = tree_.Find(PageOf(address));
  if (vad == nullptr) return {ERROR_UNEXP_NET_ERR};
  Region region;
  region.information.AllocationBase = PointerTo(vad->range.begin);
  region.information.AllocationProtect = EncodeProtection(vad->allocation_protection);
  region.information.RegionSize = BytesOf(vad->range.count());
  region.information.CommitSize = BytesOf(vad->committed);
  return region;
}

DWORD Reservations::LockPages(uint64_t address, uint64_t bytes) {
  const std::optional<PageRange> range = PagesOfRange(address, bytes);
  if (!range.has_value()) return ERROR_INVALID_PARAMETER;
  bool had_locks = false;
  if (const DWORD refused = BeginLock(*range, &had_locks); refused != 0) return refused;
  const Errno failed = pager_.BringIn(*range);
  if (failed == 0) return ERROR_SUCCESS;
  // What was locked before stays so.
  if (!had_locks) UndoLock(*range);
  return failed == EIO ? ERROR_SWAPERROR : ERROR_NO_SYSTEM_RESOURCES;
}

DWORD Reservations::BeginLock(PageRange range, bool* had_locks) {
  LockHolder hold(lock_);
  // They are always there, and no shard brings them in.
  if (IsInLargePages(range)) return ERROR_SUCCESS;
  Vad* vad = FindWhole(range);
  if (vad == nullptr || !IsAllCommitted(*vad, range)) return ERROR_INVALID_ADDRESS;
  DWORD refused = ERROR_SUCCESS;
  PageRun barrier{};
  ForEachRun(*vad, range, [&](const PageRun& run) {
    *had_locks = *had_locks || run.locked;
    if (run.protection.AllowsAccess() && !run.offered) return true;
    barrier = run;
    refused = run.protection.guard && !run.offered ? STATUS_GUARD_PAGE_VIOLATION : ERROR_NOACCESS;
    return false;
  });
  if (refused == STATUS_GUARD_PAGE_VIOLATION) {
    // Locking is an access of one page after the other: the first guard page ends it.
    const PageRange page(barrier.range.begin, PageCount(1));
    const Errno failed = pager_.Protect(*vad, page, Protection{barrier.protection.base});
    return failed == 0 ? refused : DWORD{ERROR_NOT_ENOUGH_MEMORY};
  }
  if (refused != 0) return refused;
  return pager_.LockPages(*vad, range) == 0 ? ERROR_SUCCESS : ERROR_WORKING_SET_QUOTA;
}

void Reservations::UndoLock(PageRange range) {
  LockHolder hold(lock_);
  // The reservation may have gone while the pages were brought in.
  Vad* vad = FindWhole(range);
  if (vad == nullptr || !IsAllCommitted(*vad, range)) return;
  bool all_locked = false;
  pager_.UnlockPages(*vad, range, &all_locked);
}

DWORD Reservations::UnlockPages(uint64_t address, uint64_t bytes) {
  const std::optional<PageRange> range = PagesOfRange(address, bytes);
  if (!range.has_value()) return ERROR_INVALID_PARAMETER;
  LockHolder hold(lock_);
  if (IsInLargePages(*range)) return ERROR_NOT_LOCKED;
  Vad* vad = FindWhole(*range);
  if (vad == nullptr || !IsAllCommitted(*vad, *range)) return ERROR_INVALID_ADDRESS;
  bool all_locked = false;
  pager_.UnlockPages(*vad, *range, &all_locked);
  return all_locked ? ERROR_SUCCESS : ERROR_NOT_LOCKED;
}

}  // namespace userpager
