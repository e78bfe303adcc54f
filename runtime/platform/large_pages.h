// Pages of 2 MiB that the kernel maps whole and keeps in memory.
#ifndef USERPAGER_PLATFORM_LARGE_PAGES_H_
#define USERPAGER_PLATFORM_LARGE_PAGES_H_

#include "runtime/base/types.h"

namespace userpager {

inline constexpr uint64_t kLargePageBytes = 2 * 1024 * 1024;

// Whether this kernel can be asked for them (transparent huge pages of 2 MiB, and MADV_COLLAPSE of
// 6.1, which says whether they were given).
bool HasLargePages();

// Maps readable and writable zeros there, all on large pages and locked in memory, and not
// inherited by a forked child. `at` and `pages` are multiples of large pages. EEXIST: something is
// mapped there. EPERM: the process may not lock so much memory (RLIMIT_MEMLOCK, CAP_IPC_LOCK).
// ENOMEM: the kernel has no such pages to give.
Errno MapLargePages(PageIndex at, PageCount pages);

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_LARGE_PAGES_H_
