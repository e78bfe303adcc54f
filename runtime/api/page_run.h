// PageRun: neighbouring pages of one reservation that look alike to the program. A walk over runs
// is how every API call looks at many pages: it skips what was never touched a group at a time, so
// a reservation of 1 TiB is looked at as quickly as it is empty.
#ifndef USERPAGER_API_PAGE_RUN_H_
#define USERPAGER_API_PAGE_RUN_H_

#include "runtime/address_space/vad.h"
#include "runtime/base/types.h"

namespace userpager {

struct PageRun {
  PageRange range;
  bool committed;
  bool locked;
  bool offered;           // no access until ReclaimVirtualMemory, whatever the protection says
  Protection protection;  // of committed pages; caching as ShownProtection says
};

// All pages from `page` on, but before `end`, that have the state (committed or not), protection
// and lock of `page`, and are offered or not as it is. Needs the VadTree's lock. `page` < `end` <=
// the end of the Vad.
PageRun RunAt(const Vad& vad, PageIndex page, PageIndex end);
// As RunAt, where locked or not, offered or not makes no difference (`locked` and `offered` are
// then those of the first page).
PageRun VisibleRunAt(const Vad& vad, PageIndex page, PageIndex end);

// Calls `visit` with each run of `range` in address order until it returns false; true if it never
// did.
template <typename Visit>
bool ForEachRun(const Vad& vad, PageRange range, Visit visit) {
  for (PageIndex page = range.begin; page < range.end;) {
    const PageRun run = RunAt(vad, page, range.end);
    if (!visit(run)) return false;
    page = run.range.end;
  }
  return true;
}

PageCount CountCommitted(const Vad& vad, PageRange range);

}  // namespace userpager

#endif  // USERPAGER_API_PAGE_RUN_H_
