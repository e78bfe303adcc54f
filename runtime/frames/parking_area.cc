#include "runtime/frames/parking_area.h"

#include <errno.h>

#include <algorithm>
#include <bit>

#include "runtime/base/check.h"

namespace userpager {
namespace {

constexpr uint64_t kAllTaken = ~uint64_t{0};

uint64_t Bits(unsigned first, unsigned count) {
  return (count == 64 ? kAllTaken : ((uint64_t{1} << count) - 1)) << first;
}

}  // namespace

PageCount ParkingArea::SpaceFor(PageCount most) {
  return PageCount(RoundUp(most.value() * 4, kBlockPlaces) + 2 * kBlockPlaces);
}

Errno ParkingArea::Init(PageIndex base, PageCount most) {
  const size_t blocks = SpaceFor(most).value() / kBlockPlaces;
  base_ = base;
  used_ = ArenaArray<uint64_t>(blocks);
  empty_stack_ = ArenaArray<uint32_t>(blocks);
  fresh_block_ = 1;  // block 0 is the first current one
  return used_.ok() && empty_stack_.ok() ? 0 : ENOMEM;
}

PageRange ParkingArea::range() const {
  return PageRange(base_, PageCount(used_.size() * kBlockPlaces));
}

PlaceRun ParkingArea::Allocate(PageCount most) {
  if (used_[current_] == kAllTaken || std::countl_zero(used_[current_]) == 0) {
    // Nothing free behind the last taken place: go on in an empty block where there is one.
    if (empty_count_ > 0) {
      current_ = empty_stack_[--empty_count_];
    } else if (fresh_block_ < used_.size()) {
      current_ = fresh_block_++;
    } else {
      for (size_t i = 0; i < used_.size() && used_[scan_] == kAllTaken; ++i) {
        scan_ = static_cast<uint32_t>((scan_ + 1) % used_.size());
      }
      USERPAGER_CHECK(used_[scan_] != kAllTaken, "the parking area is full", taken_.value());
      return TakeFrom(scan_, most);
    }
  }
  return TakeFrom(current_, most);
}

// The free places behind the last taken one, else the first free run of the block.
PlaceRun ParkingArea::TakeFrom(uint32_t block, PageCount most) {
  uint64_t& used = used_[block];
  unsigned first = 64 - static_cast<unsigned>(std::countl_zero(used));
  unsigned room = 64 - first;
  if (room == 0) {
    first = static_cast<unsigned>(std::countr_one(used));
    room = static_cast<unsigned>(std::countr_zero(used >> first));
  }
  const unsigned count = static_cast<unsigned>(std::min<uint64_t>(room, most.value()));
  used |= Bits(first, count);
  taken_ += PageCount(count);
  return {block * kBlockPlaces + first, PageCount(count)};
}

void ParkingArea::Free(uint32_t first, PageCount count) {
  while (count.value() > 0) {
    const uint32_t block = first / kBlockPlaces;
    const unsigned bit = first % kBlockPlaces;
    const unsigned here = static_cast<unsigned>(
        std::min<uint64_t>(count.value(), kBlockPlaces - bit));
    const uint64_t bits = Bits(bit, here);
    USERPAGER_CHECK((used_[block] & bits) == bits, "a parking place was given back twice", first);
    used_[block] &= ~bits;
    taken_ -= PageCount(here);
    if (used_[block] == 0 && block != current_) empty_stack_[empty_count_++] = block;
    first += here;
    count -= PageCount(here);
  }
}

}  // namespace userpager
