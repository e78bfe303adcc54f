// Shard: one pager. It answers the faults of its stripes, keeps their pages inside the memory
// limit, and moves contents between memory and the page file. This is the main header of the pager
// room.
//
// Cast:       Shard (pages, lists, decisions), ShardThread (the thread, its userfaultfd and its I/O
//             engine), Pager (all shards; the rest of the runtime talks to it), PagePlatform (the
//             kernel), PageFile (slots), ReplacementPolicy and StreamTable (who leaves, how many
//             come), Transfer (an I/O under way).
// Flow:       the shard's thread waits for messages and completions and calls Step, which
//             1. ends transfers (page_in.cc, write_out.cc), 2. answers faults (fault_service.cc:
//             demand-zero, soft; read_ahead.cc: hard), 3. goes on with requests to bring pages in,
//             4. frees memory ahead of demand (page_out.cc, write_out.cc), 5. answers faults that
//             waited for it. API threads change pages (page_changes.cc) under the same mutex and
//             never start I/O. Of these, write_watch.cc has MEM_WRITE_WATCH, offered_pages.cc what
//             the program may do without (MEM_RESET, offers), prefetch.cc its hints of what it will
//             want.
// States:     PageState (address_space/pte.h); the moves between them are rows of
//             page_state_table.h, and SetPte refuses all others.
// Invariants: 1. each page of a stripe is in exactly the state its PTE says, under the mutex;
//             2. charged pages = frames in use + pages of reads under way + buffers, never above
//             the limit; 3. a mapped page that is not locked is in the replacement policy, a parked
//             one on the list of its state; 4. a slot belongs to one page or one transfer; 5. every
//             message ends in an installed page, a wake, a trap, a poison, or a place in the queue
//             or in a transfer that answers it later.
// Locks:      one mutex (kShard). With it held: no managed memory is touched but mapped or parked
//             pages by way of PagePlatform::Peek, no malloc, no wait.
// Does not:   know the VadTree, or wait: ShardThread waits.
#ifndef USERPAGER_PAGER_SHARD_H_
#define USERPAGER_PAGER_SHARD_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "runtime/address_space/range_map.h"
#include "runtime/address_space/stripe.h"
#include "runtime/base/access_kind.h"
#include "runtime/base/lock.h"
#include "runtime/base/log_line.h"
#include "runtime/frames/frame_ledger.h"
#include "runtime/frames/frame_table.h"
#include "runtime/frames/parking_area.h"
#include "runtime/frames/standby_lists.h"
#include "runtime/observe/counters.h"
#include "runtime/observe/fault_samples.h"
#include "runtime/observe/shard_trace.h"
#include "runtime/page_file/io_engine.h"
#include "runtime/page_file/page_file.h"
#include "runtime/page_file/slot_cipher.h"
#include "runtime/pager/buffer_pool.h"
#include "runtime/pager/fault_queue.h"
#include "runtime/pager/idle_trial.h"
#include "runtime/pager/inline_fault.h"
#include "runtime/pager/page_state_table.h"
#include "runtime/pager/read_install.h"
#include "runtime/pager/transfer.h"
#include "runtime/pager/trap_ring.h"
#include "runtime/pager/violation.h"
#include "runtime/platform/features.h"
#include "runtime/platform/helper_thread.h"
#include "runtime/platform/page_platform.h"
#include "runtime/policy/read_streams.h"
#include "runtime/policy/reader_crowd.h"
#include "runtime/policy/replacement_choice.h"
#include "runtime/policy/stream_table.h"

namespace userpager {

struct ShardOptions {
  unsigned index = 0;
  unsigned shard_count = 1;
  PageCount most_frames;  // that can ever be in use: the machine's memory
  PlatformFeatures features;
  bool use_move = true;
  ReplacementKind replacement = ReplacementKind::kAdaptive;
  unsigned idle_ways = 1;  // of IdleWay, the first so many may be chosen
  TraceRing* trace = nullptr;  // of the recording, where there is one
  FaultSamples* samples = nullptr;  // for readers, where there are any
};

// What a shard uses and does not own; all of it outlives the shard.
struct ShardParts {
  PagePlatform& platform;
  IoEngine& engine;
  FrameLedger& frames;
  PageFile& page_file;
  HelperThread& helper;  // of this shard alone
  Counters* counters = nullptr;  // all zeros; nullptr: the shard's own
  SlotCipher* cipher = nullptr;  // of this shard alone; nullptr: the page file is not encrypted
};

enum class BringInKind : uint8_t {
  kMap,       // to be touched without a fault; the API thread waits, and owns the request
  kPrefetch,  // off the disk, as far as memory allows; nobody waits, and the shard deletes it
};

// A wish of an API thread to have pages in memory. It lives in the arena while it is posted.
struct BringInRequest {
  PageRange range;  // what is left: its begin moves up
  BringInKind kind = BringInKind::kMap;
  Errno error = 0;
  std::atomic<uint32_t> done{0};  // a futex word, 1 when `error` is final
  BringInRequest* next = nullptr;
};

// What becomes of the address space of a stripe that is removed.
enum class SpaceAfter : uint8_t { kUnmapped, kHeld };

class Shard {
 public:
  // So many writes that fail in a row cost a slot each; from then on nothing can be written.
  static constexpr unsigned kSlotFailures = 8;

  Shard(const ShardOptions& options, const ShardParts& parts);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Takes the address space that the shard needs for itself.
  Errno Init();

  // What came in since the last call. Returns how long the thread may wait for more, in nanoseconds
  // (0: there is work left; IoEngine::kNoTimeout: as long as it likes). Only the shard's thread.
  uint64_t Step(std::span<const FaultMessage> faults, std::span<const IoCompletion> transfers)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // ---- Changes of address space. The caller holds the VadTree's lock. ----

  // From now on faults in the stripe are answered. Its range is registered.
  Errno AddStripe(Stripe* stripe) ABSL_LOCKS_EXCLUDED(mutex_);
  // Gives back everything that the stripe's pages have, unmaps `space` (the stripe's range or more)
  // or holds it for a placeholder, and lets waiting threads look again. False where the kernel has
  // too many mappings to unmap it: the stripe stays, and all of its pages are reserved.
  bool RemoveStripe(Stripe* stripe, PageRange space, SpaceAfter after) ABSL_LOCKS_EXCLUDED(mutex_);
  // Prepares the pages for a protection that allows no access: none of them is mapped afterwards.
  // ENOMEM: a page that cannot be moved could not be protected either; the caller undoes the rest
  // by UnhidePages.
  Errno HidePages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  // Undoes what a HidePages that failed has left, for pages whose protection allows access.
  void UnhidePages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  // Commits pages that are reserved, and sets the protection of all. For a protection without
  // access HidePages has been called.
  void SetProtection(Stripe& stripe, PageRange range, Protection protection, bool commit)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void DecommitPages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  // zero_pages.cc. Makes the committed pages of the range demand-zero, with their protections.
  // Whoever touches them meanwhile finds what they held, or zeros. None of them is locked.
  void ZeroPages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  // Reserved pages: whether what is mapped there is the program's own. No fault is answered there
  // from then on.
  void MarkForeign(Stripe& stripe, PageRange range, bool foreign) ABSL_LOCKS_EXCLUDED(mutex_);
  void LockPages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  bool AllLocked(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  void UnlockPages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  // One more hold of each page, or one less of each that has one (`all`: whether all had).
  void HoldPages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  void ReleasePages(Stripe& stripe, PageRange range, bool* all) ABSL_LOCKS_EXCLUDED(mutex_);
  // Moves the pages that are not locked out of the working set.
  void TrimPages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  // What pages are now, with all that was answered before: as many of the range as there is room
  // for, from the first on that was ever touched. Returns which; `ptes[i]` is of page i of them.
  PageRange ReadPtes(const Stripe& stripe, PageRange range, std::span<Pte> ptes)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // From now on the stripe's pages count as written or not. Before anybody knows their addresses.
  void WatchWrites(Stripe& stripe) ABSL_LOCKS_EXCLUDED(mutex_);
  // The lowest pages of the range that count as written, as many as there is room for in `found`;
  // with kForget they no longer do, in the same step. Returns how many; `next` is the first page
  // that was not looked at, or the range's end.
  size_t CollectWritten(Stripe& stripe, PageRange range, AfterCollecting after,
                        std::span<PageIndex> found, PageIndex* next) ABSL_LOCKS_EXCLUDED(mutex_);
  // No page of the range counts as written any more.
  void ForgetWrites(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);

  // The contents of the pages may be given up instead of being written, until a page is touched.
  // Pages that are locked, or that the page file has, keep them.
  void ResetPages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  // The same, and no access is allowed until ReclaimPages, and locks end. HidePages was called.
  // Lower priorities go first, from 0 to kOfferPriorities - 1.
  void OfferPages(Stripe& stripe, PageRange range, unsigned priority)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends ResetPages (`offered` false) or OfferPages. Whether every page has its content.
  bool ReclaimPages(Stripe& stripe, PageRange range, bool offered) ABSL_LOCKS_EXCLUDED(mutex_);
  // Gives the contents of the pages up at once: they read as zeros. Locks end.
  void DiscardPages(Stripe& stripe, PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);

  // fork.cc, child.cc. As the functions of Pager; ThawInChild is Thaw.
  void Freeze() ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex_) {
    mutex_.AcquireBeside();
    frozen_.store(true, std::memory_order_relaxed);
  }
  void Thaw() ABSL_UNLOCK_FUNCTION(mutex_) {
    ++forks_;
    frozen_.store(false, std::memory_order_relaxed);
    mutex_.Release();
  }
  void EndTransfersInChild();
  // Registers the stripe's pages, of which `space` is the address space, as the PTEs have them.
  // Locks end, but for pages of `stays`. Adds the pages that are mapped to `mapped`.
  Errno AdoptStripe(Stripe& stripe, PageRange space, PageRange stays, PageCount* mapped);
  Errno AdoptParking();
  // What the shard has charged.
  PageCount ChargedInChild();
  bool FillChild(Stripe& stripe, PageRange range);
  void EndInChild();

  // ---- From any thread, without the VadTree's lock. ----

  // Whoever posts wakes the shard's thread, then waits for `done` (kMap). False, with the request
  // still the caller's: there are so many hints already (kPrefetch).
  bool Post(BringInRequest* request) ABSL_LOCKS_EXCLUDED(mutex_);
  // Another shard, or a caller, wants memory to become free if it is short.
  void OnKick() ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes the pages of the range that are the shard's, mapped, and may be written, dirty.
  void OpenForWriting(PageRange range) ABSL_LOCKS_EXCLUDED(mutex_);
  // Answers a fault in the thread that made it, or says what that thread has to do next.
  InlineNext BeginInline(InlineFault* fault) ABSL_LOCKS_EXCLUDED(mutex_);
  // After kRead: `result` is what was read, in bytes, or -errno. kRead again: once more.
  InlineNext EndInlineRead(InlineFault* fault, int64_t result) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether the page is one of the shard's own places for parked pages. Takes no lock.
  bool IsParkingPlace(PageIndex page) const;
  // How many stripes have been removed.
  uint64_t releases() const { return releases_.load(std::memory_order_relaxed); }
  // The memory limit has changed: buffers and watermarks follow.
  void OnLimitChanged() ABSL_LOCKS_EXCLUDED(mutex_);
  // True once after the shard found itself unable to free memory that its faults wait for, so that
  // other shards should.
  bool TakeNeedsPeers() { return needs_peers_.exchange(false, std::memory_order_relaxed); }
  // True once after page-out found no free slot although the page file may grow.
  bool TakeWantsSlots() { return wants_slots_.exchange(false, std::memory_order_relaxed); }
  // Once after a fault for which it matters: how the next one is to be waited for.
  std::optional<IdleWay> TakeWantedIdling() { return wanted_idling_.Take(); }
  // After faults: whether the thread waits without sleeping, or others have taken its CPU.
  void NoteSpinning(bool spins, bool taken) ABSL_LOCKS_EXCLUDED(mutex_);
  // Pages that were mapped for the program so far.
  uint64_t installed_pages() const { return installed_.value(); }
  // Whether a read or a write of the page file is under way.
  bool has_transfers() ABSL_LOCKS_EXCLUDED(mutex_) {
    LockHolder hold(mutex_);
    return transfers_.under_way() != 0;
  }
  PageCount locked_pages() const { return PageCount(locked_.load(std::memory_order_relaxed)); }
  // Locked, held, or both.
  PageCount staying_pages() const { return PageCount(staying_.load(std::memory_order_relaxed)); }
  // What is to be done about an access that the kernel refused; ends the guard of a guard page.
  Violation Judge(PageIndex page, AccessKind access) ABSL_LOCKS_EXCLUDED(mutex_);
  // Adds what the shard has done to the totals. A fault whose thread goes on is counted in them.
  void CollectCounters(CounterTotals* totals) ABSL_LOCKS_EXCLUDED(mutex_);
  bool CheckConsistency() ABSL_LOCKS_EXCLUDED(mutex_);

  // shard_watch.cc. Between Freeze and Thaw.
  bool is_frozen() const { return frozen_.load(std::memory_order_relaxed); }
  // Nothing is under way that would answer a thread which waits.
  bool is_idle() ABSL_LOCKS_EXCLUDED(mutex_);
  // Has the engine do the reads of threads that were to do them themselves (faults:inline) and have
  // ended. Returns how many, and one of the threads. By the shard's thread.
  unsigned TakeOverReads(uint32_t* ended) ABSL_LOCKS_EXCLUDED(mutex_);
  // The threads that wait while that is so, and whose messages have been handed to Step.
  uint64_t ForgottenWaiters() ABSL_LOCKS_EXCLUDED(mutex_);
  // How much there is of everything, for a line that tells of trouble.
  void Describe(LogLine* line) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class ShardTestPeer;

  // Writes under way at a time: transfers must be left for reads.
  static constexpr unsigned kMostWrites = 16;
  // Longer than a disk that does what it can takes between two writes of many.
  static constexpr uint64_t kStuckWriteNs = 100'000'000;

  enum class Answer : uint8_t {
    kDone,        // the page is there or the thread was sent to look again
    kUnderWay,    // a transfer will answer
    kNoMemory,    // no charge, buffer or transfer to be had now
  };
  enum class WriteOutcome : uint8_t {
    kWritten,
    kFailed,    // by the device or for its sake
    kPageGone,  // before the device saw it
  };
  struct Fault {
    PageIndex page;
    bool write;
    bool write_protect;
    uint32_t thread_id;
    uint64_t seen_ns;
    bool urgent;  // may use the reserve that keeps the shard going
  };
  struct PageInSlot {
    SlotIndex slot;
    PageIndex page;
  };
  struct ReadReason {
    const Fault* demand = nullptr;  // who waits for one of the pages, if anybody
    bool is_stream = false;
    PageIndex marker;  // not to be mapped; 0: none
    bool parks = false;  // none is to be mapped that nobody waits for
  };

  // fault_service.cc
  void OnFault(const FaultMessage& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Answer Service(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Answer InstallZeros(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static bool IsStore(const Fault& fault, Pte pte) {
    return fault.write && pte.protection().AllowsWrite();
  }
  PageRange ZeroRun(Stripe& stripe, PageIndex page, bool writable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LiftProtection(PageRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Answer FirstWrite(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeDirty(Stripe& stripe, PageRange run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeStale(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Queue(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RetryQueued() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AdvanceRequests() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishRequest(BringInRequest** link, Errno error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AdvanceRequest(BringInRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `run` came to the program by it, the page of the fault among it.
  void TellSample(PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Answered(FaultKind kind, const Fault& fault, PageRange run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // soft_faults.cc
  Answer Rescue(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageRange SoftRun(const Stripe& stripe, const Fault& fault)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageRange RescueNeighbours(Stripe& stripe, PageRange run, const Fault& fault)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Answer RescueByAny(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Answer RescueByCopy(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool RescueByMove(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // inline_faults.cc
  void AskForTurn(InlineFault* fault, bool needed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepOrLeave(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendUnsent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // traps.cc
  void Trap(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetTrap(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Untrap(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HideInPlace(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // violations.cc
  void MeetGuard(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndGuard(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // read_ahead.cc
  Answer StartRead(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitRead(Stripe& stripe, const Fault& fault) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static bool PassesOverMarker(const Stripe& stripe, const PageSeries& passed);
  uint64_t UseAhead(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ReadStreams::Plan NoteTouch(Stripe& stripe, uint32_t thread_id, PageIndex page,
                              ReadStreams::Touch touch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GoOnReading(PageIndex arrived) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReadAhead(Stripe& stripe, const ReadStreams::Plan& plan, uint64_t begun)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static size_t FindPagedOut(const Stripe& stripe, const PageSeries& series,
                             std::span<PageInSlot> found);
  bool ReadPages(Stripe& stripe, std::span<PageInSlot> pages, const ReadReason& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BufferPool::Run PrepareRead(PageCount most, const Fault* demand)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool StartTransfer(Stripe& stripe, std::span<const PageInSlot> run, const ReadReason& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LeftUnused(PageIndex page, Pte pte) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsMarker(const Transfer& transfer, unsigned i) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ParkMarker(Stripe& stripe, const Transfer& transfer, unsigned i)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // page_in.cc
  void SubmitRead(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendRead(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the page that somebody waits for is read once more, by the same transfer.
  bool OnReadDone(uint32_t index, int64_t result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndTransfers(std::span<const IoCompletion> transfers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddRead(const IoCompletion& done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsAwaitedApart(const Transfer& transfer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool BookRead(const ReadInstall::Read& read) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TracePagesIn(const Transfer& transfer, uint64_t installed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void InstallRead(Stripe& stripe, const Transfer& transfer, unsigned i)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void InstalledRead(Stripe& stripe, const Transfer& transfer, unsigned i)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AbandonRead(Stripe& stripe, const Transfer& transfer, unsigned i)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteWait(const Transfer& transfer, unsigned i);
  void LosePage(Stripe& stripe, const Transfer& transfer, unsigned i, int64_t result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Stripe* StripeReading(uint32_t index, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // page_out.cc
  bool KeepBalance(bool has_faults) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Balance(PageCount most_drops) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageCount LowMark() const;
  PageCount MemoryWanted() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsWorthWriting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WriteParked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageCount ToBeParked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasFreeSlots() const;
  bool SlotsAreScarce() const;
  bool IsOverLimit() const;
  bool HasWaiters() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !queue_.empty() || requests_ != nullptr;
  }
  bool WritesAreStuck() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  enum class Victims : uint8_t { kAll, kDroppedFirst };
  bool TrimWorkingSet(PageCount goal, Victims victims) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool LeavesAtOnce(Pte pte) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageRange ColdRun(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LeaveTogether(Stripe& stripe, PageRange run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageCount Park(Stripe& stripe, PageRange run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageCount ParkByMove(Stripe& stripe, PageRange run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageCount ParkByCopy(Stripe& stripe, PageRange run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ParkedPage(Stripe& stripe, PageIndex page, uint32_t place, bool executable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ParkingArea* Parking(bool executable) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Errno OpenParking(bool executable) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveParked(FrameIndex frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageIndex ParkedAt(const Frame& frame) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool DropOldest(FrameList* offered, PageCount most) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EarnParking(PageCount dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StampParked(FrameIndex frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WasParkedBefore(FrameIndex one, FrameIndex other) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropParked(FrameIndex index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FrameIndex NextToDrop() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool DropDiscarded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FreeParked(std::span<const FrameIndex> frames) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // write_out.cc
  bool StartWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageCount EvictInPlace(Stripe& stripe, PageRange run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropClean(std::span<const PageRange> runs) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageCount StartWriteInPlace(Stripe& stripe, PageRange run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool DropZerosInPlace(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddPart(Transfer& transfer, PageIndex memory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SubmitWrite(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnWriteDone(uint32_t index, int64_t result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TraceWritten(const Transfer& transfer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool LeaveToWrite(PageIndex page, FrameIndex frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsStillWritten(uint32_t index, unsigned i) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AllStillWritten(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ParkedWriteDone(Transfer& transfer, unsigned i, WriteOutcome outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void InPlaceWriteDone(uint32_t index, unsigned i, WriteOutcome outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveUpSlot(const Transfer& transfer, unsigned i, WriteOutcome outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteWriteFailure(const Transfer& transfer, int64_t result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteWriteSuccess() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // child.cc
  void EndReadInChild(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndWriteInChild(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Errno RegisterStripe(const Stripe& stripe, PageRange space)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static bool IsKernels(Pte pte, const PlatformFeatures& features);

  // fork.cc
  bool FillPages(Stripe& stripe, PageIndex end, PageIndex* page);
  SlotIndex FillPage(Stripe& stripe, PageIndex page);
  bool FillFromSlots(PageIndex first, SlotIndex slot, PageCount count);
  bool MakeExclusive(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageCount ParkShared(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // page_changes.cc
  // The next group of `left` with a page ever touched, or nothing; `left` begins behind it.
  PageRange NextGroup(const Stripe& stripe, PageRange* left)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ProtectPage(Stripe& stripe, PageIndex page, Protection protection)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepPage(Stripe& stripe, PageIndex page, Pte kept) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DecommitGroup(Stripe& stripe, PageRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetPage(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // write_watch.cc
  void ForgetWritesOfGroup(Stripe& stripe, PageRange group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseToStores(PageRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // offered_pages.cc
  void OfferPage(Stripe& stripe, PageIndex page, unsigned priority)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ReclaimPage(Stripe& stripe, PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool GiveUpOffered(PageCount most) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // prefetch.cc
  bool AdvancePrefetch(BringInRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  SlotRun TakeSlots(PageCount most) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool BeginWrite(PageCount most, uint32_t* index, PageCount* slots)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SealPages(Transfer& transfer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OpenPages(const Transfer& transfer, int64_t result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // shard.cc
  void NoteFault() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetPte(Stripe& stripe, PageIndex page, Pte pte) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EnterWorkingSet(FrameIndex frame, Pte pte, Arrival arrival)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Pte LeaveWorkingSet(FrameIndex frame, Pte pte) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseFrame(FrameIndex frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageCount Charge(PageCount most, bool urgent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FitBuffers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FitPool(BufferPool& pool, PageCount pages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AskPeers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsFull() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RefuseIfStuck() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t Timeout(bool work_left) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static bool IsZero(const void* page);

  const ShardOptions options_;
  PagePlatform& platform_;
  IoEngine& engine_;
  FrameLedger& ledger_;
  PageFile& page_file_;
  SlotCipher* const cipher_;
  HelperThread& helper_;
  ReadInstall installs_ ABSL_GUARDED_BY(mutex_);  // of the turn under way

  Lock mutex_{LockRank::kShard};
  ShardTrace trace_ ABSL_GUARDED_BY(mutex_);
  PageCount traced_limit_ ABSL_GUARDED_BY(mutex_);  // that trace_ was told of last
  RangeMap<Stripe> stripes_ ABSL_GUARDED_BY(mutex_);
  FrameTable frames_ ABSL_GUARDED_BY(mutex_);
  ReplacementChoice policy_ ABSL_GUARDED_BY(mutex_);
  UnmappedPages unmapped_ ABSL_GUARDED_BY(mutex_);  // by the PTEs
  PageCount park_credit_ ABSL_GUARDED_BY(mutex_);  // pages that may be parked ahead of demand
  PageCount write_due_ ABSL_GUARDED_BY(mutex_);  // modified pages whose turn to leave has come
  uint64_t times_parked_ ABSL_GUARDED_BY(mutex_) = 0;  // pages so far
  FrameList modified_ ABSL_GUARDED_BY(mutex_){FrameListId::kModified};
  StandbyLists standby_ ABSL_GUARDED_BY(mutex_);
  FrameList discard_ ABSL_GUARDED_BY(mutex_){FrameListId::kDiscard};
  FrameList offered_[kOfferPriorities] ABSL_GUARDED_BY(mutex_){
      FrameList(OfferedListId(0)), FrameList(OfferedListId(1)), FrameList(OfferedListId(2)),
      FrameList(OfferedListId(3))};
  ParkingArea parking_[2] ABSL_GUARDED_BY(mutex_);  // [executable]
  BufferPool buffers_ ABSL_GUARDED_BY(mutex_);
  BufferPool sealed_ ABSL_GUARDED_BY(mutex_);  // what is written of an encrypted page file
  TransferTable transfers_ ABSL_GUARDED_BY(mutex_);
  FaultQueue queue_ ABSL_GUARDED_BY(mutex_);
  TrapRing traps_ ABSL_GUARDED_BY(mutex_);
  bool traps_by_access_ ABSL_GUARDED_BY(mutex_) = false;  // of unmapped pages, at least once
  BringInRequest* requests_ ABSL_GUARDED_BY(mutex_) = nullptr;
  unsigned prefetches_ ABSL_GUARDED_BY(mutex_) = 0;  // of the requests, hints
  StreamTable zero_streams_ ABSL_GUARDED_BY(mutex_);
  ReadStreams read_streams_ ABSL_GUARDED_BY(mutex_);
  ReaderCrowd crowd_ ABSL_GUARDED_BY(mutex_);
  StreamTable write_streams_ ABSL_GUARDED_BY(mutex_);
  StreamTable soft_streams_ ABSL_GUARDED_BY(mutex_);

  uint64_t now_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // when this Step began
  PageCount reading_pages_ ABSL_GUARDED_BY(mutex_);  // charged for reads under way
  PageCount buffer_pages_ ABSL_GUARDED_BY(mutex_);   // charged for buffers
  PageCount writing_pages_ ABSL_GUARDED_BY(mutex_);  // parked, owned by writes under way
  unsigned writes_ ABSL_GUARDED_BY(mutex_) = 0;      // transfers that write
  unsigned writes_in_place_ ABSL_GUARDED_BY(mutex_) = 0;  // of them
  uint64_t last_write_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // when one began or ended
  bool balancing_ ABSL_GUARDED_BY(mutex_) = false;   // between the low and the high watermark
  unsigned careful_writes_ ABSL_GUARDED_BY(mutex_) = 0;  // pages to be written one at a time
  unsigned write_failures_ ABSL_GUARDED_BY(mutex_) = 0;  // in a row
  uint64_t next_write_ns_ ABSL_GUARDED_BY(mutex_) = 0;   // not before, after a failure
  uint64_t forks_ ABSL_GUARDED_BY(mutex_) = 0;      // of the process, since the shard began
  uint64_t asked_peers_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // when, last
  uint64_t stuck_turns_ ABSL_GUARDED_BY(mutex_) = 0;  // without progress while somebody waits
  uint64_t stuck_turn_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // when the last of them was
  uint64_t full_turns_ ABSL_GUARDED_BY(mutex_) = 0;     // the last of them in which IsFull
  uint64_t pins_met_ ABSL_GUARDED_BY(mutex_) = 0;       // pinned_pages at the last of them
  PageIndex stale_page_ ABSL_GUARDED_BY(mutex_);         // of the last stale message
  unsigned stale_count_ ABSL_GUARDED_BY(mutex_) = 0;     // how often in a row
  uint32_t unsettled_thread_ ABSL_GUARDED_BY(mutex_) = 0;  // that met a guard page last
  unsigned unsettled_count_ ABSL_GUARDED_BY(mutex_) = 0;   // how often in a row it was not waiting
  // Of the thread that holds the mutex and answers its own fault: it may not use the engine.
  InlineFault* answering_inline_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::array<uint32_t, kTransfers> unsent_ ABSL_GUARDED_BY(mutex_) = {};  // reads for the engine
  unsigned unsent_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool turn_asked_ ABSL_GUARDED_BY(mutex_) = false;  // the shard's thread is being woken
  std::atomic<uint64_t> parking_begin_[2] = {};  // of parking_, for IsParkingPlace; 0: none yet
  std::atomic<uint64_t> releases_{0};
  std::atomic<bool> frozen_{false};
  std::atomic<bool> needs_peers_{false};
  std::atomic<bool> wants_slots_{false};
  std::atomic<bool> spins_{false};
  IdleWish wanted_idling_;
  IdleTrial idle_ ABSL_GUARDED_BY(mutex_);
  Counter installed_;                // pages that were mapped for the program
  std::atomic<uint64_t> locked_{0};   // pages
  std::atomic<uint64_t> staying_{0};  // pages that are locked or held
  Counters own_counters_;
  Counters& counters_;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_SHARD_H_
