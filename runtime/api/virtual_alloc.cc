// The exported functions of <userpager/virtual_alloc.h>: arguments that need no lock are checked
// here, in the order in which Windows does, and the caller's memory is written here, outside of all
// locks. The forms that name a process do the work; the others name the calling process.
#include <userpager/virtual_alloc.h>

#include <optional>

#include "runtime/api/allocation_callers.h"
#include "runtime/api/allocation_flags.h"
#include "runtime/api/exported_call.h"
#include "runtime/api/reservations.h"
#include "runtime/api/thread_state.h"

using userpager::AddressOfPointer;
using userpager::Done;
using userpager::OnReservations;
using userpager::Outcome;
using userpager::Reservations;

namespace {

// The process of a call whose other arguments are in order.
DWORD CheckProcess(HANDLE process) {
  return userpager::IsThisProcess(process) ? ERROR_SUCCESS : ERROR_INVALID_HANDLE;
}

// `caller`: the return address of the exported function.
void* Allocate(HANDLE process, void* at, SIZE_T bytes, DWORD type, DWORD protect,
               const void* caller) {
  DWORD error = userpager::CheckAllocationType(type);
  if (error == 0) error = userpager::CheckAllocationProtection(type, protect);
  const uint64_t address = AddressOfPointer(at);
  if (error == 0 && !userpager::PagesOfRange(address, bytes)) error = ERROR_INVALID_PARAMETER;
  if (error == 0) error = CheckProcess(process);
  if (!Done(error)) return nullptr;
  const userpager::Protection protection = *userpager::DecodeProtection(protect);
  const auto made = OnReservations<Reservations::Allocated>([=](Reservations& reservations) {
    return reservations.Allocate(address, bytes, type, protection);
  });
  if (!Done(made.error)) return nullptr;
  void* base = reinterpret_cast<void*>(made.address);
  if (userpager::Reserves(address, type)) userpager::TellCallers(base, bytes, caller);
  return base;
}

}  // namespace

HANDLE GetCurrentProcess(void) { return reinterpret_cast<HANDLE>(intptr_t{-1}); }

LPVOID VirtualAlloc(LPVOID lpAddress, SIZE_T dwSize, DWORD flAllocationType, DWORD flProtect) {
  return Allocate(GetCurrentProcess(), lpAddress, dwSize, flAllocationType, flProtect,
                  __builtin_return_address(0));
}

LPVOID VirtualAllocEx(HANDLE hProcess, LPVOID lpAddress, SIZE_T dwSize, DWORD flAllocationType,
                      DWORD flProtect) {
  return Allocate(hProcess, lpAddress, dwSize, flAllocationType, flProtect,
                  __builtin_return_address(0));
}

BOOL VirtualFree(LPVOID lpAddress, SIZE_T dwSize, DWORD dwFreeType) {
  return VirtualFreeEx(GetCurrentProcess(), lpAddress, dwSize, dwFreeType);
}

BOOL VirtualFreeEx(HANDLE hProcess, LPVOID lpAddress, SIZE_T dwSize, DWORD dwFreeType) {
  DWORD error = userpager::CheckFreeType(dwFreeType);
  // What is released whole is told by its address, what concerns placeholders by its size as well.
  const bool sized = dwFreeType != MEM_DECOMMIT && dwFreeType != MEM_RELEASE;
  if (error == 0 && dwFreeType != MEM_DECOMMIT && sized != (dwSize != 0)) {
    error = ERROR_INVALID_PARAMETER;
  }
  if (error == 0) error = CheckProcess(hProcess);
  if (!Done(error)) return FALSE;
  const uint64_t address = AddressOfPointer(lpAddress);
  const auto outcome = OnReservations<Outcome>([=](Reservations& reservations) {
    switch (dwFreeType) {
      case MEM_DECOMMIT: return Outcome{reservations.Decommit(address, dwSize)};
      case MEM_RELEASE: return Outcome{reservations.Release(address)};
      case MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER:
        return Outcome{reservations.PreservePlaceholder(address, dwSize)};
      default: return Outcome{reservations.CoalescePlaceholders(address, dwSize)};
    }
  });
  return Done(outcome.error);
}

BOOL VirtualProtect(LPVOID lpAddress, SIZE_T dwSize, DWORD flNewProtect, PDWORD lpflOldProtect) {
  return VirtualProtectEx(GetCurrentProcess(), lpAddress, dwSize, flNewProtect, lpflOldProtect);
}

BOOL VirtualProtectEx(HANDLE hProcess, LPVOID lpAddress, SIZE_T dwSize, DWORD flNewProtect,
                      PDWORD lpflOldProtect) {
  const std::optional<userpager::Protection> protection =
      userpager::DecodeProtection(flNewProtect);
  if (!protection.has_value()) return Done(ERROR_INVALID_PARAMETER);
  if (lpflOldProtect == nullptr) return Done(ERROR_NOACCESS);
  const uint64_t address = AddressOfPointer(lpAddress);
  if (!userpager::PagesOfRange(address, dwSize)) return Done(ERROR_INVALID_PARAMETER);
  if (const DWORD foreign = CheckProcess(hProcess); foreign != 0) return Done(foreign);
  const auto changed = OnReservations<Reservations::Protected>(
      [=, wanted = *protection](Reservations& reservations) {
        return reservations.Protect(address, dwSize, wanted);
      });
  *lpflOldProtect = changed.old_protect;
  return Done(changed.error);
}

SIZE_T VirtualQuery(LPCVOID lpAddress, PMEMORY_BASIC_INFORMATION lpBuffer, SIZE_T dwLength) {
  return VirtualQueryEx(GetCurrentProcess(), lpAddress, lpBuffer, dwLength);
}

SIZE_T VirtualQueryEx(HANDLE hProcess, LPCVOID lpAddress, PMEMORY_BASIC_INFORMATION lpBuffer,
                      SIZE_T dwLength) {
  DWORD error = 0;
  if (dwLength < sizeof *lpBuffer) {
    error = ERROR_BAD_LENGTH;
  } else if (lpBuffer == nullptr) {
    error = ERROR_NOACCESS;
  } else if (!userpager::PagesOfRange(AddressOfPointer(lpAddress), 1)) {
    error = ERROR_INVALID_PARAMETER;
  } else {
    error = CheckProcess(hProcess);
  }
  if (!Done(error)) return 0;
  const uint64_t address = AddressOfPointer(lpAddress);
  const auto answer = OnReservations<Reservations::Queried>(
      [=](Reservations& reservations) { return reservations.Query(address); });
  if (!Done(answer.error)) return 0;
  *lpBuffer = answer.information;
  return sizeof *lpBuffer;
}

BOOL VirtualLock(LPVOID lpAddress, SIZE_T dwSize) {
  const uint64_t address = AddressOfPointer(lpAddress);
  if (!userpager::PagesOfRange(address, dwSize)) return Done(ERROR_INVALID_PARAMETER);
  const auto outcome = OnReservations<Outcome>([=](Reservations& reservations) {
    return Outcome{reservations.LockPages(address, dwSize)};
  });
  return Done(outcome.error);
}

BOOL VirtualUnlock(LPVOID lpAddress, SIZE_T dwSize) {
  const uint64_t address = AddressOfPointer(lpAddress);
  if (!userpager::PagesOfRange(address, dwSize)) return Done(ERROR_INVALID_PARAMETER);
  const auto outcome = OnReservations<Outcome>([=](Reservations& reservations) {
    return Outcome{reservations.UnlockPages(address, dwSize)};
  });
  return Done(outcome.error);
}

DWORD GetLastError(void) { return userpager::CurrentThread().last_error; }

void SetLastError(DWORD dwErrCode) { userpager::CurrentThread().last_error = dwErrCode; }
