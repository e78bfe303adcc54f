/* Which pages of a reservation were written: for memory that VirtualAlloc reserved with
 * MEM_WRITE_WATCH. Included by <userpager/virtual_alloc.h>, whose rules for errors and threads hold
 * here too.
 *
 * A page counts as written from its first store on, whether a thread or a system call made it,
 * until it is reset or decommitted; paging, protection changes, MEM_RESET and VirtualLock neither
 * add nor take away. A page that was only read never does. A page that userpager_hold() has made
 * ready to be written counts as written, and cannot be reset while it is held. The bookkeeping
 * costs a page fault for the first store to each page after each reset. One thing is not seen: a
 * device that still delivers into a page (direct I/O that began before) after the page was reset.
 */
#ifndef USERPAGER_WRITE_WATCH_H_
#define USERPAGER_WRITE_WATCH_H_

#include <userpager/virtual_alloc.h>

#ifndef USERPAGER_NO_WINDOWS_TYPES
typedef unsigned int UINT;
typedef DWORD* LPDWORD;
#endif

#ifndef WRITE_WATCH_FLAG_RESET
#define WRITE_WATCH_FLAG_RESET 0x01
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Lists the pages of a range that were written, lowest address first.
 *
 * dwFlags          0, or WRITE_WATCH_FLAG_RESET: the pages that are listed no longer count as
 *                  written. Between the two nothing is lost: a store that another thread makes at
 *                  that moment is in the page before, or is listed the next time.
 * lpBaseAddress, dwRegionSize
 *                  The pages that hold a byte of the range, all in one reservation that was made
 *                  with MEM_WRITE_WATCH. Parts may be uncommitted.
 * lpAddresses      Room for *lpdwCount addresses of pages. It may be managed memory.
 * lpdwCount        In: room, in addresses, not 0. Out: how many were listed. Where there was no
 *                  room for more, pages behind the last one that is listed were neither looked at
 *                  nor reset.
 * lpdwGranularity  Gets the page size, 4096 bytes.
 *
 * Returns 0, or ~0 with the last error: ERROR_INVALID_PARAMETER (a flag, no room, size 0, a range
 * that is not in one such reservation), ERROR_NOACCESS (a pointer is NULL),
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "GetWriteWatch function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-getwritewatch */
USERPAGER_API UINT GetWriteWatch(DWORD dwFlags, PVOID lpBaseAddress, SIZE_T dwRegionSize,
                                 PVOID* lpAddresses, ULONG_PTR* lpdwCount,
                                 LPDWORD lpdwGranularity);

/* Has the pages that hold a byte of the range no longer count as written. The range is as for
 * GetWriteWatch.
 *
 * Returns 0, or ~0 with the last error: ERROR_INVALID_PARAMETER, ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "ResetWriteWatch function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-resetwritewatch */
USERPAGER_API UINT ResetWriteWatch(LPVOID lpBaseAddress, SIZE_T dwRegionSize);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* USERPAGER_WRITE_WATCH_H_ */
