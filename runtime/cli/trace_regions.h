// TraceRegions: which region of a recording a page belongs to at each of its events, as regions
// come and go. A region is a reservation, or the part of a large one that one shard has.
#ifndef USERPAGER_CLI_TRACE_REGIONS_H_
#define USERPAGER_CLI_TRACE_REGIONS_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "runtime/observe/trace_format.h"

namespace userpager::cli {

class TraceRegions {
 public:
  // Of pages that no region is known for, as its beginning was dropped.
  static constexpr size_t kUnknown = 0;

  // Events of a recording, one after the other, in the same order each time. The region of the
  // event's pages: numbered from 1 on, as they come.
  size_t Take(const TraceEvent& event);

 private:
  struct Known {
    uint64_t end_page;
    size_t region;
  };

  std::map<uint64_t, Known> by_begin_;
  // Of the last look-up: mostly the next one's as well.
  uint64_t begin_ = 0;
  Known last_{0, kUnknown};
  size_t count_ = 0;
};

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_TRACE_REGIONS_H_
