// <userpager/write_watch.h>: GetWriteWatch and ResetWriteWatch. Results go to the caller's memory,
// which may be paged and even watched itself, so they come out in portions, and each is written
// outside of all locks.
#include <userpager/write_watch.h>

#include <algorithm>
#include <optional>

#include "runtime/api/exported_call.h"
#include "runtime/api/reservations.h"
#include "runtime/pager/pager.h"

namespace userpager {
namespace {

constexpr UINT kFailed = ~UINT{0};

UINT Failed(DWORD error) {
  SetLastError(error);
  return kFailed;
}

}  // namespace

Vad* Reservations::FindWatched(PageRange range) const {
  Vad* vad = FindWhole(range);
  return vad != nullptr && vad->watches_writes ? vad : nullptr;
}

Reservations::Written Reservations::CollectWritten(PageRange range, PageIndex from, size_t most,
                                                   AfterCollecting after) {
  Written written;
  LockHolder hold(lock_);
  Vad* vad = FindWatched(range);
  if (vad == nullptr) {
    written.error = ERROR_INVALID_PARAMETER;
    return written;
  }
  const std::span<PageIndex> room(written.pages, std::min(most, kWrittenAtATime));
  written.count =
      pager_.CollectWritten(*vad, PageRange(from, range.end), after, room, &written.next);
  return written;
}

DWORD Reservations::ForgetWrites(PageRange range) {
  LockHolder hold(lock_);
  Vad* vad = FindWatched(range);
  if (vad == nullptr) return ERROR_INVALID_PARAMETER;
  pager_.ForgetWrites(*vad, range);
  return ERROR_SUCCESS;
}

}  // namespace userpager

using userpager::Outcome;
using userpager::PageIndex;
using userpager::PageRange;
using userpager::Reservations;

UINT GetWriteWatch(DWORD dwFlags, PVOID lpBaseAddress, SIZE_T dwRegionSize, PVOID* lpAddresses,
                   ULONG_PTR* lpdwCount, LPDWORD lpdwGranularity) {
  using userpager::AfterCollecting;
  if (lpdwCount == nullptr || lpdwGranularity == nullptr) {
    return userpager::Failed(ERROR_NOACCESS);
  }
  const ULONG_PTR room = *lpdwCount;
  const std::optional<PageRange> range =
      userpager::PagesOfRange(userpager::AddressOfPointer(lpBaseAddress), dwRegionSize);
  if (room == 0 || !range.has_value() || (dwFlags & ~DWORD{WRITE_WATCH_FLAG_RESET}) != 0) {
    return userpager::Failed(ERROR_INVALID_PARAMETER);
  }
  if (lpAddresses == nullptr) return userpager::Failed(ERROR_NOACCESS);
  const AfterCollecting after = (dwFlags & WRITE_WATCH_FLAG_RESET) != 0 ? AfterCollecting::kForget
                                                                        : AfterCollecting::kKeep;
  ULONG_PTR count = 0;
  for (PageIndex next = range->begin; next < range->end && count < room;) {
    const auto found = userpager::OnReservations<Reservations::Written>(
        [=, all = *range](Reservations& reservations) {
          return reservations.CollectWritten(all, next, room - count, after);
        });
    if (found.error != 0) return userpager::Failed(found.error);
    for (size_t i = 0; i < found.count; ++i) {
      lpAddresses[count++] = userpager::PointerTo(found.pages[i]);
    }
    next = found.next;
  }
  *lpdwCount = count;
  *lpdwGranularity = userpager::kPageBytes;
  return 0;
}

UINT ResetWriteWatch(LPVOID lpBaseAddress, SIZE_T dwRegionSize) {
  const std::optional<PageRange> range =
      userpager::PagesOfRange(userpager::AddressOfPointer(lpBaseAddress), dwRegionSize);
  if (!range.has_value()) return userpager::Failed(ERROR_INVALID_PARAMETER);
  const auto outcome = userpager::OnReservations<Outcome>(
      [all = *range](Reservations& reservations) {
        return Outcome{reservations.ForgetWrites(all)};
      });
  return outcome.error == 0 ? 0 : userpager::Failed(outcome.error);
}
