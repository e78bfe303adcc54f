// Counters of <userpager/working_set.h>: of the process, of the "machine" that the memory limit and
// the page file are, and the notifications of low and high memory.
#include <userpager/working_set.h>

#include <algorithm>
#include <cstring>

#include "runtime/api/exported_call.h"
#include "runtime/api/reservations.h"
#include "runtime/api/runtime.h"
#include "runtime/base/arena.h"
#include "runtime/observe/counters.h"
#include "runtime/platform/address_map.h"

namespace userpager {
namespace {

struct MemoryCounters {
  DWORD error = 0;
  uint64_t page_faults = 0;
  PageCount working_set;
  PageCount working_set_peak;
  PageCount memory_limit;
  PageCount memory_free;
  PageCount commit;
  PageCount commit_peak;
  PageCount commit_limit;
  PageCount reserved;
};

// Soft and hard faults, and pages that came as zeros: each of these would be a fault of its own on
// Windows.
uint64_t PageFaults(const CounterTotals& totals) {
  return totals.zero_pages.value() +
         totals.faults[static_cast<unsigned>(FaultKind::kSoft)].value() +
         totals.faults[static_cast<unsigned>(FaultKind::kHard)].value();
}

MemoryCounters Collect(Runtime& runtime) {
  // Too large for the runtime's stacks.
  CounterTotals* totals = ArenaNew<CounterTotals>();
  if (totals == nullptr) return Refused<MemoryCounters>(ERROR_NO_SYSTEM_RESOURCES);
  const Pager& pager = runtime.pager();
  pager.CollectCounters(totals);
  MemoryCounters counters;
  counters.page_faults = PageFaults(*totals);
  ArenaDelete(totals);
  const FrameLedger& frames = pager.frames();
  counters.working_set = frames.mapped();
  counters.working_set_peak = frames.mapped_peak();
  counters.memory_limit = frames.limit();
  counters.memory_free = frames.free();
  const CommitCharge& charge = runtime.reservations().charge();
  counters.commit = charge.charged();
  counters.commit_peak = charge.peak();
  counters.commit_limit = pager.CommitLimitMost();
  counters.reserved = runtime.reservations().ReservedPages();
  return counters;
}

MemoryCounters CountersNow() { return OnRuntime<MemoryCounters>(Collect); }

// The objects that the handles of notifications stand for.
struct ResourceNotification {
  MEMORY_RESOURCE_NOTIFICATION_TYPE type;
};
constinit ResourceNotification low_memory{LowMemoryResourceNotification};
constinit ResourceNotification high_memory{HighMemoryResourceNotification};

// Page-out begins below a hundredth of the limit, so memory is low well before.
bool IsSignaled(const ResourceNotification& notification, const FrameLedger& frames) {
  const uint64_t free = frames.free().value();
  const uint64_t limit = frames.limit().value();
  return notification.type == LowMemoryResourceNotification ? free < limit / 16
                                                            : free > limit / 4;
}

struct Signaled {
  DWORD error = 0;
  bool on = false;
};

}  // namespace

PageCount Reservations::ReservedPages() {
  PageCount reserved;
  LockHolder hold(lock_);
  for (const Vad* vad = tree_.AtOrAfter(PageIndex(0)); vad != nullptr; vad = tree_.Next(*vad)) {
    reserved += vad->range.count();
  }
  return reserved;
}

}  // namespace userpager

using userpager::BytesOf;
using userpager::Done;
using userpager::Less;
using userpager::MemoryCounters;

BOOL GetProcessMemoryInfo(HANDLE Process, PPROCESS_MEMORY_COUNTERS ppsmemCounters, DWORD cb) {
  if (!userpager::IsThisProcess(Process)) return Done(ERROR_INVALID_HANDLE);
  if (ppsmemCounters == nullptr) return Done(ERROR_NOACCESS);
  if (cb < sizeof(PROCESS_MEMORY_COUNTERS)) return Done(ERROR_INSUFFICIENT_BUFFER);
  const MemoryCounters now = userpager::CountersNow();
  if (!Done(now.error)) return FALSE;
  PROCESS_MEMORY_COUNTERS_EX all = {};
  const size_t bytes = cb < sizeof all ? sizeof(PROCESS_MEMORY_COUNTERS) : sizeof all;
  all.cb = static_cast<DWORD>(bytes);
  all.PageFaultCount = static_cast<DWORD>(now.page_faults);
  all.PeakWorkingSetSize = BytesOf(now.working_set_peak);
  all.WorkingSetSize = BytesOf(now.working_set);
  all.PagefileUsage = BytesOf(now.commit);
  all.PeakPagefileUsage = BytesOf(now.commit_peak);
  all.PrivateUsage = all.PagefileUsage;
  memcpy(ppsmemCounters, &all, bytes);
  return TRUE;
}

BOOL GlobalMemoryStatusEx(LPMEMORYSTATUSEX lpBuffer) {
  if (lpBuffer == nullptr) return Done(ERROR_NOACCESS);
  if (lpBuffer->dwLength != sizeof *lpBuffer) return Done(ERROR_INVALID_PARAMETER);
  const MemoryCounters now = userpager::CountersNow();
  if (!Done(now.error)) return FALSE;
  const uint64_t total = now.memory_limit.value();
  const uint64_t space = userpager::AddressOf(userpager::kEndOfAddressSpace);
  MEMORYSTATUSEX status = {};
  status.dwLength = sizeof status;
  status.dwMemoryLoad = static_cast<DWORD>((total - now.memory_free.value()) * 100 / total);
  status.ullTotalPhys = BytesOf(now.memory_limit);
  status.ullAvailPhys = BytesOf(now.memory_free);
  status.ullTotalPageFile = BytesOf(now.commit_limit);
  status.ullAvailPageFile = BytesOf(Less(now.commit_limit, now.commit));
  status.ullTotalVirtual = space;
  status.ullAvailVirtual = space - BytesOf(now.reserved);
  *lpBuffer = status;
  return TRUE;
}

BOOL GetPerformanceInfo(PPERFORMANCE_INFORMATION pPerformanceInformation, DWORD cb) {
  if (pPerformanceInformation == nullptr) return Done(ERROR_NOACCESS);
  if (cb < sizeof *pPerformanceInformation) return Done(ERROR_BAD_LENGTH);
  const MemoryCounters now = userpager::CountersNow();
  if (!Done(now.error)) return FALSE;
  PERFORMANCE_INFORMATION information = {};
  information.cb = sizeof information;
  information.CommitTotal = now.commit.value();
  information.CommitLimit = now.commit_limit.value();
  information.CommitPeak = now.commit_peak.value();
  information.PhysicalTotal = now.memory_limit.value();
  information.PhysicalAvailable = now.memory_free.value();
  information.SystemCache =
      Less(Less(now.memory_limit, now.memory_free), now.working_set).value();
  information.PageSize = userpager::kPageBytes;
  information.ProcessCount = 1;
  *pPerformanceInformation = information;
  return TRUE;
}

HANDLE CreateMemoryResourceNotification(MEMORY_RESOURCE_NOTIFICATION_TYPE NotificationType) {
  switch (NotificationType) {
    case LowMemoryResourceNotification: return &userpager::low_memory;
    case HighMemoryResourceNotification: return &userpager::high_memory;
  }
  Done(ERROR_INVALID_PARAMETER);
  return nullptr;
}

BOOL QueryMemoryResourceNotification(HANDLE ResourceNotificationHandle, PBOOL ResourceState) {
  const userpager::ResourceNotification* notification = nullptr;
  for (const auto* each : {&userpager::low_memory, &userpager::high_memory}) {
    if (each == ResourceNotificationHandle) notification = each;
  }
  if (notification == nullptr) return Done(ERROR_INVALID_HANDLE);
  if (ResourceState == nullptr) return Done(ERROR_NOACCESS);
  const auto signaled =
      userpager::OnRuntime<userpager::Signaled>([=](userpager::Runtime& runtime) {
        return userpager::Signaled{
            0, userpager::IsSignaled(*notification, runtime.pager().frames())};
      });
  if (!Done(signaled.error)) return FALSE;
  *ResourceState = signaled.on ? TRUE : FALSE;
  return TRUE;
}
