// The process's address space: taking ranges of it and giving them back.
#ifndef USERPAGER_PLATFORM_ADDRESS_MAP_H_
#define USERPAGER_PLATFORM_ADDRESS_MAP_H_

#include "runtime/base/types.h"

namespace userpager {

// The first page number that a program cannot have: 47 bits of address, less the last page. Larger
// address spaces (57 bits) are given out by the kernel only to those who ask, and nobody does here.
inline constexpr PageIndex kEndOfAddressSpace{(uint64_t{1} << (47 - kPageShift)) - 1};

// From now on forked children inherit what the functions below take: for a program whose children
// are given what is not in memory (Pager::FillChild). Before the first of them is called.
void LetChildrenInherit();
bool ChildrenInherit();

// Takes inaccessible private address space for a reservation: without huge pages and, but for
// LetChildrenInherit, not inherited by a forked child (which would read zeros where the pager has
// contents). `at` is
// where to, or PageIndex(0) for anywhere at a multiple of 64 KiB. EEXIST: something is mapped
// there. ENOMEM: no address space, or the kernel's limit of mappings.
Errno MapReservation(PageIndex at, PageCount pages, PageIndex* mapped);

// Makes address space that a placeholder holds (HoldAddressSpace) fit for a reservation; nothing
// has to be undone after an error.
Errno AdoptReservation(PageRange range);

// Replaces whatever is mapped in the range by inaccessible address space that nobody watches, in
// one step: nobody else can be given it. ENOMEM: the kernel's limit of mappings.
Errno HoldAddressSpace(PageRange range);

// Takes private readable and writable (and, if asked, executable) address space for the runtime's
// own use, at any multiple of a page. The same properties, and left out of core files.
Errno MapOwn(PageCount pages, bool executable, PageIndex* mapped);

// Whether huge pages may appear in a range of MapOwn: only where all of it is charged. Without them
// the memory is as good, only slower.
void AllowHugePages(PageRange range, bool on);

// Replaces whatever is mapped in the range by private memory of zeros, which nobody watches and of
// which forked children have zeros again (MADV_WIPEONFORK). An errno of mmap(2) or madvise(2).
Errno MapEmptied(PageRange range);

// mprotect, to what a page's own protection says.
Errno SetAccessExactly(PageRange range, bool access, bool write, bool execute);

// munmap.
Errno Unmap(PageRange range);

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_ADDRESS_MAP_H_
