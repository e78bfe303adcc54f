/* The working set: its limits, what is in it, and counters of memory. Included by
 * <userpager/virtual_alloc.h>, whose rules for errors and threads hold here too.
 *
 * The working set are the pages of userpager's memory that can be touched without a page fault;
 * code, stacks and other memory of the process are not counted in anything here. The "machine" of
 * these functions is what userpager works with: its physical memory is the memory limit, its paging
 * file the page file. All sizes are exact; those of one answer are not all of one instant.
 */
#ifndef USERPAGER_WORKING_SET_H_
#define USERPAGER_WORKING_SET_H_

#include <userpager/virtual_alloc.h>

#ifndef USERPAGER_NO_WINDOWS_TYPES
typedef BOOL* PBOOL;
typedef uint64_t DWORDLONG;

/* "PSAPI_WORKING_SET_BLOCK union (psapi.h)". */
typedef union PSAPI_WORKING_SET_BLOCK {
  ULONG_PTR Flags;
  struct {
    ULONG_PTR Protection : 5; /* 1 read-only, 2 execute, 3 execute and read, 4 read and write, 6 all
                               * three; and 8 not cached, 24 write-combined */
    ULONG_PTR ShareCount : 3; /* 0 */
    ULONG_PTR Shared : 1;     /* 0 */
    ULONG_PTR Reserved : 3;
    ULONG_PTR VirtualPage : 52; /* address divided by 4096 */
  } Block;
} PSAPI_WORKING_SET_BLOCK, *PPSAPI_WORKING_SET_BLOCK;

/* "PSAPI_WORKING_SET_INFORMATION structure (psapi.h)". */
typedef struct PSAPI_WORKING_SET_INFORMATION {
  ULONG_PTR NumberOfEntries;
  PSAPI_WORKING_SET_BLOCK WorkingSetInfo[1];
} PSAPI_WORKING_SET_INFORMATION, *PPSAPI_WORKING_SET_INFORMATION;

/* "PSAPI_WORKING_SET_EX_BLOCK union (psapi.h)". */
typedef union PSAPI_WORKING_SET_EX_BLOCK {
  ULONG_PTR Flags;
  struct {
    ULONG_PTR Valid : 1;            /* touched without a fault; 0: all others but Bad are 0 */
    ULONG_PTR ShareCount : 3;       /* 0 */
    ULONG_PTR Win32Protection : 11; /* as VirtualQuery's Protect */
    ULONG_PTR Shared : 1;           /* 0 */
    ULONG_PTR Node : 6;             /* 0 */
    ULONG_PTR Locked : 1;           /* by VirtualLock, or a large page */
    ULONG_PTR LargePage : 1;        /* of MEM_LARGE_PAGES: not counted in the working set */
    ULONG_PTR Reserved : 7;
    ULONG_PTR Bad : 1; /* the page file lost the page */
    ULONG_PTR ReservedUlong : 32;
  } Attributes;
} PSAPI_WORKING_SET_EX_BLOCK, *PPSAPI_WORKING_SET_EX_BLOCK;

/* "PSAPI_WORKING_SET_EX_INFORMATION structure (psapi.h)". */
typedef struct PSAPI_WORKING_SET_EX_INFORMATION {
  PVOID VirtualAddress;
  PSAPI_WORKING_SET_EX_BLOCK VirtualAttributes;
} PSAPI_WORKING_SET_EX_INFORMATION, *PPSAPI_WORKING_SET_EX_INFORMATION;

/* "PROCESS_MEMORY_COUNTERS structure (psapi.h)". Bytes. */
typedef struct PROCESS_MEMORY_COUNTERS {
  DWORD cb;             /* sizeof of the structure that was asked for */
  DWORD PageFaultCount; /* pages that came by first touch, from the parked pages or from disk */
  SIZE_T PeakWorkingSetSize;
  SIZE_T WorkingSetSize;
  SIZE_T QuotaPeakPagedPoolUsage;    /* 0 */
  SIZE_T QuotaPagedPoolUsage;        /* 0 */
  SIZE_T QuotaPeakNonPagedPoolUsage; /* 0 */
  SIZE_T QuotaNonPagedPoolUsage;     /* 0 */
  SIZE_T PagefileUsage;              /* committed */
  SIZE_T PeakPagefileUsage;
} PROCESS_MEMORY_COUNTERS, *PPROCESS_MEMORY_COUNTERS;

/* "PROCESS_MEMORY_COUNTERS_EX structure (psapi.h)". The first fields are those of
 * PROCESS_MEMORY_COUNTERS. */
typedef struct PROCESS_MEMORY_COUNTERS_EX {
  DWORD cb;
  DWORD PageFaultCount;
  SIZE_T PeakWorkingSetSize;
  SIZE_T WorkingSetSize;
  SIZE_T QuotaPeakPagedPoolUsage;
  SIZE_T QuotaPagedPoolUsage;
  SIZE_T QuotaPeakNonPagedPoolUsage;
  SIZE_T QuotaNonPagedPoolUsage;
  SIZE_T PagefileUsage;
  SIZE_T PeakPagefileUsage;
  SIZE_T PrivateUsage; /* committed, as PagefileUsage */
} PROCESS_MEMORY_COUNTERS_EX, *PPROCESS_MEMORY_COUNTERS_EX;

/* "MEMORYSTATUSEX structure (sysinfoapi.h)". Bytes. */
typedef struct MEMORYSTATUSEX {
  DWORD dwLength;           /* sizeof(MEMORYSTATUSEX), set by the caller */
  DWORD dwMemoryLoad;       /* percent of the memory limit that are in use */
  DWORDLONG ullTotalPhys;   /* the memory limit */
  DWORDLONG ullAvailPhys;   /* of it, not in use */
  DWORDLONG ullTotalPageFile; /* the commit limit: memory and page file */
  DWORDLONG ullAvailPageFile; /* of it, not committed */
  DWORDLONG ullTotalVirtual;  /* the address space of programs */
  DWORDLONG ullAvailVirtual;  /* of it, not reserved by VirtualAlloc */
  DWORDLONG ullAvailExtendedVirtual; /* 0 */
} MEMORYSTATUSEX, *LPMEMORYSTATUSEX;

/* "PERFORMANCE_INFORMATION structure (psapi.h)". Pages. */
typedef struct PERFORMANCE_INFORMATION {
  DWORD cb; /* sizeof(PERFORMANCE_INFORMATION) */
  SIZE_T CommitTotal;
  SIZE_T CommitLimit;
  SIZE_T CommitPeak;
  SIZE_T PhysicalTotal;     /* the memory limit */
  SIZE_T PhysicalAvailable; /* of it, not in use */
  SIZE_T SystemCache;       /* in use and not in the working set: parked and large pages, buffers */
  SIZE_T KernelTotal;       /* 0 */
  SIZE_T KernelPaged;       /* 0 */
  SIZE_T KernelNonpaged;    /* 0 */
  SIZE_T PageSize;          /* bytes */
  DWORD HandleCount;        /* 0 */
  DWORD ProcessCount;       /* 1 */
  DWORD ThreadCount;        /* 0 */
} PERFORMANCE_INFORMATION, *PPERFORMANCE_INFORMATION;

/* "CreateMemoryResourceNotification function (memoryapi.h)". */
typedef enum MEMORY_RESOURCE_NOTIFICATION_TYPE USERPAGER_INT_ENUM {
  LowMemoryResourceNotification,
  HighMemoryResourceNotification
} MEMORY_RESOURCE_NOTIFICATION_TYPE;
#endif

static_assert(sizeof(PSAPI_WORKING_SET_BLOCK) == 8, "Windows' layout");
static_assert(sizeof(PSAPI_WORKING_SET_EX_INFORMATION) == 16, "Windows' layout");
static_assert(sizeof(PROCESS_MEMORY_COUNTERS) == 72, "Windows' layout");
static_assert(sizeof(PROCESS_MEMORY_COUNTERS_EX) == 80, "Windows' layout");
static_assert(sizeof(MEMORYSTATUSEX) == 64, "Windows' layout");
static_assert(sizeof(PERFORMANCE_INFORMATION) == 104, "Windows' layout");

#ifndef QUOTA_LIMITS_HARDWS_MIN_ENABLE
#define QUOTA_LIMITS_HARDWS_MIN_ENABLE 0x00000001
#endif
#ifndef QUOTA_LIMITS_HARDWS_MIN_DISABLE
#define QUOTA_LIMITS_HARDWS_MIN_DISABLE 0x00000002
#endif
#ifndef QUOTA_LIMITS_HARDWS_MAX_ENABLE
#define QUOTA_LIMITS_HARDWS_MAX_ENABLE 0x00000004
#endif
#ifndef QUOTA_LIMITS_HARDWS_MAX_DISABLE
#define QUOTA_LIMITS_HARDWS_MAX_DISABLE 0x00000008
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Sets the limits of the working set, in bytes; each is rounded down to 4 KiB. At first they are
 * 204800 and 1413120 bytes, and soft.
 *
 * dwMinimumWorkingSetSize  At least 1, at most the maximum and the memory limit; less than 20 pages
 *                          count as 20. VirtualLock locks up to 8 pages less than this.
 * dwMaximumWorkingSetSize  At least 13 pages; a maximum below 20 pages counts as 20. A soft maximum
 *                          may be exceeded as long as the memory limit has room, so it has no
 *                          effect here; for a hard one see SetProcessWorkingSetSizeEx.
 *
 * (SIZE_T)-1 for both empties the working set, as EmptyWorkingSet, and leaves the limits.
 *
 * Returns nonzero, or 0: ERROR_INVALID_HANDLE, ERROR_INVALID_PARAMETER (the sizes),
 * ERROR_NO_SYSTEM_RESOURCES, and where a hard maximum changes the errors of
 * SetProcessWorkingSetSizeEx.
 *
 * Source: "SetProcessWorkingSetSize function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-setprocessworkingsetsize */
USERPAGER_API BOOL SetProcessWorkingSetSize(HANDLE hProcess, SIZE_T dwMinimumWorkingSetSize,
                                            SIZE_T dwMaximumWorkingSetSize);

/* The same, and makes limits hard or soft.
 *
 * Flags  Of each pair of QUOTA_LIMITS_HARDWS_ one at most: ..MIN_ENABLE, ..MIN_DISABLE,
 *        ..MAX_ENABLE, ..MAX_DISABLE. What is not named stays as it was.
 *
 * A hard maximum is part of the memory limit while it lasts: pages, parked pages and buffers
 * together never pass it, and the call waits until that is so. A hard minimum needs a memory limit
 * that is a third larger, so that page-out leaves it in place.
 *
 * Errors beside those above: ERROR_INVALID_PARAMETER (flags; a hard maximum below the smallest
 * memory limit that works), ERROR_NO_SYSTEM_RESOURCES (a hard minimum that the memory limit cannot
 * hold), ERROR_BUSY (locked pages are in the way, or another thread changes a limit),
 * ERROR_COMMITMENT_LIMIT (the page file cannot grow to keep what is committed).
 *
 * Source: "SetProcessWorkingSetSizeEx function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-setprocessworkingsetsizeex */
USERPAGER_API BOOL SetProcessWorkingSetSizeEx(HANDLE hProcess, SIZE_T dwMinimumWorkingSetSize,
                                              SIZE_T dwMaximumWorkingSetSize, DWORD Flags);

/* Gives the limits of the working set, in bytes.
 *
 * Returns nonzero, or 0: ERROR_INVALID_HANDLE, ERROR_NOACCESS (a pointer is NULL),
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "GetProcessWorkingSetSize function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-getprocessworkingsetsize */
USERPAGER_API BOOL GetProcessWorkingSetSize(HANDLE hProcess, PSIZE_T lpMinimumWorkingSetSize,
                                            PSIZE_T lpMaximumWorkingSetSize);

/* The same; Flags gets an ENABLE or a DISABLE for each limit.
 *
 * Source: "GetProcessWorkingSetSizeEx function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-getprocessworkingsetsizeex */
USERPAGER_API BOOL GetProcessWorkingSetSizeEx(HANDLE hProcess, PSIZE_T lpMinimumWorkingSetSize,
                                              PSIZE_T lpMaximumWorkingSetSize, PDWORD Flags);

/* Takes all pages that are not locked out of the working set; contents stay.
 *
 * Returns nonzero, or 0: ERROR_INVALID_HANDLE, ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "EmptyWorkingSet function (psapi.h)",
 * learn.microsoft.com/windows/win32/api/psapi/nf-psapi-emptyworkingset */
USERPAGER_API BOOL EmptyWorkingSet(HANDLE hProcess);

/* Lists the pages of the working set, lowest address first.
 *
 * pv  A PSAPI_WORKING_SET_INFORMATION with room for more entries behind its first.
 * cb  Bytes at pv.
 *
 * Returns nonzero, or 0: ERROR_INVALID_HANDLE, ERROR_NOACCESS (pv is NULL), ERROR_BAD_LENGTH (not
 * enough room; if there was room for it, NumberOfEntries is how many there are),
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "QueryWorkingSet function (psapi.h)",
 * learn.microsoft.com/windows/win32/api/psapi/nf-psapi-queryworkingset */
USERPAGER_API BOOL QueryWorkingSet(HANDLE hProcess, PVOID pv, DWORD cb);

/* Tells of single pages whether they are in the working set.
 *
 * pv  PSAPI_WORKING_SET_EX_INFORMATION structures with VirtualAddress set; VirtualAttributes is
 *     filled. Pages that are not userpager's count as not in the working set.
 * cb  Bytes at pv, at least those of one structure; what is no whole structure is left alone.
 *
 * Returns nonzero, or 0: ERROR_INVALID_HANDLE, ERROR_BAD_LENGTH (cb), ERROR_NOACCESS (pv is NULL),
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "QueryWorkingSetEx function (psapi.h)",
 * learn.microsoft.com/windows/win32/api/psapi/nf-psapi-queryworkingsetex */
USERPAGER_API BOOL QueryWorkingSetEx(HANDLE hProcess, PVOID pv, DWORD cb);

/* Fills a PROCESS_MEMORY_COUNTERS or, where there is room, a PROCESS_MEMORY_COUNTERS_EX.
 *
 * cb  Bytes at ppsmemCounters.
 *
 * Returns nonzero, or 0: ERROR_INVALID_HANDLE, ERROR_NOACCESS (ppsmemCounters is NULL),
 * ERROR_INSUFFICIENT_BUFFER (cb), ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "GetProcessMemoryInfo function (psapi.h)",
 * learn.microsoft.com/windows/win32/api/psapi/nf-psapi-getprocessmemoryinfo */
USERPAGER_API BOOL GetProcessMemoryInfo(HANDLE Process, PPROCESS_MEMORY_COUNTERS ppsmemCounters,
                                        DWORD cb);

/* Fills a MEMORYSTATUSEX whose dwLength is set.
 *
 * Returns nonzero, or 0: ERROR_NOACCESS (lpBuffer is NULL), ERROR_INVALID_PARAMETER (dwLength),
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "GlobalMemoryStatusEx function (sysinfoapi.h)",
 * learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-globalmemorystatusex */
USERPAGER_API BOOL GlobalMemoryStatusEx(LPMEMORYSTATUSEX lpBuffer);

/* Fills a PERFORMANCE_INFORMATION.
 *
 * cb  Bytes at pPerformanceInformation.
 *
 * Returns nonzero, or 0: ERROR_NOACCESS (pPerformanceInformation is NULL), ERROR_BAD_LENGTH (cb),
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "GetPerformanceInfo function (psapi.h)",
 * learn.microsoft.com/windows/win32/api/psapi/nf-psapi-getperformanceinfo */
USERPAGER_API BOOL GetPerformanceInfo(PPERFORMANCE_INFORMATION pPerformanceInformation, DWORD cb);

/* The handle of the notification that memory is low (less than a sixteenth of the memory limit is
 * free) or high (more than a quarter is). There is one of each kind, as long as the process lives;
 * it can be queried and not waited for.
 *
 * Returns NULL for a type that there is not: ERROR_INVALID_PARAMETER.
 *
 * Source: "CreateMemoryResourceNotification function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-creatememoryresourcenotification */
USERPAGER_API HANDLE CreateMemoryResourceNotification(
    MEMORY_RESOURCE_NOTIFICATION_TYPE NotificationType);

/* Tells whether memory is low or high, whichever the handle is for.
 *
 * Returns nonzero, or 0: ERROR_INVALID_HANDLE, ERROR_NOACCESS (ResourceState is NULL),
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "QueryMemoryResourceNotification function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-querymemoryresourcenotification */
USERPAGER_API BOOL QueryMemoryResourceNotification(HANDLE ResourceNotificationHandle,
                                                   PBOOL ResourceState);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* USERPAGER_WORKING_SET_H_ */
