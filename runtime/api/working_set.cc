// The limits of the working set, and the exported functions that set and tell them.
#include "runtime/api/working_set.h"

#include <userpager/working_set.h>

#include <algorithm>
#include <optional>

#include "runtime/api/exported_call.h"
#include "runtime/api/runtime.h"

namespace userpager {
namespace {

constexpr PageCount kLeastMinimum{20};
constexpr PageCount kLeastMaximum{13};
constexpr DWORD kKnownFlags = QUOTA_LIMITS_HARDWS_MIN_ENABLE | QUOTA_LIMITS_HARDWS_MIN_DISABLE |
                              QUOTA_LIMITS_HARDWS_MAX_ENABLE | QUOTA_LIMITS_HARDWS_MAX_DISABLE;

bool AreFlagsValid(DWORD flags) {
  const auto has_both = [flags](DWORD a, DWORD b) { return (flags & a) != 0 && (flags & b) != 0; };
  return (flags & ~kKnownFlags) == 0 &&
         !has_both(QUOTA_LIMITS_HARDWS_MIN_ENABLE, QUOTA_LIMITS_HARDWS_MIN_DISABLE) &&
         !has_both(QUOTA_LIMITS_HARDWS_MAX_ENABLE, QUOTA_LIMITS_HARDWS_MAX_DISABLE);
}

bool NextHard(bool before, bool enable, bool disable) { return enable || (before && !disable); }

// The limits that `before` becomes; nullopt where the arguments are wrong.
std::optional<WorkingSet::Limits> NextLimits(const WorkingSet::Limits& before,
                                             uint64_t minimum_bytes, uint64_t maximum_bytes,
                                             DWORD flags) {
  const PageCount maximum(maximum_bytes >> kPageShift);
  if (!AreFlagsValid(flags) || minimum_bytes == 0 || minimum_bytes > maximum_bytes ||
      maximum < kLeastMaximum) {
    return std::nullopt;
  }
  WorkingSet::Limits next;
  next.minimum = std::max(PageCount(minimum_bytes >> kPageShift), kLeastMinimum);
  next.maximum = std::max(maximum, kLeastMinimum);
  next.hard_minimum =
      NextHard(before.hard_minimum, (flags & QUOTA_LIMITS_HARDWS_MIN_ENABLE) != 0,
               (flags & QUOTA_LIMITS_HARDWS_MIN_DISABLE) != 0);
  next.hard_maximum =
      NextHard(before.hard_maximum, (flags & QUOTA_LIMITS_HARDWS_MAX_ENABLE) != 0,
               (flags & QUOTA_LIMITS_HARDWS_MAX_DISABLE) != 0);
  return next;
}

// Page-out keeps a part of the memory limit free, and one parked.
bool CanHold(PageCount memory_limit, const WorkingSet::Limits& limits) {
  const uint64_t most =
      limits.hard_minimum ? memory_limit.value() / 4 * 3 : memory_limit.value();
  return limits.minimum.value() <= most;
}

DWORD ErrorOfLimit(int failed) {
  switch (failed) {
    case 0: return ERROR_SUCCESS;
    case USERPAGER_ERROR_BUSY: return ERROR_BUSY;
    case USERPAGER_ERROR_NO_SPACE: return ERROR_COMMITMENT_LIMIT;
    case USERPAGER_ERROR_MEMORY_LIMIT: return ERROR_INVALID_PARAMETER;
    default: return ERROR_NO_SYSTEM_RESOURCES;
  }
}

PageCount LockQuota(const WorkingSet::Limits& limits) {
  return limits.minimum - WorkingSet::kLockOverhead;
}

struct GivenLimits {
  DWORD error = 0;
  WorkingSet::Limits limits;
};

GivenLimits LimitsNow() {
  return OnRuntime<GivenLimits>(
      [](Runtime& runtime) { return GivenLimits{0, runtime.working_set().limits()}; });
}

DWORD EmptyNow() {
  return OnReservations<Outcome>([](Reservations& reservations) {
           reservations.EmptyWorkingSet();
           return Outcome{};
         })
      .error;
}

DWORD SetNow(HANDLE process, uint64_t minimum, uint64_t maximum, DWORD flags) {
  if (!IsThisProcess(process)) return ERROR_INVALID_HANDLE;
  if (minimum == SIZE_MAX && maximum == SIZE_MAX && AreFlagsValid(flags)) return EmptyNow();
  return OnRuntime<Outcome>([=](Runtime& runtime) {
           return Outcome{runtime.working_set().SetLimits(minimum, maximum, flags)};
         })
      .error;
}

}  // namespace

void WorkingSet::Begin() {
  LockHolder hold(lock_);
  state_.memory_limit = pager_.frames().limit();
  pager_.set_lock_quota(LockQuota(state_.limits));
}

WorkingSet::Limits WorkingSet::limits() {
  LockHolder hold(lock_);
  return state_.limits;
}

bool WorkingSet::BeginChange(State* from) {
  LockHolder hold(lock_);
  if (changing_) return false;
  changing_ = true;
  *from = state_;
  return true;
}

void WorkingSet::EndChange(const State& now) {
  LockHolder hold(lock_);
  state_ = now;
  changing_ = false;
  pager_.set_lock_quota(LockQuota(now.limits));
}

DWORD WorkingSet::SetLimits(uint64_t minimum_bytes, uint64_t maximum_bytes, DWORD flags) {
  State from;
  if (!BeginChange(&from)) return ERROR_BUSY;
  State to = from;
  DWORD error = ERROR_INVALID_PARAMETER;
  if (const std::optional<Limits> next =
          NextLimits(from.limits, minimum_bytes, maximum_bytes, flags);
      next.has_value()) {
    to.limits = *next;
    error = ERROR_NO_SYSTEM_RESOURCES;
    if (CanHold(to.Effective(), to.limits)) {
      LogLine line;
      error = ErrorOfLimit(Apply(from, to, &line));
    }
  }
  EndChange(error == ERROR_SUCCESS ? to : from);
  return error;
}

int WorkingSet::SetMemoryLimit(PageCount limit, LogLine* error) {
  State from;
  if (!BeginChange(&from)) {
    *error << "the memory limit cannot be changed: another thread is changing it; try again";
    return USERPAGER_ERROR_BUSY;
  }
  State to = from;
  to.memory_limit = limit;
  const int failed = Apply(from, to, error);
  EndChange(failed == 0 ? to : from);
  return failed;
}

int WorkingSet::Apply(const State& from, const State& to, LogLine* error) {
  if (from.Effective() == to.Effective()) return 0;
  return reservations_.SetMemoryLimit(to.Effective(), error);
}

void Reservations::EmptyWorkingSet() {
  PageIndex next(0);
  for (;;) {
    // One reservation after the other: who allocates need not wait for all.
    LockHolder hold(lock_);
    Vad* vad = tree_.AtOrAfter(next);
    if (vad == nullptr) return;
    if (vad->kind == VadKind::kPaged) pager_.TrimPages(*vad, vad->range);
    next = vad->range.end;
  }
}

}  // namespace userpager

using userpager::BytesOf;
using userpager::Done;
using userpager::WorkingSet;

BOOL SetProcessWorkingSetSize(HANDLE hProcess, SIZE_T dwMinimumWorkingSetSize,
                              SIZE_T dwMaximumWorkingSetSize) {
  return SetProcessWorkingSetSizeEx(hProcess, dwMinimumWorkingSetSize, dwMaximumWorkingSetSize, 0);
}

BOOL SetProcessWorkingSetSizeEx(HANDLE hProcess, SIZE_T dwMinimumWorkingSetSize,
                                SIZE_T dwMaximumWorkingSetSize, DWORD Flags) {
  return Done(
      userpager::SetNow(hProcess, dwMinimumWorkingSetSize, dwMaximumWorkingSetSize, Flags));
}

BOOL GetProcessWorkingSetSize(HANDLE hProcess, PSIZE_T lpMinimumWorkingSetSize,
                              PSIZE_T lpMaximumWorkingSetSize) {
  DWORD flags = 0;
  return GetProcessWorkingSetSizeEx(hProcess, lpMinimumWorkingSetSize, lpMaximumWorkingSetSize,
                                    &flags);
}

BOOL GetProcessWorkingSetSizeEx(HANDLE hProcess, PSIZE_T lpMinimumWorkingSetSize,
                                PSIZE_T lpMaximumWorkingSetSize, PDWORD Flags) {
  if (!userpager::IsThisProcess(hProcess)) return Done(ERROR_INVALID_HANDLE);
  if (lpMinimumWorkingSetSize == nullptr || lpMaximumWorkingSetSize == nullptr ||
      Flags == nullptr) {
    return Done(ERROR_NOACCESS);
  }
  const auto given = userpager::LimitsNow();
  if (!Done(given.error)) return FALSE;
  const WorkingSet::Limits& limits = given.limits;
  *lpMinimumWorkingSetSize = BytesOf(limits.minimum);
  *lpMaximumWorkingSetSize = BytesOf(limits.maximum);
  *Flags = (limits.hard_minimum ? QUOTA_LIMITS_HARDWS_MIN_ENABLE
                                : QUOTA_LIMITS_HARDWS_MIN_DISABLE) |
           (limits.hard_maximum ? QUOTA_LIMITS_HARDWS_MAX_ENABLE
                                : QUOTA_LIMITS_HARDWS_MAX_DISABLE);
  return TRUE;
}

BOOL EmptyWorkingSet(HANDLE hProcess) {
  if (!userpager::IsThisProcess(hProcess)) return Done(ERROR_INVALID_HANDLE);
  return Done(userpager::EmptyNow());
}
