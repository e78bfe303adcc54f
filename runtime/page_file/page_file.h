// PageFile: the file (or block device) that holds the contents of pages that are not in memory, and
// its slots of 4 KiB.
//
// Cast:       PageFile (grows, joins the others), BackingFile (opens, owns the descriptor, has disk
//             space allocated), SlotFile (its slots, by number): SlotMap (which slots are free,
//             used, bad) and checksums (CRC32C of each slot's content, kept in memory); SlotLoans
//             (what forked children may read).
// Flow:       a committing call grows the file ahead of the promise (Grow); page-out takes slots in
//             runs (AllocateRun), stores each page's checksum, writes; page-in reads and compares;
//             a slot goes back when its page changes, is decommitted, or its I/O is done (Free).
//             With discard:on the disk space of free slots that no promise counts on is given back
//             (GiveBackSpace); Grow takes it again first.
// Invariants: 1. a slot is free, used, bad or discarded, never two of them; 2. a used slot has one
//             owner (a page or an I/O); 3. a bad slot is never handed out again; 4. slots that
//             exist (usable or bad) have disk space of their own (fallocate), so that no write
//             fails for want of it; discarded ones have none, are not usable, and are not handed
//             out before they have; 5. slot 0 is the header and never handed out.
// Fork:       the parent lends the slots in use (Lend); the child has a file of its own
//             (OpenInChild) and, with smaller slot numbers, those of its parent and its ancestors,
//             as long as it has pages there. Neither waits for the other.
// Locks:      one (kPageFile) for the slot map; growth has its own mutual exclusion and is never
//             called with a lock held.
// Does not:   read or write pages: that is the shard's, through its IoEngine.
#ifndef USERPAGER_PAGE_FILE_PAGE_FILE_H_
#define USERPAGER_PAGE_FILE_PAGE_FILE_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "runtime/base/lock.h"
#include "runtime/base/log_line.h"
#include "runtime/base/types.h"
#include "runtime/page_file/backing_file.h"
#include "runtime/page_file/slot_file.h"

namespace userpager {

struct PageFileOptions {
  // A directory (an unnamed file is made in it), a file (empty, or an earlier page
  // file of this library), or a block device. What does not exist is refused.
  std::string_view path;
  // The most that the file may grow to, header included; a block device may be smaller.
  uint64_t max_bytes = 0;
  // Forked children will have files of their own beside it (LetChildrenInherit).
  bool for_children = false;
  // The disk space of free slots may be given back (GiveBackSpace).
  bool discard = false;
};

// What a child that is about to be forked has of its parent's page file.
struct SlotLoan {
  int held = -1;     // the child's end of its life line; -1: it reads nothing there
  int watched = -1;  // where the slots could not be lent, the parent's: it keeps still until then
};

class PageFile {
 public:
  // The least that max_bytes may be; so much is allocated by Open.
  static constexpr uint64_t kSmallestBytes = 1024 * 1024;
  // The most: slot numbers are 32 bits.
  static constexpr uint64_t kLargestBytes = (SlotMap::kMostSlots.value() + 1) << kPageShift;

  PageFile() = default;
  // The numbers of slots stand there, where others can look; it outlives the page file.
  explicit PageFile(SlotGauges& gauges) : gauges_(&gauges), first_(gauges) {}
  PageFile(const PageFile&) = delete;
  PageFile& operator=(const PageFile&) = delete;

  // Opens the file and checks that it can be used. On failure `error` gets one clear line
  // (what, to what, why, what to do) and nothing is left behind. EBUSY: in use by another process.
  // EEXIST: there is something of the user's. EINVAL: bad options. ENOSPC, and what open(2) gives.
  Errno Open(const PageFileOptions& options, LogLine* error);

  int descriptor() const { return file_.descriptor(); }
  // Whether reads and writes bypass the page cache (O_DIRECT).
  bool direct() const { return file_.direct(); }

  // Makes sure that at least `slots` slots (bad ones not counted) have disk space, growing in
  // extents of at least 64 MiB where the maximum and the disk allow. ENOSPC: it cannot; what was
  // allocated before stays, or nothing can be written. Waits for the disk: call it without locks.
  Errno Grow(PageCount slots);
  // Slots with disk space, less bad ones. Grows by Grow, shrinks by Retire and GiveBackSpace.
  PageCount usable() const { return own_->slots.usable(); }
  // The most that usable() can become.
  PageCount max_usable() const;
  // Gives disk space of free slots back, where the options say so: of one run of at most
  // kMostGivenBack slots. `take(slots)` is called while the file cannot grow; it decides, with
  // whatever lock its promises need, how many can be spared, and returns what slots.Discard gives.
  // Waits for the disk: without locks, and not where a fault waits. False: there was nothing to
  // give back, or it failed, which a line tells, once, and nothing is given back from then on.
  template <typename Take>
  bool GiveBackSpace(Take take) {
    if (!discards()) return false;
    LogLine error;
    const bool gave = GiveBackRun(take, &error);
    if (!error.text().empty()) error.Write();
    return gave;
  }
  static constexpr PageCount kMostGivenBack{1024};
  bool discards() const { return discards_.load(std::memory_order_relaxed); }
  // Slots that are without disk space since then.
  PageCount discarded() const { return own_->slots.discarded(); }
  // Whether nothing can be written at the moment, as the shards find it: nothing more is promised
  // then, and the file does not grow.
  bool refuses() const { return refuses_.load(std::memory_order_relaxed); }
  void set_refuses(bool refuses) { refuses_.store(refuses, std::memory_order_relaxed); }
  // Slots that hold or are about to hold a page, or that a forked child may still read.
  PageCount used() const { return own_->slots.used(); }

  // What forked children may read, and what may therefore be missing for new contents.
  PageCount lent() const { return own_->slots.lent(); }

  // Up to `most` free slots that are neighbours in the file (a shorter run where there is none of
  // that length). Returns an empty run only where no slot is free.
  SlotRun AllocateRun(PageCount most);
  // The run is of one file, as all neighbours are.
  void Free(SlotIndex first, PageCount count);
  // Takes a used slot out of service for good: the device refused it.
  void Retire(SlotIndex slot);

  // The checksum that the content of a used slot must have. Owned by the slot's owner.
  uint32_t checksum(SlotIndex slot) const {
    const SlotFile& file = FileOf(slot);
    return file.checksums[file.Within(slot).value()];
  }
  void set_checksum(SlotIndex slot, uint32_t value) {
    own_->checksums[own_->Within(slot).value()] = value;
  }

  // Where the slot is: in which file, where there, and how that is encrypted.
  int DescriptorOf(SlotIndex slot) const;
  uint64_t OffsetOf(SlotIndex slot) const {
    return uint64_t{FileOf(slot).Within(slot).value()} << kPageShift;
  }
  FileMark MarkOf(SlotIndex slot) const { return FileOf(slot).mark; }

  // ---- Around fork (the pager room's fork.cc). ----

  // Lends what is in use, from whose owners nothing changes meanwhile. Where that cannot be done
  // for want of room, the loan's `watched` says what to wait for with everything held still.
  // EMFILE, ENFILE: there is not even a life line.
  Errno Lend(SlotLoan* loan);
  // Gives back what was kept for children that are gone. From any thread; does not wait.
  void EndLoans() { own_->slots.EndLoans(); }
  // From before the fork until after it, in parent and child.
  void HoldForFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { own_->slots.HoldForFork(); }
  void ReleaseAfterFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { own_->slots.ReleaseAfterFork(); }
  // In the child, after ReleaseAfterFork. From here on all slots in use are an ancestor's.
  void BorrowInChild(const SlotLoan& loan);
  // After it: makes the child's own file. It has no disk space before the first Grow. On failure
  // `error` gets one line; borrowed slots can be read all the same.
  Errno OpenInChild(LogLine* error);
  // Whether forked children can have a file beside this one. Not beside a block device.
  bool can_have_children() const { return file_.has_directory(); }

 private:
  Errno Prepare(uint64_t most_bytes, LogLine* error);
  bool PrepareSlots();
  Errno Extend(SlotIndex end);
  Errno TakeSpaceBack(PageCount slots);
  template <typename Take>
  bool GiveBackRun(Take take, LogLine* error) {
    LockHolder hold(growth_lock_);
    const SlotRun run = take(own_->slots);
    return run.count > PageCount(0) && PunchRun(run, error);
  }
  bool PunchRun(SlotRun run, LogLine* error);
  const SlotFile& FileOf(SlotIndex slot) const {
    const SlotFile* file = own_;
    while (!file->Has(slot)) file = file->older;
    return *file;
  }
  SlotFile& FileOf(SlotIndex slot) {
    return const_cast<SlotFile&>(static_cast<const PageFile*>(this)->FileOf(slot));
  }

  Lock growth_lock_{LockRank::kPageFileGrowth};  // held while the file grows; protects no field
  BackingFile file_;
  PageCount max_slots_;  // fixed by Open
  SlotGauges* const gauges_ = nullptr;
  SlotFile first_;
  SlotFile* own_ = &first_;  // another in forked children; the older ones follow it
  std::atomic<bool> refuses_{false};
  std::atomic<bool> discards_{false};
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_PAGE_FILE_H_
