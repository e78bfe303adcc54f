// The exported functions of <userpager/system_info.h> that describe the machine and whole
// reservations.
#include <userpager/system_info.h>

#include <sched.h>

#include "runtime/api/exported_call.h"
#include "runtime/api/reservations.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/large_pages.h"

using userpager::AddressOfPointer;
using userpager::Done;
using userpager::OnReservations;
using userpager::Reservations;

namespace {

#if defined(__x86_64__)
constexpr WORD kArchitecture = PROCESSOR_ARCHITECTURE_AMD64;
constexpr DWORD kProcessorType = PROCESSOR_AMD_X8664;
#else
constexpr WORD kArchitecture = PROCESSOR_ARCHITECTURE_ARM64;
constexpr DWORD kProcessorType = 0;
#endif

}  // namespace

void GetSystemInfo(LPSYSTEM_INFO lpSystemInfo) {
  cpu_set_t processors;
  CPU_ZERO(&processors);
  // EINVAL on machines of more processors than the set has room for: one is certain.
  if (sched_getaffinity(0, sizeof processors, &processors) != 0) CPU_SET(0, &processors);
  SYSTEM_INFO information = {};
  information.wProcessorArchitecture = kArchitecture;
  information.dwPageSize = userpager::kPageBytes;
  information.lpMinimumApplicationAddress = reinterpret_cast<void*>(userpager::kGranularityBytes);
  information.lpMaximumApplicationAddress =
      reinterpret_cast<void*>(userpager::AddressOf(userpager::kEndOfAddressSpace) - 1);
  for (size_t i = 0; i < 64; ++i) {
    if (CPU_ISSET(i, &processors)) information.dwActiveProcessorMask |= DWORD_PTR{1} << i;
  }
  information.dwNumberOfProcessors = static_cast<DWORD>(CPU_COUNT(&processors));
  information.dwProcessorType = kProcessorType;
  information.dwAllocationGranularity = userpager::kGranularityBytes;
  *lpSystemInfo = information;
}

SIZE_T GetLargePageMinimum(void) {
  return userpager::HasLargePages() ? userpager::kLargePageBytes : 0;
}

BOOL QueryVirtualMemoryInformation(HANDLE Process, const void* VirtualAddress,
                                   WIN32_MEMORY_INFORMATION_CLASS MemoryInformationClass,
                                   PVOID MemoryInformation, SIZE_T MemoryInformationSize,
                                   PSIZE_T ReturnSize) {
  const uint64_t address = AddressOfPointer(VirtualAddress);
  if (MemoryInformationClass != MemoryRegionInfo) return Done(ERROR_INVALID_PARAMETER);
  if (MemoryInformationSize < sizeof(WIN32_MEMORY_REGION_INFORMATION)) {
    return Done(ERROR_BAD_LENGTH);
  }
  if (MemoryInformation == nullptr) return Done(ERROR_NOACCESS);
  if (!userpager::PagesOfRange(address, 1)) return Done(ERROR_INVALID_PARAMETER);
  if (Process != GetCurrentProcess()) return Done(ERROR_INVALID_HANDLE);
  const auto answer = OnReservations<Reservations::Region>(
      [=](Reservations& reservations) { return reservations.QueryRegion(address); });
  if (!Done(answer.error)) return FALSE;
  *static_cast<WIN32_MEMORY_REGION_INFORMATION*>(MemoryInformation) = answer.information;
  if (ReturnSize != nullptr) *ReturnSize = sizeof answer.information;
  return TRUE;
}
