// ParkingArea: address space of the runtime's own, where frames are that no page maps (the modified
// and standby lists). A run of pages is moved there by one call, so places are handed out in runs;
// the area is four times as large as it must be, so that runs are found, and costs address space
// alone.
//
// Invariants: 1. a place is taken or free; the kernel has a page at a taken place and, once it was
//             given back, none; 2. a parked page is only ever moved or copied back to its own page,
//             or discarded: it is never refilled in place, because the kernel may hold references
//             to it that only its own count of them knows.
// Locks:      the shard's mutex.
#ifndef USERPAGER_FRAMES_PARKING_AREA_H_
#define USERPAGER_FRAMES_PARKING_AREA_H_

#include "runtime/base/arena.h"
#include "runtime/base/types.h"

namespace userpager {

struct PlaceRun {
  uint32_t first = 0;
  PageCount count;
};

class ParkingArea {
 public:
  static constexpr unsigned kBlockPlaces = 64;

  // Address space for `most` parked frames at a time. `base` is its first page, mapped and
  // registered by the caller, of size SpaceFor(most).
  static PageCount SpaceFor(PageCount most);
  Errno Init(PageIndex base, PageCount most);
  bool ready() const { return used_.ok(); }
  PageRange range() const;

  // A run of up to `most` (at most kBlockPlaces) free places; at least one.
  PlaceRun Allocate(PageCount most);
  // Gives back places that the kernel has no pages at any more.
  void Free(uint32_t first, PageCount count);
  PageIndex PageAt(uint32_t place) const { return base_ + PageCount(place); }
  PageCount taken() const { return taken_; }

 private:
  PlaceRun TakeFrom(uint32_t block, PageCount most);

  PageIndex base_;
  ArenaArray<uint64_t> used_;         // one bit a place, one word a block
  ArenaArray<uint32_t> empty_stack_;  // blocks without a taken place, but for the current one
  uint32_t empty_count_ = 0;
  uint32_t fresh_block_ = 0;  // blocks from here on were never used
  uint32_t current_ = 0;      // runs come from here while it has room
  uint32_t scan_ = 0;         // where the search of partly taken blocks goes on
  PageCount taken_;
};

}  // namespace userpager

#endif  // USERPAGER_FRAMES_PARKING_AREA_H_
