/* What the system and a whole reservation are like: page sizes, the range of addresses, processors,
 * region information. Included by <userpager/virtual_alloc.h>.
 */
#ifndef USERPAGER_SYSTEM_INFO_H_
#define USERPAGER_SYSTEM_INFO_H_

#include <userpager/virtual_alloc.h>

#ifndef PROCESSOR_ARCHITECTURE_AMD64
#define PROCESSOR_ARCHITECTURE_AMD64 9
#endif
#ifndef PROCESSOR_ARCHITECTURE_ARM64
#define PROCESSOR_ARCHITECTURE_ARM64 12
#endif
#ifndef PROCESSOR_AMD_X8664
#define PROCESSOR_AMD_X8664 8664
#endif

#ifndef USERPAGER_NO_WINDOWS_TYPES
/* The layout of 64-bit Windows ("SYSTEM_INFO structure (sysinfoapi.h)",
 * learn.microsoft.com/windows/win32/api/sysinfoapi/ns-sysinfoapi-system_info). */
typedef struct SYSTEM_INFO {
  __extension__ union {
    DWORD dwOemId; /* of old: the two fields below */
    __extension__ struct {
      WORD wProcessorArchitecture; /* PROCESSOR_ARCHITECTURE_AMD64 or _ARM64 */
      WORD wReserved;              /* 0 */
    };
  };
  DWORD dwPageSize;                   /* bytes */
  LPVOID lpMinimumApplicationAddress; /* the lowest that VirtualAlloc takes */
  LPVOID lpMaximumApplicationAddress; /* the last byte that it can give */
  DWORD_PTR dwActiveProcessorMask;    /* of the first 64, those that the thread may run on */
  DWORD dwNumberOfProcessors;         /* how many the thread may run on */
  DWORD dwProcessorType;              /* PROCESSOR_AMD_X8664, or 0 */
  DWORD dwAllocationGranularity;      /* bytes */
  WORD wProcessorLevel;               /* 0: not told */
  WORD wProcessorRevision;            /* 0: not told */
} SYSTEM_INFO, *LPSYSTEM_INFO;

typedef enum WIN32_MEMORY_INFORMATION_CLASS USERPAGER_INT_ENUM {
  MemoryRegionInfo = 0
} WIN32_MEMORY_INFORMATION_CLASS;

/* The layout of 64-bit Windows ("WIN32_MEMORY_REGION_INFORMATION structure (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/ns-memoryapi-win32_memory_region_information). */
typedef struct WIN32_MEMORY_REGION_INFORMATION {
  PVOID AllocationBase;    /* what VirtualAlloc returned for the reservation */
  DWORD AllocationProtect; /* protection given when it was reserved */
  ULONG Flags;             /* 0: nothing is mapped from a file or an image */
  SIZE_T RegionSize;       /* bytes of the whole reservation */
  SIZE_T CommitSize;       /* bytes of it that are committed */
} WIN32_MEMORY_REGION_INFORMATION;
#endif

static_assert(sizeof(SYSTEM_INFO) == 48, "Windows' layout");
static_assert(offsetof(SYSTEM_INFO, dwNumberOfProcessors) == 32, "Windows' layout");
static_assert(sizeof(WIN32_MEMORY_REGION_INFORMATION) == 32, "Windows' layout");

#ifdef __cplusplus
extern "C" {
#endif

/* Tells page size, allocation granularity, the range of addresses and the processors that the
 * calling thread may run on. lpSystemInfo is not NULL. Thread-safe; never fails, starts nothing.
 *
 * Source: "GetSystemInfo function (sysinfoapi.h)",
 * learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-getsysteminfo */
USERPAGER_API void GetSystemInfo(LPSYSTEM_INFO lpSystemInfo);

/* The bytes of a large page, of which sizes and addresses with MEM_LARGE_PAGES are multiples:
 * 2 MiB, or 0 where this kernel cannot be asked for any (before 6.1, or without transparent huge
 * pages). Thread-safe; never fails, starts nothing.
 *
 * Source: "GetLargePageMinimum function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-getlargepageminimum */
USERPAGER_API SIZE_T GetLargePageMinimum(void);

/* Describes the reservation that VirtualAddress is in. Thread-safe.
 *
 * Process                  GetCurrentProcess().
 * MemoryInformationClass   MemoryRegionInfo.
 * MemoryInformation        Where a WIN32_MEMORY_REGION_INFORMATION goes.
 * MemoryInformationSize    Bytes there, at least its size.
 * ReturnSize               NULL, or where the number of bytes that were written goes.
 *
 * Returns nonzero, or 0: ERROR_INVALID_PARAMETER (the class, an address above what a program can
 * have), ERROR_BAD_LENGTH (the size), ERROR_NOACCESS (MemoryInformation is NULL),
 * ERROR_INVALID_HANDLE, ERROR_UNEXP_NET_ERR (no reservation there; what STATUS_INVALID_ADDRESS is
 * as a Win32 code), ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "QueryVirtualMemoryInformation function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-queryvirtualmemoryinformation */
USERPAGER_API BOOL QueryVirtualMemoryInformation(
    HANDLE Process, const void* VirtualAddress,
    WIN32_MEMORY_INFORMATION_CLASS MemoryInformationClass, PVOID MemoryInformation,
    SIZE_T MemoryInformationSize, PSIZE_T ReturnSize);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* USERPAGER_SYSTEM_INFO_H_ */
