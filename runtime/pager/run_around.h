// RunAround: a page and its neighbours that can be dealt with like it, as far as a plan goes.
#ifndef USERPAGER_PAGER_RUN_AROUND_H_
#define USERPAGER_PAGER_RUN_AROUND_H_

#include "runtime/base/types.h"

namespace userpager {

// `page` is taken as it is; `fits` is asked of the pages beside it, outward, until it says no.
template <typename Fits>
PageRange RunAround(PageIndex page, PageRange within, const Fits& fits) {
  PageRange run(page, PageCount(1));
  while (run.end < within.end && fits(run.end)) ++run.end;
  while (run.begin > within.begin && fits(run.begin - PageCount(1))) --run.begin;
  return run;
}

}  // namespace userpager

#endif  // USERPAGER_PAGER_RUN_AROUND_H_
