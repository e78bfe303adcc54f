// <userpager/memory_hints.h> and MEM_RESET: contents that the program can do without, and pages
// that it will want soon.
#include <userpager/memory_hints.h>

#include <algorithm>
#include <optional>

#include "runtime/api/exported_call.h"
#include "runtime/api/page_run.h"
#include "runtime/api/reservations.h"

namespace userpager {
namespace {

// These functions take whole pages only.
std::optional<PageRange> WholePages(const void* address, uint64_t bytes) {
  const uint64_t begin = AddressOfPointer(address);
  if (begin % kPageBytes != 0 || bytes % kPageBytes != 0) return std::nullopt;
  return PagesOfRange(begin, bytes);
}

bool IsReadWrite(const PageRun& run) {
  return !run.offered && run.protection.base == BaseProtection::kReadWrite &&
         !run.protection.guard;
}

}  // namespace

Vad* Reservations::FindCommitted(PageRange range) const {
  Vad* vad = FindWhole(range);
  return vad != nullptr && CountCommitted(*vad, range) == range.count() ? vad : nullptr;
}

Reservations::Allocated Reservations::Reset(uint64_t address, uint64_t bytes, DWORD type) {
  const std::optional<PageRange> range = PagesOfRange(address, bytes);
  if (!range.has_value()) return {ERROR_INVALID_PARAMETER};
  LockHolder hold(lock_);
  Vad* vad = FindWhole(*range);
  if (vad == nullptr) return {ERROR_INVALID_ADDRESS};
  if (type == MEM_RESET) {
    pager_.ResetPages(*vad, *range);
  } else if (!pager_.UndoReset(*vad, *range)) {
    return {ERROR_BUSY};
  }
  return {0, AddressOf(range->begin)};
}

DWORD Reservations::Offer(PageRange range, unsigned priority) {
  LockHolder hold(lock_);
  Vad* vad = FindCommitted(range);
  if (vad == nullptr) return ERROR_INVALID_ADDRESS;
  return pager_.OfferPages(*vad, range, priority) == 0 ? ERROR_SUCCESS : ERROR_NOT_ENOUGH_MEMORY;
}

DWORD Reservations::Reclaim(PageRange range) {
  LockHolder hold(lock_);
  Vad* vad = FindCommitted(range);
  if (vad == nullptr) return ERROR_INVALID_ADDRESS;
  return pager_.ReclaimPages(*vad, range) ? ERROR_SUCCESS : ERROR_BUSY;
}

DWORD Reservations::Discard(PageRange range) {
  LockHolder hold(lock_);
  Vad* vad = FindCommitted(range);
  if (vad == nullptr) return ERROR_INVALID_ADDRESS;
  if (!ForEachRun(*vad, range, IsReadWrite)) return ERROR_INVALID_PARAMETER;
  pager_.DiscardPages(*vad, range);
  return ERROR_SUCCESS;
}

}  // namespace userpager

using userpager::Done;
using userpager::OnReservations;
using userpager::Outcome;
using userpager::PageRange;
using userpager::Reservations;
using userpager::WholePages;

DWORD OfferVirtualMemory(PVOID VirtualAddress, SIZE_T Size, OFFER_PRIORITY Priority) {
  const std::optional<PageRange> range = WholePages(VirtualAddress, Size);
  if (!range.has_value() || Priority < VmOfferPriorityVeryLow ||
      Priority > VmOfferPriorityNormal) {
    return ERROR_INVALID_PARAMETER;
  }
  const unsigned priority = static_cast<unsigned>(Priority) - VmOfferPriorityVeryLow;
  return OnReservations<Outcome>([=, all = *range](Reservations& reservations) {
           return Outcome{reservations.Offer(all, priority)};
         })
      .error;
}

DWORD ReclaimVirtualMemory(const void* VirtualAddress, SIZE_T Size) {
  const std::optional<PageRange> range = WholePages(VirtualAddress, Size);
  if (!range.has_value()) return ERROR_INVALID_PARAMETER;
  return OnReservations<Outcome>([all = *range](Reservations& reservations) {
           return Outcome{reservations.Reclaim(all)};
         })
      .error;
}

DWORD DiscardVirtualMemory(PVOID VirtualAddress, SIZE_T Size) {
  const std::optional<PageRange> range = WholePages(VirtualAddress, Size);
  if (!range.has_value()) return ERROR_INVALID_PARAMETER;
  return OnReservations<Outcome>([all = *range](Reservations& reservations) {
           return Outcome{reservations.Discard(all)};
         })
      .error;
}

BOOL PrefetchVirtualMemory(HANDLE hProcess, ULONG_PTR NumberOfEntries,
                           PWIN32_MEMORY_RANGE_ENTRY VirtualAddresses, ULONG Flags) {
  if (Flags != 0 || NumberOfEntries == 0) return Done(ERROR_INVALID_PARAMETER);
  if (VirtualAddresses == nullptr) return Done(ERROR_NOACCESS);
  if (!userpager::IsThisProcess(hProcess)) return Done(ERROR_INVALID_HANDLE);
  // All are looked at before the first has an effect. The caller's memory is read outside.
  for (ULONG_PTR i = 0; i < NumberOfEntries; ++i) {
    const WIN32_MEMORY_RANGE_ENTRY& entry = VirtualAddresses[i];
    if (!userpager::PagesOfRange(userpager::AddressOfPointer(entry.VirtualAddress),
                                 entry.NumberOfBytes)) {
      return Done(ERROR_INVALID_PARAMETER);
    }
  }
  for (ULONG_PTR i = 0; i < NumberOfEntries; ++i) {
    const WIN32_MEMORY_RANGE_ENTRY& entry = VirtualAddresses[i];
    const std::optional<PageRange> range = userpager::PagesOfRange(
        userpager::AddressOfPointer(entry.VirtualAddress), entry.NumberOfBytes);
    if (!range.has_value()) continue;  // another thread writes to the array
    const auto outcome = userpager::OnRuntime<Outcome>([all = *range](userpager::Runtime& runtime) {
      runtime.pager().Prefetch(all);
      return Outcome{};
    });
    if (outcome.error != 0) return Done(outcome.error);
  }
  return TRUE;
}
