// Shard: hints of what the program will want. Pages come off the disk in large reads and are parked
// as if they had just been paged out: the first touch is a soft fault, and a hint that was wrong
// has put nothing into the working set.
#include <algorithm>

#include "runtime/pager/shard.h"

namespace userpager {
namespace {

// Pages that one hint looks at during one Step, so that faults get their turn.
constexpr unsigned kPagesEachStep = 512;

}  // namespace

// True when nothing is left to be read, or nothing more can be: a hint does not wait for others to
// make room, only for reads that will be over soon.
bool Shard::AdvancePrefetch(BringInRequest& request) {
  ReadReason reason;
  reason.parks = true;
  const uint64_t most = LongestRead(buffers_);
  for (unsigned i = 0; i < kPagesEachStep / kTransferPages; ++i) {
    // What belongs to other shards, or to nobody, is passed over.
    const auto entry = stripes_.FindAtOrAfter(request.range.begin);
    if (entry.value == nullptr || entry.range.begin >= request.range.end) return true;
    const PageRange part = request.range.Clip(entry.range);
    request.range.begin = part.begin;
    if (request.range.empty()) return true;
    const PageSeries series{part.begin, 1, std::min(part.count().value(), most)};
    PageInSlot pages[kTransferPages];
    const size_t count = FindPagedOut(*entry.value, series, pages);
    if (count > 0 && !ReadPages(*entry.value, std::span(pages, count), reason)) {
      return transfers_.under_way() == 0;
    }
    request.range.begin += PageCount(series.count);
  }
  return request.range.empty();
}

}  // namespace userpager
