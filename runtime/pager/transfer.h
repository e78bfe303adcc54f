// Transfer: one read or write of the page file that is under way, and the table of them. An I/O
// owns its buffer, its slots and its frames until its completion, whatever happens to its pages
// meanwhile: a slot given back early would be overwritten by a late write, a frame given back early
// would be somebody else's when the device reads it.
#ifndef USERPAGER_PAGER_TRANSFER_H_
#define USERPAGER_PAGER_TRANSFER_H_

#include <sys/uio.h>

#include <algorithm>
#include <cstdint>

#include "runtime/base/arena.h"
#include "runtime/base/types.h"
#include "runtime/pager/buffer_pool.h"

namespace userpager {

enum class TransferKind : uint8_t {
  kFree = 0,
  kRead,          // slots -> buffer, for pages that are Reading
  kWrite,         // parked frames -> slots, for pages that are Writing
  kWriteInPlace,  // mapped pages -> slots, for pages that are WritingInPlace
};

inline constexpr unsigned kTransferPages = 64;
// Under way at a time, of one shard.
inline constexpr unsigned kTransfers = 128;

// Pages that a read brings at most for which nobody waits: it leaves buffers to others.
inline uint64_t LongestRead(const BufferPool& buffers) {
  return std::clamp<uint64_t>(buffers.pages().value() / 2, 1, kTransferPages);
}

// Page i of the transfer belongs to slot first_slot + i. Whether a page still takes part is decided
// at completion: its PTE names the transfer (Reading), or the frame (Writing), or the frame names
// the transfer (WritingInPlace). All others were orphaned, and only their slots and frames are
// left.
struct Transfer {
  TransferKind kind = TransferKind::kFree;
  uint8_t attempts = 0;         // how often it was tried before
  bool demand_write = false;    // of a read: somebody waits to write demand_page
  bool is_stream = false;       // of a read: done for a stream (ReadStreams)
  bool parks = false;           // of a read: what nobody waits for is parked and not mapped
  BufferPool::Run buffer;       // of a read
  uint32_t count = 0;           // pages
  uint32_t next_free = 0;
  SlotIndex first_slot;
  PageIndex demand_page;        // of a read: the page that somebody waits for
  uint32_t demand_thread = 0;   // who, or 0
  uint32_t reader = 0;          // of a read: the thread that does it itself; 0: the engine does
  uint64_t started_ns = 0;      // when that fault was seen; of a write: when it began
  PageIndex marker;             // of a read: not to be mapped (ReadStreams), or none (0)
  uint64_t awaited = 0;   // of a read: bit i: somebody waits for page i
  uint64_t awaited_since_ns = 0;  // with `awaited`: when the first of these faults was seen
  uint64_t detached = 0;  // of a write in place: bit i: the frame of page i is the transfer's now
  PageIndex pages[kTransferPages];
  FrameIndex frames[kTransferPages];  // of a write
  iovec parts[kTransferPages];        // memory, joined where it is adjacent
  uint32_t part_count = 0;

  SlotIndex slot(unsigned i) const { return first_slot + PageCount(i); }
};

// A fixed number of transfers. Index 0 is never used. Protected by the shard's mutex.
class TransferTable {
 public:
  Errno Init(unsigned most);
  // 0 where all are under way.
  uint32_t Allocate();
  void Free(uint32_t index);
  Transfer& operator[](uint32_t index) { return transfers_[index]; }
  unsigned under_way() const { return under_way_; }
  unsigned most() const { return static_cast<unsigned>(transfers_.size()) - 1; }

 private:
  ArenaArray<Transfer> transfers_;
  uint32_t first_free_ = 0;
  uint32_t end_ = 1;
  unsigned under_way_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_TRANSFER_H_
