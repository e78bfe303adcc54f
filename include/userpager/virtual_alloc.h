/* The VirtualAlloc family for Linux: Windows' names, types, constants and rules, on memory that
 * userpager pages to a file of its own.
 *
 * C11 and C++. All functions are thread-safe. A function that fails changes nothing and sets the
 * calling thread's last error; one that succeeds leaves the last error alone. Pages are 4 KiB, the
 * allocation granularity is 64 KiB. The first call starts the library if userpager_start() of
 * <userpager/userpager.h> was not called; where that start fails, the call fails with
 * ERROR_NO_SYSTEM_RESOURCES and the reason is on standard error once. A child made by fork() does
 * not have the memory: every call there fails with ERROR_NOT_SUPPORTED.
 *
 * Touching memory that is reserved but not committed, or in a way that its protection forbids,
 * raises SIGSEGV with the address in si_addr (a system call fails with EFAULT). The first access to
 * a page with PAGE_GUARD does too, whatever kind of access it is, and ends the guard; so does
 * VirtualLock, with STATUS_GUARD_PAGE_VIOLATION. <userpager/exceptions.h> has exceptions instead of
 * signals, and says how they share the signals with the program's own handlers.
 *
 * The rules are Microsoft's: learn.microsoft.com/windows/win32/api/memoryapi and
 * learn.microsoft.com/windows/win32/memory/memory-protection-constants. A name that another header
 * has defined as a macro is left as it is; define USERPAGER_NO_WINDOWS_TYPES before the include
 * where another header has the types (they must have the same sizes).
 */
#ifndef USERPAGER_VIRTUAL_ALLOC_H_
#define USERPAGER_VIRTUAL_ALLOC_H_

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifndef USERPAGER_API
#define USERPAGER_API __attribute__((visibility("default")))
#endif

/* Windows' enumerations are as wide as int, and any value may come. */
#ifdef __cplusplus
#define USERPAGER_INT_ENUM : int
#else
#define USERPAGER_INT_ENUM
#endif

/* Types (learn.microsoft.com/windows/win32/winprog/windows-data-types). */
#ifndef USERPAGER_NO_WINDOWS_TYPES
typedef int BOOL;
typedef uint16_t WORD;
typedef uint32_t DWORD;
typedef uint32_t ULONG;
typedef DWORD* PDWORD;
typedef void* PVOID;
typedef void* LPVOID;
typedef void* HANDLE;
typedef const void* LPCVOID;
typedef uintptr_t ULONG_PTR;
typedef ULONG_PTR DWORD_PTR;
typedef ULONG_PTR SIZE_T;
typedef SIZE_T* PSIZE_T;
typedef uint64_t DWORD64;

/* What VirtualQuery tells; the layout of 64-bit Windows ("MEMORY_BASIC_INFORMATION structure
 * (winnt.h)", learn.microsoft.com/windows/win32/api/winnt/ns-winnt-memory_basic_information). */
typedef struct MEMORY_BASIC_INFORMATION {
  PVOID BaseAddress;       /* first byte of the page that was asked about */
  PVOID AllocationBase;    /* what VirtualAlloc returned for the reservation; NULL where free */
  DWORD AllocationProtect; /* protection given when it was reserved; 0 where free */
  WORD PartitionId;        /* 0 */
  SIZE_T RegionSize;       /* bytes from BaseAddress on that have the same attributes */
  DWORD State;             /* MEM_COMMIT, MEM_RESERVE or MEM_FREE */
  DWORD Protect;           /* 0 where reserved, PAGE_NOACCESS where free */
  DWORD Type;              /* MEM_PRIVATE, MEM_IMAGE or MEM_MAPPED; 0 where free */
} MEMORY_BASIC_INFORMATION, *PMEMORY_BASIC_INFORMATION;
#endif

static_assert(sizeof(BOOL) == 4 && sizeof(WORD) == 2 && sizeof(DWORD) == 4, "Windows' widths");
static_assert(sizeof(SIZE_T) == 8, "userpager is for 64-bit processes");
static_assert(offsetof(MEMORY_BASIC_INFORMATION, BaseAddress) == 0, "Windows' layout");
static_assert(offsetof(MEMORY_BASIC_INFORMATION, AllocationBase) == 8, "Windows' layout");
static_assert(offsetof(MEMORY_BASIC_INFORMATION, AllocationProtect) == 16, "Windows' layout");
static_assert(offsetof(MEMORY_BASIC_INFORMATION, PartitionId) == 20, "Windows' layout");
static_assert(offsetof(MEMORY_BASIC_INFORMATION, RegionSize) == 24, "Windows' layout");
static_assert(offsetof(MEMORY_BASIC_INFORMATION, State) == 32, "Windows' layout");
static_assert(offsetof(MEMORY_BASIC_INFORMATION, Protect) == 36, "Windows' layout");
static_assert(offsetof(MEMORY_BASIC_INFORMATION, Type) == 40, "Windows' layout");
static_assert(sizeof(MEMORY_BASIC_INFORMATION) == 48, "Windows' layout");

#ifndef FALSE
#define FALSE 0
#endif
#ifndef TRUE
#define TRUE 1
#endif

/* Allocation types, states and memory types. */
#ifndef MEM_COMMIT
#define MEM_COMMIT 0x00001000
#endif
#ifndef MEM_RESERVE
#define MEM_RESERVE 0x00002000
#endif
#ifndef MEM_DECOMMIT
#define MEM_DECOMMIT 0x00004000
#endif
#ifndef MEM_RELEASE
#define MEM_RELEASE 0x00008000
#endif
#ifndef MEM_FREE
#define MEM_FREE 0x00010000
#endif
#ifndef MEM_PRIVATE
#define MEM_PRIVATE 0x00020000
#endif
#ifndef MEM_MAPPED
#define MEM_MAPPED 0x00040000
#endif
#ifndef MEM_RESET
#define MEM_RESET 0x00080000
#endif
#ifndef MEM_TOP_DOWN
#define MEM_TOP_DOWN 0x00100000
#endif
#ifndef MEM_WRITE_WATCH
#define MEM_WRITE_WATCH 0x00200000
#endif
#ifndef MEM_PHYSICAL
#define MEM_PHYSICAL 0x00400000
#endif
#ifndef MEM_RESET_UNDO
#define MEM_RESET_UNDO 0x01000000
#endif
#ifndef MEM_IMAGE
#define MEM_IMAGE 0x01000000
#endif
#ifndef MEM_LARGE_PAGES
#define MEM_LARGE_PAGES 0x20000000
#endif

/* Page protections: one of the first eight, and modifiers. */
#ifndef PAGE_NOACCESS
#define PAGE_NOACCESS 0x01
#endif
#ifndef PAGE_READONLY
#define PAGE_READONLY 0x02
#endif
#ifndef PAGE_READWRITE
#define PAGE_READWRITE 0x04
#endif
#ifndef PAGE_WRITECOPY
#define PAGE_WRITECOPY 0x08
#endif
#ifndef PAGE_EXECUTE
#define PAGE_EXECUTE 0x10
#endif
#ifndef PAGE_EXECUTE_READ
#define PAGE_EXECUTE_READ 0x20
#endif
#ifndef PAGE_EXECUTE_READWRITE
#define PAGE_EXECUTE_READWRITE 0x40
#endif
#ifndef PAGE_EXECUTE_WRITECOPY
#define PAGE_EXECUTE_WRITECOPY 0x80
#endif
#ifndef PAGE_GUARD
#define PAGE_GUARD 0x100
#endif
#ifndef PAGE_NOCACHE
#define PAGE_NOCACHE 0x200
#endif
#ifndef PAGE_WRITECOMBINE
#define PAGE_WRITECOMBINE 0x400
#endif

/* Last-error values ("System Error Codes", learn.microsoft.com/windows/win32/debug). */
#ifndef ERROR_SUCCESS
#define ERROR_SUCCESS 0
#endif
#ifndef ERROR_INVALID_HANDLE
#define ERROR_INVALID_HANDLE 6
#endif
#ifndef ERROR_NOT_ENOUGH_MEMORY
#define ERROR_NOT_ENOUGH_MEMORY 8
#endif
#ifndef ERROR_BAD_LENGTH
#define ERROR_BAD_LENGTH 24
#endif
#ifndef ERROR_NOT_SUPPORTED
#define ERROR_NOT_SUPPORTED 50
#endif
#ifndef ERROR_UNEXP_NET_ERR
#define ERROR_UNEXP_NET_ERR 59
#endif
#ifndef ERROR_INVALID_PARAMETER
#define ERROR_INVALID_PARAMETER 87
#endif
#ifndef ERROR_INSUFFICIENT_BUFFER
#define ERROR_INSUFFICIENT_BUFFER 122
#endif
#ifndef ERROR_NOT_LOCKED
#define ERROR_NOT_LOCKED 158
#endif
#ifndef ERROR_BUSY
#define ERROR_BUSY 170
#endif
#ifndef ERROR_INVALID_ADDRESS
#define ERROR_INVALID_ADDRESS 487
#endif
#ifndef ERROR_NOACCESS
#define ERROR_NOACCESS 998
#endif
#ifndef ERROR_SWAPERROR
#define ERROR_SWAPERROR 999
#endif
#ifndef ERROR_PRIVILEGE_NOT_HELD
#define ERROR_PRIVILEGE_NOT_HELD 1314
#endif
#ifndef ERROR_NO_SYSTEM_RESOURCES
#define ERROR_NO_SYSTEM_RESOURCES 1450
#endif
#ifndef ERROR_WORKING_SET_QUOTA
#define ERROR_WORKING_SET_QUOTA 1453
#endif
#ifndef ERROR_COMMITMENT_LIMIT
#define ERROR_COMMITMENT_LIMIT 1455
#endif
#ifndef STATUS_GUARD_PAGE_VIOLATION
#define STATUS_GUARD_PAGE_VIOLATION ((DWORD)0x80000001)
#endif

/* Vectored exception handlers and guard pages. */
#include <userpager/exceptions.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reserves address space, commits pages, or both.
 *
 * lpAddress         NULL for anywhere. MEM_RESERVE rounds it down to 64 KiB, MEM_COMMIT alone down
 *                   to 4 KiB; then it lies in one reservation.
 * dwSize            Bytes, not 0. All pages that hold a byte of [lpAddress, lpAddress + dwSize) are
 *                   meant; a reservation's end is rounded up to 4 KiB.
 * flAllocationType  MEM_RESERVE, MEM_COMMIT or both; MEM_COMMIT with a NULL address means both.
 *                   MEM_TOP_DOWN: at the highest place where the kernel would put it.
 *                   MEM_RESERVE with MEM_WRITE_WATCH: see <userpager/write_watch.h>.
 *                   MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES: on pages of GetLargePageMinimum()
 *                   bytes, of which lpAddress and dwSize are multiples; PAGE_READWRITE alone. They
 *                   are zeroed and charged to the memory limit at once, never leave memory, share
 *                   VirtualLock's part of the limit, and keep state and protection until they are
 *                   released.
 *                   MEM_RESERVE | MEM_PHYSICAL: addresses alone; PAGE_READWRITE. What Windows maps
 *                   there (AllocateUserPhysicalPages) is not offered, so that the memory can be
 *                   asked about and released, and all else fails with ERROR_INVALID_ADDRESS.
 *                   MEM_RESET alone: the contents of the pages may be given up instead of being
 *                   written to the page file, until a page is touched again; what is touched is the
 *                   old content or zeros. MEM_RESET_UNDO alone: ends that. For these two the range
 *                   lies in one reservation, not of large pages, and uncommitted pages in it stay
 *                   as they are.
 * flProtect         One base protection, and at most one of PAGE_GUARD, PAGE_NOCACHE and
 *                   PAGE_WRITECOMBINE; none of them with PAGE_NOACCESS.
 *
 * Committed pages read as zero at first, take memory when they are touched, and are charged at once
 * (see userpager_options.commit). Committing committed pages keeps their contents and gives them
 * the new protection.
 *
 * Returns the rounded address, or NULL: ERROR_INVALID_PARAMETER (size 0, flags or protection that
 * do not go together, an address out of range), ERROR_INVALID_ADDRESS (to be reserved but not free;
 * to be committed or reset but not in one reservation), ERROR_BUSY (MEM_RESET_UNDO: some contents
 * were given up, and those pages read as zeros; all others are as they were),
 * ERROR_NOT_ENOUGH_MEMORY (no address space, or the kernel's limit of mappings),
 * ERROR_COMMITMENT_LIMIT (memory and page file cannot hold it). With
 * MEM_LARGE_PAGES also ERROR_NO_SYSTEM_RESOURCES (the kernel has none, or too much of the memory
 * limit would never leave memory) and ERROR_PRIVILEGE_NOT_HELD (the process may not lock so much:
 * RLIMIT_MEMLOCK, CAP_IPC_LOCK).
 *
 * Source: "VirtualAlloc function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualalloc */
USERPAGER_API LPVOID VirtualAlloc(LPVOID lpAddress, SIZE_T dwSize, DWORD flAllocationType,
                                  DWORD flProtect);

/* Decommits pages or releases a reservation.
 *
 * dwFreeType  MEM_RELEASE: lpAddress is in the reservation's first page and dwSize is 0; all of it
 *             goes. MEM_DECOMMIT: the pages that hold a byte of [lpAddress, lpAddress + dwSize)
 *             lose their contents and become reserved; uncommitted ones among them are no error;
 *             dwSize 0 with an address in the first page means the whole reservation.
 *             MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER: a part of a placeholder becomes one of its
 *             own, or a whole reservation that has replaced one is a placeholder again.
 *             MEM_RELEASE | MEM_COALESCE_PLACEHOLDERS: placeholders that fill the range exactly
 *             become one. (See <userpager/virtual_alloc2.h>.)
 *
 * Returns nonzero, or 0: ERROR_INVALID_PARAMETER (type; a size with MEM_RELEASE, or none with a
 * placeholder; a range that runs past the reservation), ERROR_INVALID_ADDRESS (no reservation
 * there, or not its first page; pages that cannot be decommitted; no such placeholders),
 * ERROR_NOT_ENOUGH_MEMORY (to split), ERROR_NO_SYSTEM_RESOURCES. A thread that touches the memory
 * meanwhile gets the data or SIGSEGV.
 *
 * Source: "VirtualFree function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualfree */
USERPAGER_API BOOL VirtualFree(LPVOID lpAddress, SIZE_T dwSize, DWORD dwFreeType);

/* Changes the protection of committed pages of one reservation; contents stay.
 *
 * lpAddress, dwSize  The pages that hold a byte of the range; dwSize is not 0.
 * lpflOldProtect     Where the first page's protection from before goes. Not NULL. It is set to
 *                    PAGE_NOACCESS where the call fails although its arguments were in order.
 *
 * PAGE_NOCACHE and PAGE_WRITECOMBINE belong to the reservation: here they are ignored.
 *
 * Returns nonzero, or 0: ERROR_INVALID_PARAMETER (protection, size), ERROR_NOACCESS
 * (lpflOldProtect), ERROR_INVALID_ADDRESS (not all committed, not in one reservation),
 * ERROR_NOT_ENOUGH_MEMORY (the kernel's limit of mappings), ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "VirtualProtect function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualprotect */
USERPAGER_API BOOL VirtualProtect(LPVOID lpAddress, SIZE_T dwSize, DWORD flNewProtect,
                                  PDWORD lpflOldProtect);

/* Describes the run of pages that begins at the page of lpAddress and has the same state,
 * protection and type in one allocation. What is in no reservation is told as the kernel has it
 * mapped, and MEM_FREE between: parts of a file that lie side by side are one allocation, MEM_IMAGE
 * if one of them may be executed, else MEM_MAPPED, as shared memory is; other mappings (stacks, the
 * C library's heap, the library's own memory) are MEM_PRIVATE. All of them are MEM_COMMIT, with the
 * protection that the kernel enforces; PAGE_WRITECOPY and PAGE_EXECUTE_WRITECOPY mean a MEM_MAPPED
 * file that is mapped privately. The rest of a reservation's last 64 KiB is MEM_FREE. The functions
 * of this header that change memory refuse all of it with ERROR_INVALID_ADDRESS.
 *
 * dwLength  Bytes at lpBuffer, at least sizeof(MEMORY_BASIC_INFORMATION).
 *
 * Returns sizeof(MEMORY_BASIC_INFORMATION), or 0: ERROR_INVALID_PARAMETER (an address above what a
 * program can have), ERROR_BAD_LENGTH (dwLength), ERROR_NOACCESS (lpBuffer is NULL),
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "VirtualQuery function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualquery */
USERPAGER_API SIZE_T VirtualQuery(LPCVOID lpAddress, PMEMORY_BASIC_INFORMATION lpBuffer,
                                  SIZE_T dwLength);

/* Brings the committed pages that hold a byte of the range into memory and keeps them there until
 * VirtualUnlock, VirtualFree, or a protection that allows no access. Locks are not counted. The
 * range lies in one reservation.
 *
 * Returns nonzero, or 0: ERROR_INVALID_PARAMETER (size 0), ERROR_INVALID_ADDRESS (not all
 * committed), ERROR_NOACCESS (a page is PAGE_NOACCESS), STATUS_GUARD_PAGE_VIOLATION (the guard
 * of the first guard page of the range is ended by this call),
 * ERROR_WORKING_SET_QUOTA (more pages than the minimum working set less 8, see
 * SetProcessWorkingSetSize, or too much for the memory limit), ERROR_SWAPERROR (the page file could
 * not give a page back), ERROR_NOT_ENOUGH_MEMORY (the kernel's limit of mappings, where a guard
 * ends), ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "VirtualLock function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtuallock */
USERPAGER_API BOOL VirtualLock(LPVOID lpAddress, SIZE_T dwSize);

/* Ends the lock of the pages that hold a byte of the range.
 *
 * Returns nonzero if all were locked. Else 0: ERROR_NOT_LOCKED (a page was not locked: no lock is
 * ended, and the pages that were not locked leave memory, contents kept; a way to trim a range),
 * ERROR_INVALID_PARAMETER (size 0), ERROR_INVALID_ADDRESS (not all committed),
 * ERROR_NO_SYSTEM_RESOURCES.
 *
 * Source: "VirtualUnlock function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualunlock */
USERPAGER_API BOOL VirtualUnlock(LPVOID lpAddress, SIZE_T dwSize);

/* The calling thread's last error: what the last failing call of it stored, or SetLastError. Never
 * fails, starts nothing.
 *
 * Source: learn.microsoft.com/windows/win32/api/errhandlingapi/nf-errhandlingapi-getlasterror */
USERPAGER_API DWORD GetLastError(void);

/* Sets the calling thread's last error.
 *
 * Source: learn.microsoft.com/windows/win32/api/errhandlingapi/nf-errhandlingapi-setlasterror */
USERPAGER_API void SetLastError(DWORD dwErrCode);

#ifdef __cplusplus
} /* extern "C" */
#endif

#include <userpager/memory_hints.h>
#include <userpager/process_memory.h>
#include <userpager/system_info.h>
#include <userpager/virtual_alloc2.h>
#include <userpager/working_set.h>
#include <userpager/write_watch.h>

#endif /* USERPAGER_VIRTUAL_ALLOC_H_ */
