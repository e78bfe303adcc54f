// FrameTable: one entry for each frame of a shard, and the lists that frames are on. This is the
// main header of the frames room.
//
// Cast:       Frame (24 bytes of bookkeeping for one physical page that holds a page's content),
//             FrameTable (hands out entries), FrameList (an intrusive list of frames in order of
//             age), StandbyLists (the parked ones that can be dropped), ParkingArea (where frames
//             are that no page maps), FrameLedger (the memory limit).
// Flow:       a page is charged (FrameLedger), gets a frame when its content is installed, is on
// the
//             replacement policy's list while it is Active, on the modified or standby list while
//             it is parked, and on none while an I/O owns it or it is locked.
// Invariants: 1. a frame in use is charged; 2. a frame has one owner: the page that its PTE names
// it
//             for, an I/O, or the discard list; 3. a frame is on at most one list, which its `list`
//             field names; 4. `place` is a place of the parking area exactly while the frame is
//             parked.
// Locks:      the shard's mutex for everything but the ledger.
#ifndef USERPAGER_FRAMES_FRAME_TABLE_H_
#define USERPAGER_FRAMES_FRAME_TABLE_H_

#include <cstdint>

#include "runtime/base/arena.h"
#include "runtime/base/types.h"

namespace userpager {

enum class FrameListId : uint8_t {
  kNone = 0,
  kWorkingSet,  // the replacement policy's
  kModified,
  kStandby,
  kTrial,    // standby as well, of pages on trial (StandbyLists)
  kDiscard,  // parked content that nobody wants: memory to be given back in the next batch
  kOffered,  // the first of kOfferPriorities: parked content that may be given up
};
// Offered content is given up in the order of these lists: kOffered, kOffered + 1, and so on.
inline constexpr unsigned kOfferPriorities = 4;
constexpr FrameListId OfferedListId(unsigned priority) {
  return static_cast<FrameListId>(static_cast<unsigned>(FrameListId::kOffered) + priority);
}

struct Frame {
  FrameIndex next;  // towards the younger; of a free entry: the next free one
  FrameIndex prev;
  SlotIndex slot;  // that holds the same content, or kNoSlot
  union {
    uint32_t place;      // parked: where in the parking area
    uint32_t age_stamp;  // in the working set: the policy's
    uint32_t io;         // being written in place: the I/O
  };
  uint64_t page_and_list;

  PageIndex page() const { return PageIndex(page_and_list & ((uint64_t{1} << 48) - 1)); }
  FrameListId list() const { return static_cast<FrameListId>((page_and_list >> 48) & 0xff); }
  // Whether the parked frame is in the executable parking area.
  bool executable() const { return (page_and_list & kExecutable) != 0; }
  // Whether it came by readahead: it leaves without a second chance (a stream does not come back).
  bool streamed() const { return (page_and_list & kStreamed) != 0; }
  void set_page(PageIndex page) {
    page_and_list = (page_and_list & ~((uint64_t{1} << 48) - 1)) | page.value();
  }
  void set_list(FrameListId list) {
    page_and_list = (page_and_list & ~(uint64_t{0xff} << 48)) | uint64_t(list) << 48;
  }
  void set_executable(bool on) {
    page_and_list = on ? page_and_list | kExecutable : page_and_list & ~kExecutable;
  }
  void set_streamed(bool on) {
    page_and_list = on ? page_and_list | kStreamed : page_and_list & ~kStreamed;
  }

  // When it was parked, on a clock of the shard's that turns.
  uint32_t parked_at() const { return static_cast<uint32_t>(page_and_list >> kParkedAtShift); }
  void set_parked_at(uint32_t time) {
    const uint64_t low = (uint64_t{1} << kParkedAtShift) - 1;
    page_and_list = (page_and_list & low) | uint64_t{time} << kParkedAtShift;
  }

  static constexpr unsigned kParkedAtShift = 58;
  static constexpr uint32_t kParkedAtValues = 64;
  static constexpr uint64_t kExecutable = uint64_t{1} << 56;
  static constexpr uint64_t kStreamed = uint64_t{1} << 57;
};
static_assert(sizeof(Frame) == 24);

class FrameTable {
 public:
  // Room for `most` frames in use at a time. ENOMEM where there is no address space.
  Errno Init(PageCount most);

  // An entry of `page`, on no list, without slot and place. The caller has charged the page, so
  // that there always is one.
  FrameIndex Allocate(PageIndex page);
  void Free(FrameIndex frame);

  Frame& operator[](FrameIndex i) { return frames_[i.value()]; }
  const Frame& operator[](FrameIndex i) const { return frames_[i.value()]; }
  PageCount in_use() const { return in_use_; }

 private:
  ArenaArray<Frame> frames_;
  FrameIndex first_free_;
  FrameIndex end_{1};  // entries from here on were never used
  PageCount in_use_;
};

// Frames in order of age. The operations take the table that the links are in.
class FrameList {
 public:
  explicit FrameList(FrameListId id) : id_(id) {}
  FrameList(const FrameList&) = delete;
  FrameList& operator=(const FrameList&) = delete;

  void PushYoungest(FrameTable& table, FrameIndex frame);
  void PushOldest(FrameTable& table, FrameIndex frame);
  void Remove(FrameTable& table, FrameIndex frame);
  FrameIndex oldest() const { return oldest_; }
  PageCount count() const { return count_; }
  bool empty() const { return count_.value() == 0; }

 private:
  const FrameListId id_;
  FrameIndex oldest_;
  FrameIndex youngest_;
  PageCount count_;
};

}  // namespace userpager

#endif  // USERPAGER_FRAMES_FRAME_TABLE_H_
