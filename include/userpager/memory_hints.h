/* What a program tells about its memory ahead of time: contents that it can do without, and pages
 * that it will want. Included by <userpager/virtual_alloc.h>, whose rules for threads hold here too
 * (but for PrefetchVirtualMemory, these functions return the error and leave the last error alone).
 *
 * Offered memory, and memory with MEM_RESET, is given up before any page is written to the page
 * file or dropped for want of memory, what was offered with a lower priority first (MEM_RESET
 * counts as VmOfferPriorityVeryLow). Pages that the page file has already keep their contents. The
 * pages stay committed and charged.
 */
#ifndef USERPAGER_MEMORY_HINTS_H_
#define USERPAGER_MEMORY_HINTS_H_

#include <userpager/virtual_alloc.h>

#ifndef USERPAGER_NO_WINDOWS_TYPES
/* How long offered contents are worth keeping ("OfferVirtualMemory function (memoryapi.h)"). */
typedef enum OFFER_PRIORITY USERPAGER_INT_ENUM {
  VmOfferPriorityVeryLow = 1,
  VmOfferPriorityLow,
  VmOfferPriorityBelowNormal,
  VmOfferPriorityNormal
} OFFER_PRIORITY;

/* One range of PrefetchVirtualMemory ("WIN32_MEMORY_RANGE_ENTRY structure (memoryapi.h)"). */
typedef struct WIN32_MEMORY_RANGE_ENTRY {
  PVOID VirtualAddress;
  SIZE_T NumberOfBytes;
} WIN32_MEMORY_RANGE_ENTRY, *PWIN32_MEMORY_RANGE_ENTRY;
#endif

static_assert(sizeof(WIN32_MEMORY_RANGE_ENTRY) == 16, "Windows' layout");

#ifdef __cplusplus
extern "C" {
#endif

/* Offers the contents of whole pages: they leave the working set, may be given up, and must not be
 * touched until ReclaimVirtualMemory (a touch raises SIGSEGV). VirtualQuery shows them as before.
 * Offering offered pages changes their priority. Locks of VirtualLock end.
 *
 * VirtualAddress, Size  Multiples of 4 KiB; committed, in one reservation. Size is not 0.
 *
 * Returns ERROR_SUCCESS, ERROR_INVALID_PARAMETER (not whole pages, priority), ERROR_INVALID_ADDRESS
 * (not all committed, not in one reservation), ERROR_NOT_ENOUGH_MEMORY (the kernel's limit of
 * mappings), ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "OfferVirtualMemory function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-offervirtualmemory */
USERPAGER_API DWORD OfferVirtualMemory(PVOID VirtualAddress, SIZE_T Size, OFFER_PRIORITY Priority);

/* Takes offered pages back: they may be touched again. Pages that were not offered stay as they
 * are.
 *
 * Returns ERROR_SUCCESS: all contents are what they were; ERROR_BUSY: the pages are back, but some
 * contents were given up, and those pages read as zeros; or an error as OfferVirtualMemory.
 *
 * Source: "ReclaimVirtualMemory function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-reclaimvirtualmemory */
USERPAGER_API DWORD ReclaimVirtualMemory(const void* VirtualAddress, SIZE_T Size);

/* Gives the contents of whole pages up at once, with the memory and the room in the page file that
 * they had. The pages stay committed and read as zeros. Locks of VirtualLock end.
 *
 * Returns ERROR_SUCCESS, ERROR_INVALID_PARAMETER (not whole pages; a page that is not
 * PAGE_READWRITE, or is offered), or an error as OfferVirtualMemory.
 *
 * Source: "DiscardVirtualMemory function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-discardvirtualmemory */
USERPAGER_API DWORD DiscardVirtualMemory(PVOID VirtualAddress, SIZE_T Size);

/* Has the pages of some ranges that are in the page file alone read into memory in large reads, as
 * far as the memory limit allows. Returns at once. The pages do not enter the working set before
 * they are touched. What is not committed, or not accessible, is passed over.
 *
 * hProcess          GetCurrentProcess().
 * NumberOfEntries   Ranges at VirtualAddresses, at least 1. None of them is empty.
 * Flags             0.
 *
 * Returns nonzero, or 0: ERROR_INVALID_PARAMETER (flags, no range, an empty range or one outside of
 * the address space), ERROR_NOACCESS (VirtualAddresses is NULL), ERROR_INVALID_HANDLE,
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "PrefetchVirtualMemory function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-prefetchvirtualmemory */
USERPAGER_API BOOL PrefetchVirtualMemory(HANDLE hProcess, ULONG_PTR NumberOfEntries,
                                         PWIN32_MEMORY_RANGE_ENTRY VirtualAddresses, ULONG Flags);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* USERPAGER_MEMORY_HINTS_H_ */
