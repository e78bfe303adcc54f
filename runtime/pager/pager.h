// Pager: the whole of the paging side of one process: its shards, its frames, its page file. It
// knows reservations (Vads) but not the tree that they are kept in; the api room does.
//
// Cast:    Pager, Shard (one userfaultfd, one thread, one mutex, its pages), FrameLedger (the
// memory
//          limit), PageFile.
// Flow:    Reserve makes a Vad with address space that faults to its shards; Commit, Protect,
//          Decommit change its pages; Release ends it. Faults never come here: each shard's thread
//          answers them alone.
// Locks:   every function that takes a Vad is called with the VadTree's lock held, which keeps the
//          Vad alive and its commit state stable; each takes the mutexes of the shards concerned,
//          one at a time. The functions that wait (BringIn, SetMemoryLimit, GrowPageFile) say so
//          and are called without any lock.
// Promise: a function that reports an error has changed nothing, unless it says otherwise.
#ifndef USERPAGER_PAGER_PAGER_H_
#define USERPAGER_PAGER_PAGER_H_

#include <atomic>
#include <span>
#include <string_view>

#include "runtime/address_space/vad.h"
#include "runtime/base/access_kind.h"
#include "runtime/base/log_line.h"
#include "runtime/base/types.h"
#include "runtime/frames/frame_ledger.h"
#include "runtime/observe/statistics_page.h"
#include "runtime/page_file/page_file.h"
#include "runtime/pager/inline_fault.h"
#include "runtime/pager/violation.h"
#include "runtime/pager/watchdog.h"
#include "runtime/platform/features.h"
#include "runtime/platform/halt_poller.h"
#include "runtime/policy/replacement_choice.h"

namespace userpager {

class IoEngine;
class Recording;
class ShardThread;
struct CallStack;

enum class IoEngineKind : uint8_t { kUring, kThreads };

struct PagerOptions {
  PageCount memory_limit;
  std::string_view page_file_path;
  uint64_t page_file_max_bytes = 0;
  unsigned shards = 1;
  IoEngineKind io = IoEngineKind::kUring;
  bool use_move = true;  // false: the road without UFFDIO_MOVE, whatever the kernel offers
  // kSignals: the faulting threads answer themselves (AnswerInline), in the SIGBUS handler of
  // whoever starts the pager. System calls that are given a page that is out fail with EFAULT then.
  FaultDelivery faults = FaultDelivery::kMessages;
  ReplacementKind replacement = ReplacementKind::kAdaptive;
  // Where to record what the shards do (recording.h); nullptr: nowhere. A recording that cannot
  // begin is told of on standard error, and the pager goes on without it.
  const char* record_to = nullptr;
  bool record_callers = false;  // as well
  bool for_children = false;  // forked children page on their own
  bool encrypt = false;  // what is written to the page file (SlotCipher)
  bool polling = true;  // who answers faults stays awake between them, where it pays (IdleTrial)
  bool discard = false;  // free slots may lose their disk space (PageFile::GiveBackSpace)
  uint64_t without = 0;  // bits of OptionalFeature that are not used, whatever the kernel offers
  // For tests: what stands between a shard and its I/O engine. Called once for each shard; what it
  // gives outlives the pager and stays the test's.
  IoEngine* (*wrap_engine)(IoEngine* engine) = nullptr;
  // How often the watchdog looks; tests make it hurry.
  uint64_t watch_period_ns = 1'000'000'000;
};

class Pager {
 public:
  static constexpr unsigned kMaxShards = 64;
  // The least length of a stripe; neighbouring parts of address space of this size belong to
  // different shards.
  static constexpr uint64_t kStripePages = (uint64_t{1} << 30) / kPageBytes;

  Pager() = default;
  // Counts there, where others can look; it outlives the pager. All zeros but for its head.
  explicit Pager(StatisticsPage& page)
      : frames_(page.frames), page_file_(page.slots), page_(&page) {}
  ~Pager();
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;

  // Opens the page file and starts the shards' threads. On failure `error` gets one clear line and
  // everything is taken down again.
  Errno Start(const PagerOptions& options, LogLine* error);
  // Ends the threads. The caller has released every Vad.
  void Stop();
  // Writes the rest of the recording, where there is one, and its end. While faults go on.
  void EndRecording();
  // Whether the recording wants to know who asks for memory, and who it was. The latter inside.
  bool wants_callers() const { return wants_callers_; }
  void TellCallers(PageRange range, const CallStack& stack, uint32_t thread_id);

  // The smallest memory limit that works with so many shards.
  static PageCount SmallestMemoryLimit(unsigned shards);

  // Takes address space for `pages` pages and makes it fault to the shards. `at`: where to (a
  // multiple of 64 KiB), or 0 for anywhere. With `commit` all pages are committed with
  // `protection`. Errors: EEXIST (something is mapped there), ENOMEM (no address space, or the
  // kernel's limit of mappings is reached).
  Errno Reserve(PageIndex at, PageCount pages, Protection protection, bool commit, Vad** vad);
  // Ends the reservation: contents, slots and address space are given back, threads that wait on
  // it look again (and get their SIGSEGV). `vad` is destroyed.
  void Release(Vad* vad);

  // Takes address space as Reserve does, for a placeholder: no page of it can be used.
  Errno ReservePlaceholder(PageIndex at, PageCount pages, Vad** vad);
  // Makes a reservation of the placeholder. After ENOMEM it is a placeholder as before.
  Errno ReplacePlaceholder(Vad& vad, Protection protection, bool commit);
  // Ends the reservation that has replaced a placeholder, as Release does, but for its address
  // space: `vad` is a placeholder again.
  void MakePlaceholder(Vad& vad);

  // Takes memory for `pages` pages that are never paged, and waits until others have left. EAGAIN:
  // so many cannot be taken under the memory limit. Without the VadTree's lock.
  Errno TakeUnpagedFrames(PageCount pages);
  void ReturnUnpagedFrames(PageCount pages);
  // Makes a reservation of large pages, all committed, whose memory has been taken; Release gives
  // it back. Waits for the kernel: without the VadTree's lock. EEXIST: something is mapped there.
  // EPERM: this process may not lock so much memory. ENOMEM: the kernel has no such pages.
  Errno ReserveLargePages(PageIndex at, PageCount pages, Vad** vad);
  // Undoes it: the memory stays taken.
  void AbandonLargePages(Vad* vad);

  // Makes the pages committed (contents of committed ones stay) with the protection.
  // ENOMEM: the kernel's limit of mappings is reached.
  Errno Commit(Vad& vad, PageRange range, Protection protection);
  // Sets the protection of pages that are all committed. ENOMEM as Commit.
  Errno Protect(Vad& vad, PageRange range, Protection protection);
  // Makes the pages reserved: contents and slots are given back. Uncommitted pages stay as they
  // are.
  void Decommit(Vad& vad, PageRange range);

  // zero_pages.cc. Empties the committed pages of the range: they are zeros from now on. None is
  // locked.
  void Zero(Vad& vad, PageRange range);
  // Makes a committed reservation of exactly these pages. With `replace` it takes the place of
  // whatever the kernel has mapped there, in one step; the pages are in no Vad. EEXIST: something
  // is mapped there, without `replace`. ENOMEM: as Reserve; with `replace` nothing is left there.
  Errno ReserveExactly(PageRange range, Protection protection, bool replace, Vad** vad);
  // Reserved pages of one Vad, which the program's own mapping may replace from now on.
  void GiveUp(Vad& vad, PageRange range);
  // Replaces what the program has mapped there by reserved pages as they were before GiveUp.
  // ENOMEM: the kernel's limit of mappings is reached; the place stays given up, and empty.
  Errno TakeBack(Vad& vad, PageRange range);

  // How many more pages can stay in memory (LockPages, HoldPages) under the memory limit.
  PageCount LockableNow() const;
  // Whether it is in a parking area of some shard. From any thread.
  bool IsParkingPlace(PageIndex page) const;
  // Marks the pages locked: they stay in memory once they are there. All are committed and
  // accessible. EAGAIN: so many pages cannot be locked under the memory limit, or the quota does
  // not allow it.
  Errno LockPages(Vad& vad, PageRange range);
  // Ends the lock. `all_locked` tells whether every page was; pages that were not leave memory
  // (their contents stay).
  void UnlockPages(Vad& vad, PageRange range, bool* all_locked);
  // holds.cc. As LockPages, but nestable, and apart from it; EAGAIN also where a page is held
  // Pte::kMostHolds times.
  Errno HoldPages(Vad& vad, PageRange range);
  // Ends one hold of each page that is held. Whether all were.
  bool ReleasePages(Vad& vad, PageRange range);
  // Makes the pages that are in memory and may be written writable for the kernel as well. Pages
  // that are held stay so. Without the VadTree's lock, from any thread.
  void OpenForWriting(PageRange range);
  // Waits until every page of the range that is committed and accessible has been brought in. EIO:
  // the page file lost one of them.
  Errno BringIn(PageRange range);
  // The most pages that may be locked at a time, if the memory limit allows as many.
  void set_lock_quota(PageCount most) {
    lock_quota_.store(most.value(), std::memory_order_relaxed);
  }

  // ---- page_hints.cc: what is known of pages beyond their contents. ----

  // Takes the pages that are not locked out of the working set; contents stay.
  void TrimPages(Vad& vad, PageRange range);
  // What pages are now, with all that was answered before: as many of the range as there is room
  // for, from the first on that was ever touched; perhaps less, but for an end of the range not
  // none. Returns which; `ptes[i]` is of page i of them.
  PageRange ReadPtes(Vad& vad, PageRange range, std::span<Pte> ptes);

  // From now on it is known which pages of the reservation were written. Called before anybody
  // knows its address.
  void WatchWrites(Vad& vad);
  // The lowest pages of the range that count as written, as many as there is room for; `next` is
  // the first page that was not looked at, or the range's end. With kForget, those that were found
  // no longer count as written, in one step with the look at each: no store is lost in between.
  size_t CollectWritten(Vad& vad, PageRange range, AfterCollecting after,
                        std::span<PageIndex> found, PageIndex* next);
  void ForgetWrites(Vad& vad, PageRange range);

  // Lets the contents of the pages be given up, instead of being written, when memory is short;
  // a page that is touched before keeps its content. Uncommitted pages stay as they are.
  void ResetPages(Vad& vad, PageRange range);
  // The same, with no access until ReclaimPages. Lower priorities, from 0 to kOfferPriorities - 1,
  // go first; what was reset goes with priority 0. Locks end. All pages are committed. ENOMEM: the
  // kernel's limit of mappings; nothing was offered.
  Errno OfferPages(Vad& vad, PageRange range, unsigned priority);
  // Ends ResetPages (of pages that are not offered) or OfferPages. Whether every page of the range
  // has the content that it had.
  bool UndoReset(Vad& vad, PageRange range);
  bool ReclaimPages(Vad& vad, PageRange range);
  // Gives contents up at once: the pages read as zeros. Locks end. All pages are committed.
  void DiscardPages(Vad& vad, PageRange range);
  // Has pages of the range that are in the page file alone read into memory, as far as memory
  // allows; they are not mapped. Does not wait; may do nothing.
  void Prefetch(PageRange range);

  // What is to be done about an access that the kernel refused. Ends the guard of a guard page, for
  // exactly one of all accesses to it. From any thread, also in a signal handler that came while no
  // lock of the runtime was held; without the VadTree's lock.
  Violation Judge(PageIndex page, AccessKind access);
  // With FaultDelivery::kSignals: answers the fault that the calling thread has made, from its
  // signal handler, with all signals blocked and errno kept by the caller. Waits, without any lock.
  // kRepeat: the thread repeats its access. kLost, kNotManaged: the signal is not the pager's.
  InlineNext AnswerInline(const FaultMessage& message);
  // How many stripes have stopped being managed so far. A fault in one that the pager no longer
  // knew was counted before AnswerInline said so. From any thread.
  uint64_t CountReleases() const;

  // fork.cc, child.cc. Around the fork of a process whose children inherit (LetChildrenInherit).
  // With the VadTree's lock, in parent and child.
  //
  // Freeze holds all shards still and lends the child what the page file has; Thaw follows in the
  // parent. EMFILE, ENFILE: nothing is held still, and a child would not have all of its memory.
  Errno Freeze();
  void Thaw();
  // Whether a child that is forked now could page on its own, as far as can be told before. With
  // one clear line where not.
  Errno TryChild(LogLine* error) const;
  // In the child, first. It has this object, but no thread or descriptor of the parent's.
  void BeginInChild();
  // Then, for a child that pages on its own: new descriptors, a page file; then AdoptInChild for
  // each Vad; FinishInChild, from where on only the threads are missing; ThawInChild;
  // StartInChild. Each fails with one line; the child can be filled all the same (FillChild).
  Errno OpenInChild(LogLine* error);
  // The pages of `stays` alone stay locked.
  Errno AdoptInChild(Vad& vad, PageRange stays, LogLine* error);
  Errno FinishInChild(LogLine* error);
  void ThawInChild();
  // Without locks. A second later the watchdog's thread calls `settled`.
  Errno StartInChild(void (*settled)(), LogLine* error);
  // For a child that has plain memory, for pages of a paged Vad: puts everything that they hold and
  // that is not in memory in its place, without pager or limit. False, with a line on standard
  // error: the page file failed.
  bool FillChild(Vad& vad, PageRange range);
  // In such a child: before the first FillChild, and after the last.
  void CloseInChild();
  void EndInChild();

  // Changes the memory limit and waits until the resident pages are within it. EINVAL: below
  // SmallestMemoryLimit. EBUSY: locked pages would not leave room for as much as the smallest
  // limit, or pinned ones keep it from being reached; the old limit stays.
  Errno SetMemoryLimit(PageCount limit);
  // Makes sure that the page file has disk space for as many pages. Waits for the disk.
  // ENOSPC: it cannot.
  Errno GrowPageFile(PageCount pages);
  // How many pages can be promised with the page file as it is, and as it may become.
  PageCount CommitLimitNow() const;
  PageCount CommitLimitMost() const;
  // Memory that is never promised, of a limit. `encrypts`: what is written to the page file.
  static PageCount HeldBack(PageCount memory_limit, unsigned shards, bool encrypts);

  const PlatformFeatures& features() const { return features_; }
  const FrameLedger& frames() const { return frames_; }
  const PageFile& page_file() const { return page_file_; }
  // As PageFile's.
  template <typename Take>
  bool GiveBackSpace(Take take) {
    return page_file_.GiveBackSpace(take);
  }
  bool uses_move() const;
  // The sums over all shards.
  void CollectCounters(CounterTotals* totals) const;
  // Whether every structure of every shard is consistent; prints the first that is not.
  bool CheckConsistency();

 private:
  void ThawShards();
  void StartRecording();
  unsigned CountIdleWays() const;
  Errno StartShards(LogLine* error);
  Errno StartThreads(LogLine* error);
  Errno StartWatchdog(void (*settled)(), LogLine* error);
  Errno BuildVad(PageIndex at, PageCount pages, Protection protection, bool commit, Vad& vad);
  Errno BuildPages(Protection protection, bool commit, Vad& vad);
  Errno OpenStripes(Vad& vad, size_t* added);
  PageRange SpaceOf(const Vad& vad, size_t stripe) const;
  void ReleaseSpace(const Vad& vad);
  PageCount LockablePages() const;
  PageCount StayingPages() const;
  Errno MakeStripes(Vad& vad);
  Errno RegisterStripes(Vad& vad);
  Errno ForEachStripe(Vad& vad, PageRange range, auto function);
  Errno PrepareAccess(Vad& vad, PageRange range, Protection protection);
  Errno OpenSpans(Vad& vad, PageRange range);
  Errno CloseExecutable(Vad& vad, PageRange range);
  Errno HideAll(Vad& vad, PageRange range);
  Errno ChangeProtection(Vad& vad, PageRange range, Protection protection, bool commit);
  bool MayStay(const Vad& vad, PageRange range) const;
  PageCount HeldBack() const {
    return HeldBack(frames_.limit(), options_.shards, options_.encrypt);
  }
  void KickAll();
  bool HasTransfers();

  PagerOptions options_;
  PlatformFeatures features_;
  FrameLedger frames_;
  PageFile page_file_;
  StatisticsPage* const page_ = nullptr;
  Recording* recording_ = nullptr;
  bool wants_callers_ = false;
  ShardThread* shards_[kMaxShards] = {};
  HaltPoller poller_;
  Watchdog watchdog_;
  std::atomic<uint64_t> lock_quota_{UINT64_MAX};
  // Of the fork under way, and in the child.
  SlotLoan loan_;
  PageCount limit_at_fork_;
  PageCount mapped_in_child_;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_PAGER_H_
