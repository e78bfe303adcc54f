/* The forms of the VirtualAlloc family that name a process. userpager knows the calling process
 * alone: its handle is GetCurrentProcess(), and every other handle fails with ERROR_INVALID_HANDLE.
 * The handle is looked at after the other arguments, as Windows does. Included by
 * <userpager/virtual_alloc.h>.
 */
#ifndef USERPAGER_PROCESS_MEMORY_H_
#define USERPAGER_PROCESS_MEMORY_H_

#include <userpager/virtual_alloc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The handle that stands for the calling process: (HANDLE)-1. Thread-safe; never fails.
 *
 * Source: learn.microsoft.com/windows/win32/api/processthreadsapi/
 * nf-processthreadsapi-getcurrentprocess */
USERPAGER_API HANDLE GetCurrentProcess(void);

/* As VirtualAlloc, in the process. Thread-safe.
 *
 * Returns the address, or NULL: ERROR_INVALID_HANDLE, or an error of VirtualAlloc.
 *
 * Source: "VirtualAllocEx function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualallocex */
USERPAGER_API LPVOID VirtualAllocEx(HANDLE hProcess, LPVOID lpAddress, SIZE_T dwSize,
                                    DWORD flAllocationType, DWORD flProtect);

/* As VirtualFree, in the process. Thread-safe.
 *
 * Returns nonzero, or 0: ERROR_INVALID_HANDLE, or an error of VirtualFree.
 *
 * Source: "VirtualFreeEx function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualfreeex */
USERPAGER_API BOOL VirtualFreeEx(HANDLE hProcess, LPVOID lpAddress, SIZE_T dwSize,
                                 DWORD dwFreeType);

/* As VirtualProtect, in the process. Thread-safe.
 *
 * Returns nonzero, or 0: ERROR_INVALID_HANDLE, or an error of VirtualProtect.
 *
 * Source: "VirtualProtectEx function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualprotectex */
USERPAGER_API BOOL VirtualProtectEx(HANDLE hProcess, LPVOID lpAddress, SIZE_T dwSize,
                                    DWORD flNewProtect, PDWORD lpflOldProtect);

/* As VirtualQuery, in the process. Thread-safe.
 *
 * Returns sizeof(MEMORY_BASIC_INFORMATION), or 0: ERROR_INVALID_HANDLE, or an error of
 * VirtualQuery.
 *
 * Source: "VirtualQueryEx function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualqueryex */
USERPAGER_API SIZE_T VirtualQueryEx(HANDLE hProcess, LPCVOID lpAddress,
                                    PMEMORY_BASIC_INFORMATION lpBuffer, SIZE_T dwLength);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* USERPAGER_PROCESS_MEMORY_H_ */
