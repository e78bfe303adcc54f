// SlotMap: which slots of the page file are free, used or bad. A bitmap with 64-slot clusters: runs
// are handed out so that neighbours in memory become neighbours in the file.
//
// Search:  next fit. A request goes on where the last one ended; where there is no room for it, it
//          begins a cluster that is free as a whole; where there is none either, it takes the best
//          run of the next clusters that have anything free. Each step is bounded, also in a map
//          that is all but full (BitTree).
// Fork:    slots that are in use when the process forks are lent to the child (Lend). Such a slot
//          that is freed is kept: it counts as used, nobody owns it, and its content stays, until
//          its borrowers are gone (EndLoans). In the child the map goes on as one of slots that
//          only it knows to be in use (BecomeBorrowed): of its own the child has another.
#ifndef USERPAGER_PAGE_FILE_SLOT_MAP_H_
#define USERPAGER_PAGE_FILE_SLOT_MAP_H_

#include <cstdint>

#include "runtime/base/arena.h"
#include "runtime/base/lock.h"
#include "runtime/base/types.h"
#include "runtime/observe/gauges.h"
#include "runtime/page_file/bit_tree.h"
#include "runtime/page_file/slot_loans.h"

namespace userpager {

struct SlotRun {
  SlotIndex first;
  PageCount count;
};

// Thread-safe: one lock of rank kPageFile.
class SlotMap {
 public:
  SlotMap() = default;
  // Counts there, where others can look; it outlives the map.
  explicit SlotMap(SlotGauges& gauges) : gauges_(&gauges) {}

  // The most that Init takes: slot numbers are 32 bits.
  static constexpr PageCount kMostSlots{UINT32_MAX - 1};

  // Room for slots [1, max_slots]; none is usable before Extend. ENOMEM where there is no memory.
  Errno Init(PageCount max_slots);

  // Slots up to `end` (exclusive) exist from now on. Never shrinks.
  void Extend(SlotIndex end);
  // One past the last slot that exists.
  SlotIndex end() const;

  // Up to `most` free slots that are neighbours. Empty only where no slot is free. Where a cluster
  // is free as a whole, at least min(most, 64) slots.
  SlotRun AllocateRun(PageCount most);
  // All of the run are used, and not kept.
  void Free(SlotIndex first, PageCount count);
  // `slot` is used.
  void Retire(SlotIndex slot);

  // Takes up to `most` free slots that are neighbours out of service, in whole clusters, so that
  // their disk space can be given back. An empty run where no cluster is free as a whole.
  SlotRun Discard(PageCount most);
  // Their disk space has been given back: for the statistics.
  void CountDiscarded(PageCount slots) {
    gauges_->discarded.fetch_add(slots.value(), std::memory_order_relaxed);
  }
  // The first slots that Discard took and that are neighbours, up to `most`. Empty: there is none.
  SlotRun FindDiscarded(PageCount most) const;
  // Ends Discard for the run, or a part of it: the slots have disk space, and are free.
  void Restore(SlotRun run);

  // Lends the slots in use, but for kept ones, to whoever holds the life line's other end; takes
  // the watched end. Errors as SlotLoans::Add.
  Errno Lend(int life_line);
  // Gives back what was kept for borrowers that are gone. Does not wait.
  void EndLoans();
  // From before a fork until after it, in parent and child: nobody else may hold the lock then.
  void HoldForFork() ABSL_EXCLUSIVE_LOCK_FUNCTION(lock_) { lock_.Acquire(); }
  void ReleaseAfterFork() ABSL_UNLOCK_FUNCTION(lock_) { lock_.Release(); }
  // In a forked child. Counts in itself from now on, and extends no more.
  void BecomeBorrowed();

  PageCount usable() const { return PageCount(gauges_->usable.load(std::memory_order_relaxed)); }
  PageCount used() const { return PageCount(gauges_->used.load(std::memory_order_relaxed)); }
  PageCount bad() const { return PageCount(gauges_->bad.load(std::memory_order_relaxed)); }
  // Out of service since Discard.
  PageCount discarded() const {
    return PageCount(discarded_count_.load(std::memory_order_relaxed));
  }
  // Of the used ones, those that are kept for borrowers alone.
  PageCount kept() const { return PageCount(kept_count_.load(std::memory_order_relaxed)); }
  // Slots that are lent, as SlotLoans counts them.
  PageCount lent() const { return PageCount(lent_count_.load(std::memory_order_relaxed)); }

  // Whether the counts agree with the bitmaps. For tests and debug checks.
  bool CheckConsistency() const;

 private:
  friend class SlotMapTestPeer;

  uint64_t KeptOf(uint64_t cluster) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  uint64_t DiscardedOf(uint64_t cluster) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  uint64_t NotInUse(uint64_t cluster) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  uint64_t Existing(uint64_t cluster) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void GiveUpKept(uint64_t cluster, uint64_t mask) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void SetFree(uint64_t cluster, uint64_t mask) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void ClearFree(uint64_t cluster, uint64_t mask) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  PageCount RunLength(SlotIndex first, PageCount most) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  SlotRun FindRun(PageCount most) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  SlotRun FindAmongPieces(PageCount most) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void ImproveRun(uint64_t cluster, PageCount most, SlotRun* best) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  mutable Lock lock_{LockRank::kPageFile};
  // One bit a slot: free bits are set only for slots that exist, are not used and not bad.
  ArenaArray<uint64_t> free_ ABSL_GUARDED_BY(lock_);
  ArenaArray<uint64_t> bad_ ABSL_GUARDED_BY(lock_);
  ArenaArray<uint64_t> kept_ ABSL_GUARDED_BY(lock_);       // made by the first Lend
  ArenaArray<uint64_t> discarded_ ABSL_GUARDED_BY(lock_);  // made by the first Discard
  SlotLoans loans_ ABSL_GUARDED_BY(lock_);
  // Clusters (words of free_) with any slot free, and those with all.
  BitTree with_free_ ABSL_GUARDED_BY(lock_);
  BitTree all_free_ ABSL_GUARDED_BY(lock_);
  SlotIndex end_ ABSL_GUARDED_BY(lock_){1};
  SlotIndex next_ ABSL_GUARDED_BY(lock_){1};  // where the search for the next run begins
  uint64_t next_discard_ ABSL_GUARDED_BY(lock_) = 0;  // the same for Discard, a cluster
  // Changed under the lock only, read by anyone.
  std::atomic<uint64_t> kept_count_{0};
  std::atomic<uint64_t> discarded_count_{0};
  std::atomic<uint64_t> lent_count_{0};
  SlotGauges own_;
  SlotGauges* gauges_ = &own_;
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_SLOT_MAP_H_
