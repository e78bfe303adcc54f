// The words of the VirtualAlloc family (allocation types, free types, protections) checked and
// turned into the runtime's own. Pure functions; the rules are those of "VirtualAlloc function
// (memoryapi.h)" and "Memory Protection Constants (WinNT.h)" on learn.microsoft.com.
#ifndef USERPAGER_API_ALLOCATION_FLAGS_H_
#define USERPAGER_API_ALLOCATION_FLAGS_H_

#include <userpager/virtual_alloc.h>

#include <cstdint>
#include <optional>

#include "runtime/address_space/protection.h"

namespace userpager {

// ERROR_SUCCESS where the flags go together, else ERROR_INVALID_PARAMETER.
DWORD CheckAllocationType(DWORD type);
// The same for VirtualAlloc2, which has placeholders.
DWORD CheckAllocationType2(DWORD type);
// The same for the protection of an allocation of a type that is not invalid.
DWORD CheckAllocationProtection(DWORD type, DWORD protect);
// ERROR_SUCCESS or ERROR_INVALID_PARAMETER.
DWORD CheckFreeType(DWORD type);

// Whether an allocation of this type at this address makes a region of its own.
inline bool Reserves(uint64_t address, DWORD type) {
  return (type & MEM_RESERVE) != 0 || (address == 0 && (type & MEM_COMMIT) != 0);
}

// nullopt where private memory cannot have that protection.
std::optional<Protection> DecodeProtection(DWORD protect);
DWORD EncodeProtection(Protection protection);

// What a page whose own protection is `page` has in a reservation made with `allocation`: caching
// belongs to the reservation, and does not show where there is no access.
Protection ShownProtection(Protection page, Protection allocation);

}  // namespace userpager

#endif  // USERPAGER_API_ALLOCATION_FLAGS_H_
