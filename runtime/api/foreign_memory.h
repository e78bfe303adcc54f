// Memory of the process that is in no reservation, in the words of VirtualQuery: code, libraries,
// stacks, the C library's heap, the runtime's own mappings, and what is free between.
#ifndef USERPAGER_API_FOREIGN_MEMORY_H_
#define USERPAGER_API_FOREIGN_MEMORY_H_

#include <userpager/virtual_alloc.h>

#include "runtime/base/types.h"

namespace userpager {

// Where a page lies that is in no reservation.
struct Gap {
  PageIndex tail_end;  // the rest of a reservation's last 64 KiB ends there; below: not in one
  PageIndex limit;     // the next reservation begins there, or the address space ends
};

// Describes the run of pages from `page` on, none of them in a reservation, that look alike:
//   State    MEM_COMMIT where something is mapped, else MEM_FREE; so is the tail of a reservation
//   Type     MEM_IMAGE: a file of which a part that belongs together may be executed; MEM_MAPPED:
//            another file, or shared memory; MEM_PRIVATE: all else
//   Protect  what the kernel allows; PAGE_WRITECOPY where a MEM_MAPPED file is mapped privately
// The parts of a file that lie side by side are one allocation, every other mapping is one of its
// own. Called inside (entry.h), under the lock of the reservations. An errno where the kernel's map
// cannot be read.
Errno DescribeForeign(PageIndex page, const Gap& gap, MEMORY_BASIC_INFORMATION* information);

}  // namespace userpager

#endif  // USERPAGER_API_FOREIGN_MEMORY_H_
