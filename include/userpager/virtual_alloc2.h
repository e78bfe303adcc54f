/* VirtualAlloc2: address requirements and placeholders; the forms for apps. Included by
 * <userpager/virtual_alloc.h>, which has the rules that are the same here.
 *
 * A placeholder is address space that is held for later: nothing in it can be committed. It is
 *
 *   made       VirtualAlloc2(MEM_RESERVE | MEM_RESERVE_PLACEHOLDER, PAGE_NOACCESS)
 *   split      VirtualFree(part of it, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER), at any page
 *   joined     VirtualFree(two or more neighbours, MEM_RELEASE | MEM_COALESCE_PLACEHOLDERS)
 *   replaced   VirtualAlloc2(MEM_RESERVE | MEM_REPLACE_PLACEHOLDER, exactly its address and size)
 *   put back   VirtualFree(the whole replacement, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER)
 *   released   VirtualFree(its address, 0, MEM_RELEASE)
 *
 * and between these steps nobody else is given the addresses.
 */
#ifndef USERPAGER_VIRTUAL_ALLOC2_H_
#define USERPAGER_VIRTUAL_ALLOC2_H_

#include <userpager/virtual_alloc.h>

/* Allocation types of VirtualAlloc2, and free types of VirtualFree; some values mean something else
 * in other calls. */
#ifndef MEM_REPLACE_PLACEHOLDER
#define MEM_REPLACE_PLACEHOLDER 0x00004000
#endif
#ifndef MEM_RESERVE_PLACEHOLDER
#define MEM_RESERVE_PLACEHOLDER 0x00040000
#endif
#ifndef MEM_COALESCE_PLACEHOLDERS
#define MEM_COALESCE_PLACEHOLDERS 0x00000001
#endif
#ifndef MEM_PRESERVE_PLACEHOLDER
#define MEM_PRESERVE_PLACEHOLDER 0x00000002
#endif

/* Values of MemExtendedParameterAttributeFlags. */
#ifndef MEM_EXTENDED_PARAMETER_GRAPHICS
#define MEM_EXTENDED_PARAMETER_GRAPHICS 0x00000001
#endif
#ifndef MEM_EXTENDED_PARAMETER_NONPAGED
#define MEM_EXTENDED_PARAMETER_NONPAGED 0x00000002
#endif
#ifndef MEM_EXTENDED_PARAMETER_ZERO_PAGES_OPTIONAL
#define MEM_EXTENDED_PARAMETER_ZERO_PAGES_OPTIONAL 0x00000004
#endif
#ifndef MEM_EXTENDED_PARAMETER_NONPAGED_LARGE
#define MEM_EXTENDED_PARAMETER_NONPAGED_LARGE 0x00000008
#endif
#ifndef MEM_EXTENDED_PARAMETER_NONPAGED_HUGE
#define MEM_EXTENDED_PARAMETER_NONPAGED_HUGE 0x00000010
#endif
#ifndef MEM_EXTENDED_PARAMETER_SOFT_FAULT_PAGES
#define MEM_EXTENDED_PARAMETER_SOFT_FAULT_PAGES 0x00000020
#endif

#ifndef USERPAGER_NO_WINDOWS_TYPES
/* Zeros stand for no requirement ("MEM_ADDRESS_REQUIREMENTS structure (winnt.h)",
 * learn.microsoft.com/windows/win32/api/winnt/ns-winnt-mem_address_requirements). */
typedef struct MEM_ADDRESS_REQUIREMENTS {
  PVOID LowestStartingAddress; /* a multiple of 64 KiB */
  PVOID HighestEndingAddress;  /* the last byte of a page */
  SIZE_T Alignment;            /* a power of two, at least 64 KiB */
} MEM_ADDRESS_REQUIREMENTS, *PMEM_ADDRESS_REQUIREMENTS;

typedef enum MEM_EXTENDED_PARAMETER_TYPE {
  MemExtendedParameterInvalidType = 0,
  MemExtendedParameterAddressRequirements = 1, /* Pointer: MEM_ADDRESS_REQUIREMENTS */
  MemExtendedParameterNumaNode = 2,            /* ULong: a preference; without effect */
  MemExtendedParameterPartitionHandle = 3,
  MemExtendedParameterUserPhysicalHandle = 4,
  MemExtendedParameterAttributeFlags = 5, /* ULong64: hints are without effect */
  MemExtendedParameterImageMachine = 6,
  MemExtendedParameterMax = 7
} MEM_EXTENDED_PARAMETER_TYPE;

/* "MEM_EXTENDED_PARAMETER structure (winnt.h)",
 * learn.microsoft.com/windows/win32/api/winnt/ns-winnt-mem_extended_parameter. */
typedef struct MEM_EXTENDED_PARAMETER {
  __extension__ struct {
    DWORD64 Type : 8;      /* MEM_EXTENDED_PARAMETER_TYPE */
    DWORD64 Reserved : 56; /* 0 */
  };
  __extension__ union {
    DWORD64 ULong64;
    PVOID Pointer;
    SIZE_T Size;
    HANDLE Handle;
    DWORD ULong;
  };
} MEM_EXTENDED_PARAMETER, *PMEM_EXTENDED_PARAMETER;
#endif

static_assert(sizeof(MEM_ADDRESS_REQUIREMENTS) == 24, "Windows' layout");
static_assert(sizeof(MEM_EXTENDED_PARAMETER) == 16, "Windows' layout");

#ifdef __cplusplus
extern "C" {
#endif

/* As VirtualAlloc, with placeholders and extended parameters. Thread-safe.
 *
 * Process             NULL or GetCurrentProcess().
 * BaseAddress         As VirtualAlloc. NULL where an address requirement is not zero. Exactly the
 *                     placeholder's with MEM_REPLACE_PLACEHOLDER.
 * Size                Bytes, not 0. Exactly the placeholder's with MEM_REPLACE_PLACEHOLDER.
 * AllocationType      As VirtualAlloc; or MEM_RESERVE | MEM_RESERVE_PLACEHOLDER; or MEM_RESERVE |
 *                     MEM_REPLACE_PLACEHOLDER, and MEM_COMMIT with it.
 * PageProtection      As VirtualAlloc; PAGE_NOACCESS for a placeholder.
 * ExtendedParameters  ParameterCount of them, no type twice.
 *
 * With requirements the address is the one that the kernel would choose where that meets them, else
 * the highest that does.
 *
 * Returns the address, or NULL: an error of VirtualAlloc; ERROR_INVALID_PARAMETER also for
 * parameters and requirements that are not as above; ERROR_INVALID_ADDRESS also where there is no
 * placeholder of exactly this address and size; ERROR_NOT_ENOUGH_MEMORY also where no free
 * addresses meet the requirements; ERROR_INVALID_HANDLE (the process; a partition's or physical
 * memory's handle, which cannot exist); ERROR_NOT_SUPPORTED (attribute flags that ask for memory
 * that is not paged).
 *
 * Source: "VirtualAlloc2 function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualalloc2 */
USERPAGER_API PVOID VirtualAlloc2(HANDLE Process, PVOID BaseAddress, SIZE_T Size,
                                  ULONG AllocationType, ULONG PageProtection,
                                  MEM_EXTENDED_PARAMETER* ExtendedParameters,
                                  ULONG ParameterCount);

/* As VirtualAlloc, but nothing executable can be allocated. Thread-safe.
 *
 * Returns the address, or NULL: an error of VirtualAlloc; ERROR_INVALID_PARAMETER also for an
 * executable protection.
 *
 * Source: "VirtualAllocFromApp function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualallocfromapp */
USERPAGER_API PVOID VirtualAllocFromApp(PVOID BaseAddress, SIZE_T Size, ULONG AllocationType,
                                        ULONG Protection);

/* As VirtualAlloc2, but nothing executable can be allocated. Thread-safe.
 *
 * Returns the address, or NULL: an error of VirtualAlloc2; ERROR_INVALID_PARAMETER also for an
 * executable protection.
 *
 * Source: "VirtualAlloc2FromApp function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualalloc2fromapp */
USERPAGER_API PVOID VirtualAlloc2FromApp(HANDLE Process, PVOID BaseAddress, SIZE_T Size,
                                         ULONG AllocationType, ULONG PageProtection,
                                         MEM_EXTENDED_PARAMETER* ExtendedParameters,
                                         ULONG ParameterCount);

/* As VirtualProtect, executable protections among them. Thread-safe.
 *
 * Returns nonzero, or 0: an error of VirtualProtect.
 *
 * Source: "VirtualProtectFromApp function (memoryapi.h)",
 * learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualprotectfromapp */
USERPAGER_API BOOL VirtualProtectFromApp(PVOID Address, SIZE_T Size, ULONG NewProtection,
                                         ULONG* OldProtection);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* USERPAGER_VIRTUAL_ALLOC2_H_ */
