#include "runtime/cli/trace_regions.h"

namespace userpager::cli {

size_t TraceRegions::Take(const TraceEvent& event) {
  if (event.kind == TraceKind::kLimit) return kUnknown;
  if (event.kind == TraceKind::kReserved) {
    begin_ = event.page;
    last_ = {event.page + event.page_count, ++count_};
    by_begin_[begin_] = last_;
    return count_;
  }
  if (event.page < begin_ || event.page >= last_.end_page) {
    auto found = by_begin_.upper_bound(event.page);
    if (found == by_begin_.begin()) return kUnknown;
    --found;
    if (event.page >= found->second.end_page) return kUnknown;
    begin_ = found->first;
    last_ = found->second;
  }
  const size_t region = last_.region;
  if (event.kind == TraceKind::kReleased) {
    by_begin_.erase(begin_);
    last_ = {0, kUnknown};
  }
  return region;
}

}  // namespace userpager::cli
