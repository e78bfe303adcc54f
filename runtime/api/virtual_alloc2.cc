// The exported functions of <userpager/virtual_alloc2.h>. Extended parameters are the caller's
// memory: they are read here, before any lock.
#include <userpager/virtual_alloc2.h>

#include <bit>
#include <optional>

#include "runtime/api/allocation_callers.h"
#include "runtime/api/allocation_flags.h"
#include "runtime/api/exported_call.h"
#include "runtime/api/reservations.h"
#include "runtime/platform/address_search.h"

namespace userpager {
namespace {

// Any number of nodes that Windows knows, or no preference.
constexpr DWORD kNumaNodes = 64;
constexpr DWORD kNoNumaNode = UINT32_MAX;
constexpr DWORD64 kHints = MEM_EXTENDED_PARAMETER_GRAPHICS |
                           MEM_EXTENDED_PARAMETER_ZERO_PAGES_OPTIONAL |
                           MEM_EXTENDED_PARAMETER_SOFT_FAULT_PAGES;
constexpr DWORD64 kNonPaged = MEM_EXTENDED_PARAMETER_NONPAGED |
                              MEM_EXTENDED_PARAMETER_NONPAGED_LARGE |
                              MEM_EXTENDED_PARAMETER_NONPAGED_HUGE;

// What the extended parameters of a call come to.
struct Extended {
  DWORD error = 0;
  bool constrained = false;  // a requirement is not zero
  AddressRequirements where;
};

DWORD ReadRequirements(const MEM_ADDRESS_REQUIREMENTS* given, Extended* extended) {
  if (given == nullptr) return ERROR_INVALID_PARAMETER;
  const uint64_t lowest = AddressOfPointer(given->LowestStartingAddress);
  const uint64_t highest = AddressOfPointer(given->HighestEndingAddress);
  const uint64_t end_of_space = AddressOf(kEndOfAddressSpace);
  if (lowest % kGranularityBytes != 0 || lowest >= end_of_space) return ERROR_INVALID_PARAMETER;
  if (highest != 0) {
    if ((highest + 1) % kPageBytes != 0 || highest >= end_of_space || lowest > highest) {
      return ERROR_INVALID_PARAMETER;
    }
    extended->where.end = PageOf(highest + 1);
  }
  if (given->Alignment != 0) {
    if (!std::has_single_bit(given->Alignment) || given->Alignment < kGranularityBytes) {
      return ERROR_INVALID_PARAMETER;
    }
    extended->where.alignment = PageCount(given->Alignment / kPageBytes);
  }
  if (lowest != 0) extended->where.lowest = PageOf(lowest);
  extended->constrained = lowest != 0 || highest != 0 || given->Alignment != 0;
  return ERROR_SUCCESS;
}

DWORD ReadAttributes(DWORD64 flags) {
  if ((flags & ~(kHints | kNonPaged)) != 0) return ERROR_INVALID_PARAMETER;
  return (flags & kNonPaged) != 0 ? ERROR_NOT_SUPPORTED : ERROR_SUCCESS;
}

DWORD ReadParameter(const MEM_EXTENDED_PARAMETER& parameter, Extended* extended) {
  if (parameter.Reserved != 0) return ERROR_INVALID_PARAMETER;
  switch (parameter.Type) {
    case MemExtendedParameterAddressRequirements:
      return ReadRequirements(static_cast<const MEM_ADDRESS_REQUIREMENTS*>(parameter.Pointer),
                              extended);
    case MemExtendedParameterNumaNode:
      return parameter.ULong < kNumaNodes || parameter.ULong == kNoNumaNode
                 ? ERROR_SUCCESS
                 : ERROR_INVALID_PARAMETER;
    case MemExtendedParameterPartitionHandle:
    case MemExtendedParameterUserPhysicalHandle:
      return ERROR_INVALID_HANDLE;
    case MemExtendedParameterAttributeFlags:
      return ReadAttributes(parameter.ULong64);
    default:
      return ERROR_INVALID_PARAMETER;
  }
}

Extended ReadExtended(const MEM_EXTENDED_PARAMETER* parameters, ULONG count) {
  Extended extended;
  if (count != 0 && parameters == nullptr) return {ERROR_INVALID_PARAMETER, false, {}};
  unsigned seen = 0;
  for (ULONG i = 0; i < count; ++i) {
    // More parameters than types: one of them comes twice.
    const unsigned bit = 1u << (parameters[i].Type % MemExtendedParameterMax);
    extended.error = (seen & bit) != 0 ? ERROR_INVALID_PARAMETER
                                       : ReadParameter(parameters[i], &extended);
    if (extended.error != 0) return extended;
    seen |= bit;
  }
  return extended;
}

bool IsExecutable(DWORD protect) {
  return (protect & (PAGE_EXECUTE | PAGE_EXECUTE_READ | PAGE_EXECUTE_READWRITE |
                     PAGE_EXECUTE_WRITECOPY)) != 0;
}

// What is wrong with the call before its extended parameters are looked at.
DWORD CheckCall(uint64_t address, SIZE_T bytes, DWORD type, DWORD protect) {
  if (const DWORD error = CheckAllocationType2(type); error != 0) return error;
  if (const DWORD error = CheckAllocationProtection(type, protect); error != 0) return error;
  if (!PagesOfRange(address, bytes)) return ERROR_INVALID_PARAMETER;
  if ((type & MEM_REPLACE_PLACEHOLDER) != 0 && address == 0) return ERROR_INVALID_PARAMETER;
  return ERROR_SUCCESS;
}

}  // namespace
}  // namespace userpager

using userpager::AddressOfPointer;
using userpager::Done;
using userpager::Reservations;

PVOID VirtualAlloc2(HANDLE Process, PVOID BaseAddress, SIZE_T Size, ULONG AllocationType,
                    ULONG PageProtection, MEM_EXTENDED_PARAMETER* ExtendedParameters,
                    ULONG ParameterCount) {
  const uint64_t address = AddressOfPointer(BaseAddress);
  DWORD error = userpager::CheckCall(address, Size, AllocationType, PageProtection);
  if (!Done(error)) return nullptr;
  const userpager::Extended extended =
      userpager::ReadExtended(ExtendedParameters, ParameterCount);
  error = extended.error;
  if (error == 0 && extended.constrained && address != 0) error = ERROR_INVALID_PARAMETER;
  if (error == 0 && Process != nullptr && Process != GetCurrentProcess()) {
    error = ERROR_INVALID_HANDLE;
  }
  if (!Done(error)) return nullptr;
  const userpager::Protection protection = *userpager::DecodeProtection(PageProtection);
  const auto made =
      userpager::OnReservations<Reservations::Allocated>([=](Reservations& reservations) {
        if (extended.constrained) {
          return reservations.AllocateWithin(extended.where, Size, AllocationType, protection);
        }
        return reservations.Allocate(address, Size, AllocationType, protection);
      });
  if (!Done(made.error)) return nullptr;
  void* base = reinterpret_cast<void*>(made.address);
  if (userpager::Reserves(address, AllocationType)) {
    userpager::TellCallers(base, Size, __builtin_return_address(0));
  }
  return base;
}

PVOID VirtualAllocFromApp(PVOID BaseAddress, SIZE_T Size, ULONG AllocationType,
                          ULONG Protection) {
  if (userpager::IsExecutable(Protection)) {
    SetLastError(ERROR_INVALID_PARAMETER);
    return nullptr;
  }
  return VirtualAlloc(BaseAddress, Size, AllocationType, Protection);
}

PVOID VirtualAlloc2FromApp(HANDLE Process, PVOID BaseAddress, SIZE_T Size, ULONG AllocationType,
                           ULONG PageProtection, MEM_EXTENDED_PARAMETER* ExtendedParameters,
                           ULONG ParameterCount) {
  if (userpager::IsExecutable(PageProtection)) {
    SetLastError(ERROR_INVALID_PARAMETER);
    return nullptr;
  }
  return VirtualAlloc2(Process, BaseAddress, Size, AllocationType, PageProtection,
                       ExtendedParameters, ParameterCount);
}

BOOL VirtualProtectFromApp(PVOID Address, SIZE_T Size, ULONG NewProtection,
                           ULONG* OldProtection) {
  return VirtualProtect(Address, Size, NewProtection, OldProtection);
}
