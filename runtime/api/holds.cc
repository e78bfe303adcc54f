// Buffers of system calls: brought into memory, and kept there while the call lasts.
#include <errno.h>

#include "runtime/api/page_run.h"
#include "runtime/api/reservations.h"

namespace userpager {
namespace {

int Refuse(int code, const char* call, PageRange range, const char* why, LogLine* error) {
  *error << call << ": " << range.count().value() << " page(s) at " << Hex{AddressOf(range.begin)}
         << " " << why;
  return code;
}

}  // namespace

int Reservations::Hold(uint64_t address, uint64_t bytes, bool for_writing, LogLine* error) {
  const std::optional<PageRange> range = PagesOfRange(address, bytes);
  if (!range.has_value()) {
    return Refuse(USERPAGER_ERROR_BAD_RANGE, "userpager_hold", PageRange(), "are none", error);
  }
  if (const int refused = BeginHold(*range, for_writing, error); refused != 0) return refused;
  const Errno failed = pager_.BringIn(*range);
  if (failed == 0) {
    if (for_writing) pager_.OpenForWriting(*range);
    return 0;
  }
  LogLine unused;
  (void)EndHold(*range, &unused);
  return failed == EIO ? Refuse(USERPAGER_ERROR_PAGE_LOST, "userpager_hold", *range,
                                "cannot all be brought in: the page file lost one of them", error)
                       : Refuse(USERPAGER_ERROR_BUSY, "userpager_hold", *range,
                                "do not fit into memory beside what is locked and held", error);
}

int Reservations::ReleaseHold(uint64_t address, uint64_t bytes, LogLine* error) {
  const std::optional<PageRange> range = PagesOfRange(address, bytes);
  if (!range.has_value()) {
    return Refuse(USERPAGER_ERROR_BAD_RANGE, "userpager_release", PageRange(), "are none", error);
  }
  return EndHold(*range, error);
}

int Reservations::BeginHold(PageRange range, bool for_writing, LogLine* error) {
  LockHolder hold(lock_);
  Vad* vad = FindWhole(range);
  const bool fits = vad != nullptr && ForEachRun(*vad, range, [for_writing](const PageRun& run) {
    return run.committed && (for_writing ? run.protection.AllowsWrite()
                                         : run.protection.AllowsAccess());
  });
  if (!fits) {
    return Refuse(USERPAGER_ERROR_BAD_RANGE, "userpager_hold", range,
                  "are not all committed, in one reservation, with a protection that allows this",
                  error);
  }
  if (pager_.HoldPages(*vad, range) == 0) return 0;
  return Refuse(USERPAGER_ERROR_BUSY, "userpager_hold", range,
                "are more than the memory limit leaves for pages that are locked and held, or are "
                "held too often; release some, or raise the limit",
                error);
}

int Reservations::EndHold(PageRange range, LogLine* error) {
  LockHolder hold(lock_);
  Vad* vad = FindWhole(range);
  if (vad != nullptr && pager_.ReleasePages(*vad, range)) return 0;
  return Refuse(USERPAGER_ERROR_BAD_RANGE, "userpager_release", range, "are not all held", error);
}

}  // namespace userpager
