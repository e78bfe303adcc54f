// The room api: what a program calls. It checks arguments, keeps the tree of reservations and the
// commit charge, and leaves pages to the Pager.
//
// Cast:
//   Reservations   the VirtualAlloc family without its C clothes: the VadTree, its lock, the commit
//                  charge (this file; reservations.cc, placeholders.cc, page_attributes.cc,
//                  commit_limit.cc, and beside the exported functions for which they are:
//                  write_watch.cc, memory_hints.cc, working_set.cc, working_set_query.cc,
//                  memory_counters.cc), and what Linux's mappings need of them (linux_mappings.cc)
//   WorkingSet     the limits that the program sets itself, and the memory limit that comes of them
//                  (working_set.h)
//   Runtime        the one Pager and the one Reservations of the process, and their start
//   (runtime.h) Entry          signals off, a stack of the runtime's own: around everything that
//   locks (entry.h) Options        userpager_options and USERPAGER_CONF (options.h); MachineMemory
//   their yardstick ForkGuard      refuses to work in a forked child (fork_guard.h)
//   Exceptions     refused accesses as exceptions, and guards (exceptions.h); SignalChain and
//   HandlerList    the program's signal handlers and vectored handlers
//   DescribeForeign   memory that is in no reservation, for VirtualQuery (foreign_memory.h)
//   virtual_alloc.cc, userpager.cc   the exported functions: arguments that need no lock, last
//   error
//
// Flow of a call: arguments are checked; the runtime is started if it is the first; RunInside runs
//   one function of Reservations with everything by value; its answer is copied out; memory of the
//   caller (an old protection, a MEMORY_BASIC_INFORMATION) is written outside of all that.
//
// Invariants:
//   1. A call that fails has changed nothing: what can fail (charge, address space, the kernel's
//      mappings) comes before what cannot, and the charge is a token until all is done.
//   2. Kept charge = the committed pages of all Vads in the tree.
//   3. With strict commit, what is charged is at most what memory limit and page file can hold as
//      they are now: the page file grows in the committing call, before the charge.
//
// Locks: lock_ (kVadTree) covers the tree, its Vads and the changes of the charge's limit. It is
//   never held while something waits: growing the page file, bringing pages in and changing the
//   memory limit happen between two times of holding it, and what was seen before is looked at
//   again.
//
// Does not: touch the pages themselves.
#ifndef USERPAGER_API_RESERVATIONS_H_
#define USERPAGER_API_RESERVATIONS_H_

#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <cstdint>
#include <optional>

#include "runtime/address_space/commit_charge.h"
#include "runtime/address_space/fork_rules.h"
#include "runtime/address_space/vad_tree.h"
#include "runtime/api/foreign_memory.h"
#include "runtime/base/lock.h"
#include "runtime/base/log_line.h"
#include "runtime/base/types.h"
#include "runtime/pager/pager.h"
#include "runtime/platform/address_search.h"

namespace userpager {

enum class CommitMode : uint8_t { kStrict, kLazy };

// Thread-safe. Addresses and sizes are as the program gave them; types and protections have been
// checked (allocation_flags.h). Errors are last-error values, 0 for none.
class Reservations {
 public:
  struct Allocated {
    DWORD error = 0;
    uint64_t address = 0;
  };
  struct Protected {
    DWORD error = 0;
    DWORD old_protect = PAGE_NOACCESS;
  };
  struct Queried {
    DWORD error = 0;
    MEMORY_BASIC_INFORMATION information = {};
  };
  struct Region {
    DWORD error = 0;
    WIN32_MEMORY_REGION_INFORMATION information = {};
  };

  static constexpr size_t kWrittenAtATime = 256;
  struct Written {
    DWORD error = 0;
    size_t count = 0;
    PageIndex next;
    PageIndex pages[kWrittenAtATime];
  };
  static constexpr size_t kPagesAtATime = 128;
  struct Residents {
    DWORD error = 0;
    size_t count = 0;
    PageIndex next;
    uint64_t blocks[kPagesAtATime];  // PSAPI_WORKING_SET_BLOCK
  };
  struct Addresses {
    size_t count = 0;
    PageIndex pages[kPagesAtATime];
  };
  struct Attributes {
    DWORD error = 0;
    uint64_t blocks[kPagesAtATime];  // PSAPI_WORKING_SET_EX_BLOCK
  };

  // The commit charge is counted in `gauges`.
  Reservations(Pager& pager, CommitMode mode, CommitGauges& gauges);

  // reservations.cc
  Allocated Allocate(uint64_t address, uint64_t bytes, DWORD type, Protection protection)
      ABSL_LOCKS_EXCLUDED(lock_);
  // Anywhere that meets the requirements; reserves.
  Allocated AllocateWithin(AddressRequirements where, uint64_t bytes, DWORD type,
                           Protection protection) ABSL_LOCKS_EXCLUDED(lock_);
  DWORD Release(uint64_t address) ABSL_LOCKS_EXCLUDED(lock_);
  DWORD Decommit(uint64_t address, uint64_t bytes) ABSL_LOCKS_EXCLUDED(lock_);

  // placeholders.cc
  DWORD PreservePlaceholder(uint64_t address, uint64_t bytes) ABSL_LOCKS_EXCLUDED(lock_);
  DWORD CoalescePlaceholders(uint64_t address, uint64_t bytes) ABSL_LOCKS_EXCLUDED(lock_);

  // page_attributes.cc
  Protected Protect(uint64_t address, uint64_t bytes, Protection protection)
      ABSL_LOCKS_EXCLUDED(lock_);
  // Reads the kernel's map where the address is in no reservation.
  Queried Query(uint64_t address) ABSL_LOCKS_EXCLUDED(lock_);
  Region QueryRegion(uint64_t address) ABSL_LOCKS_EXCLUDED(lock_);
  // Waits until the pages are there.
  DWORD LockPages(uint64_t address, uint64_t bytes) ABSL_LOCKS_EXCLUDED(lock_);
  DWORD UnlockPages(uint64_t address, uint64_t bytes) ABSL_LOCKS_EXCLUDED(lock_);

  // holds.cc. As userpager_hold and userpager_release; 0, or a userpager_error with a line in
  // `error`. Hold waits.
  int Hold(uint64_t address, uint64_t bytes, bool for_writing, LogLine* error)
      ABSL_LOCKS_EXCLUDED(lock_);
  int ReleaseHold(uint64_t address, uint64_t bytes, LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);

  // write_watch.cc. The range is that of GetWriteWatch; looks for `most` (at most kWrittenAtATime)
  // pages from `from` on. `next` is the first page that was not looked at, or the range's end.
  Written CollectWritten(PageRange range, PageIndex from, size_t most, AfterCollecting after)
      ABSL_LOCKS_EXCLUDED(lock_);
  DWORD ForgetWrites(PageRange range) ABSL_LOCKS_EXCLUDED(lock_);

  // memory_hints.cc
  Allocated Reset(uint64_t address, uint64_t bytes, DWORD type) ABSL_LOCKS_EXCLUDED(lock_);
  DWORD Offer(PageRange range, unsigned priority) ABSL_LOCKS_EXCLUDED(lock_);
  DWORD Reclaim(PageRange range) ABSL_LOCKS_EXCLUDED(lock_);
  DWORD Discard(PageRange range) ABSL_LOCKS_EXCLUDED(lock_);

  // working_set_query.cc
  // The pages of the working set from `from` on, as many as there is room for; `next` is where to
  // go on, or the end of the address space.
  Residents CollectResidents(PageIndex from) ABSL_LOCKS_EXCLUDED(lock_);
  // What QueryWorkingSetEx tells of each page.
  Attributes AttributesOf(const Addresses& addresses) ABSL_LOCKS_EXCLUDED(lock_);

  // working_set.cc. Takes all pages that are not locked out of the working set.
  void EmptyWorkingSet() ABSL_LOCKS_EXCLUDED(lock_);

  // memory_counters.cc
  PageCount ReservedPages() ABSL_LOCKS_EXCLUDED(lock_);
  // linux_mappings.cc: what Linux's mappings of private anonymous memory are made of
  // (preload/linux_memory.h). A mapping is the committed pages of a Vad, or some of them; what was
  // unmapped of a Vad stays reserved until nothing of it is mapped, and is then released.
  enum class Owner : uint8_t {
    kKernel,   // in no Vad
    kProgram,  // in a Vad that gave it up (Pager::GiveUp): what is there is the kernel's
    kNobody,   // in a Vad, unmapped
    kPager,    // in a Vad, mapped
  };
  struct Part {
    Errno error = 0;
    Owner owner = Owner::kKernel;
    PageRange range;
    Protection protection;  // of kPager
    bool locked = false;    // of kPager
  };
  enum class PartUse : uint8_t {
    kLook,
    kEmpty,     // of kPager: zeros from now on. EINVAL: locked
    kRemove,    // of kPager: unmapped; of kProgram: taken back, unmapped
    kTakeBack,  // of kProgram: unmapped, the Vad stays
    kGiveUp,    // of kNobody: kProgram from now on
    kProtect,   // of kPager: the protection. ENOMEM: as Pager::Protect
    kTrim,      // of kPager: out of the working set
    // Of kPager: MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK. ENOMEM: no memory
    // to remember it.
    kNotInChild,
    kInChild,
    kEmptyInChild,
    kKeepInChild,
  };
  // The first part of the range of which all pages have the same owner, protection and lock, and
  // does that with it, where the owner is one of those named; of others it only tells.
  Part UsePart(PageRange range, PartUse use, Protection protection) ABSL_LOCKS_EXCLUDED(lock_);
  // Maps pages that are in no Vad. EEXIST, ENOMEM: as Pager::ReserveExactly; ENOMEM also where so
  // much cannot be promised.
  Errno MapExactly(PageRange range, Protection protection, bool replace)
      ABSL_LOCKS_EXCLUDED(lock_);
  // Maps pages of kNobody or kPager, which keep their contents. EAGAIN: they are not any more.
  Errno MapReserved(PageRange range, Protection protection) ABSL_LOCKS_EXCLUDED(lock_);
  // What forked children have of the first pages of the range that are alike in this.
  ForkRules::Run ForkRuleOf(PageRange range) ABSL_LOCKS_EXCLUDED(lock_);
  // ENOMEM: no memory to remember it.
  Errno SetForkRule(PageRange range, ForkRule rule) ABSL_LOCKS_EXCLUDED(lock_);
  // Maps pages anywhere. With lazy commit the page file grows when its slots are needed, not now:
  // Linux programs map much more than they use.
  Allocated MapAnywhere(PageCount pages, Protection protection) ABSL_LOCKS_EXCLUDED(lock_);
  // The first pages of the range, which is in one Vad, that are not known to be zeros; empty at its
  // end where there are none.
  PageRange FirstContent(PageRange range) ABSL_LOCKS_EXCLUDED(lock_);
  // How many more pages can be locked under the memory limit.
  PageCount LockableNow() const { return pager_.LockableNow(); }
  // Whether it is a place of the runtime's own where frames are parked.
  bool IsParkingPlace(PageIndex page) const { return pager_.IsParkingPlace(page); }
  // Whether a read of the page needs no I/O; false also where it is in no Vad.
  bool IsInMemory(PageIndex page) ABSL_LOCKS_EXCLUDED(lock_);

  // child.cc. Around fork, where children inherit (Pager::Freeze). BeginFork is followed by EndFork
  // in the parent; where it fails, nothing is held. In the child BeginInChild follows, then
  // AdoptInChild and ThawInChild, or FillChild.
  Errno BeginFork();
  void EndFork();
  void BeginInChild() { pager_.BeginInChild(); }
  // Where the child is to page on its own: from ThawInChild on this object works as before. With
  // one line where it fails: the child can be filled all the same.
  Errno AdoptInChild(PageRange stays_locked, LogLine* error);
  void ThawInChild();
  // After Pager::StartInChild: takes away what children are not to have. ENOMEM: the kernel's limit
  // of mappings.
  Errno ApplyForkRules() ABSL_LOCKS_EXCLUDED(lock_);
  // Where the child is to have plain memory: nothing of this object is used there afterwards.
  // False, with a line on standard error: the page file failed, or the kernel has no room.
  bool FillChild();

  // commit_limit.cc. Returns 0 or a userpager_error, with a line in `error`. Waits.
  int SetMemoryLimit(PageCount limit, LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);
  // With strict commit, where forked children inherit: gives the page file what this process's
  // promises need beside the slots that a child will borrow, and a child's beside them. ENOSPC,
  // with one line.
  Errno KeepPromisesBesideChild(LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);
  Errno KeepPromisesInChild(LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);
  // With discard:on: gives disk space back that no promise counts on, of one run of slots. Waits
  // for the disk. False: there is none, or it cannot be done.
  bool GiveBackSpace() ABSL_LOCKS_EXCLUDED(lock_);
  CommitMode commit_mode() const { return mode_; }
  const CommitCharge& charge() const { return charge_; }

  // Whether the tree, its Vads and the charge agree; prints the first that does not. For tests.
  bool CheckConsistency() ABSL_LOCKS_EXCLUDED(lock_);

 private:
  // How often a call lets the page file grow before it takes others' appetite for an answer.
  static constexpr unsigned kMaxGrowths = 16;

  struct Attempt {
    Allocated answer;
    PageCount slots_needed;  // 0, or: no answer yet, the page file must have so many slots first
  };
  Attempt TryReserve(PageIndex at, PageCount pages, DWORD type, Protection protection)
      ABSL_LOCKS_EXCLUDED(lock_);
  Attempt TryCommit(PageRange range, Protection protection) ABSL_LOCKS_EXCLUDED(lock_);
  Allocated AllocateLarge(PageIndex at, uint64_t bytes) ABSL_LOCKS_EXCLUDED(lock_);
  Attempt TryMapExactly(PageRange range, Protection protection, bool replace, Errno* refused)
      ABSL_LOCKS_EXCLUDED(lock_);
  Part PartAt(PageRange range) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Errno Remove(Vad* vad, PageRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Errno ChangeForkRules(PageRange range, PartUse use) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Errno FillChild(Vad& vad);
  Errno FillPart(Vad& vad, PageRange range, Protection protection);
  Allocated ReserveLarge(PageIndex at, PageCount pages) ABSL_LOCKS_EXCLUDED(lock_);
  // placeholders.cc
  // A placeholder, or with MEM_PHYSICAL what can only be released.
  Allocated HoldAddresses(PageIndex at, PageCount pages, DWORD type, Protection protection)
      ABSL_LOCKS_EXCLUDED(lock_);
  Attempt TryReplace(PageRange range, DWORD type, Protection protection)
      ABSL_LOCKS_EXCLUDED(lock_);
  DWORD SplitPlaceholder(Vad* vad, PageRange part) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Calls `attempt` again after each growth of the page file that it asks for.
  template <typename TryOnce>
  Allocated GrowAndRetry(TryOnce attempt) ABSL_LOCKS_EXCLUDED(lock_) {
    for (unsigned growths = 0; growths <= kMaxGrowths; ++growths) {
      const Attempt tried = attempt();
      if (tried.slots_needed == PageCount(0)) return tried.answer;
      if (pager_.GrowPageFile(tried.slots_needed) != 0) break;
    }
    return {ERROR_COMMITMENT_LIMIT};
  }
  // The paged Vad that contains all of the range, or nullptr.
  Vad* FindWhole(PageRange range) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Whether the range is in one Vad of large pages, whose pages are always what they are.
  bool IsInLargePages(PageRange range) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // memory_hints.cc. The same, if all of the range is committed.
  Vad* FindCommitted(PageRange range) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // write_watch.cc. As FindWhole, if its writes are watched; parts may be uncommitted.
  Vad* FindWatched(PageRange range) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  DWORD BeginLock(PageRange range, bool* had_locks) ABSL_LOCKS_EXCLUDED(lock_);
  void UndoLock(PageRange range) ABSL_LOCKS_EXCLUDED(lock_);
  int BeginHold(PageRange range, bool for_writing, LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);
  int EndHold(PageRange range, LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);

  // Charges what fits now. Where it does not, `slots_needed` is how many slots the page file must
  // have for it.
  CommitCharge::Token Charge(PageCount pages, PageCount* slots_needed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Pages that can be promised as things are now.
  PageCount CommitLimit() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // With lazy commit: lets the page file grow with what is committed, as far as it can.
  void FollowCommit() ABSL_LOCKS_EXCLUDED(lock_);
  PageCount SpareSlots() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Errno GrowFor(PageCount promised, LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);
  int GrowForLowerLimit(LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);
  int ApplyMemoryLimit(PageCount limit, LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);

  Pager& pager_;
  const CommitMode mode_;
  Lock lock_{LockRank::kVadTree};
  VadTree tree_ ABSL_GUARDED_BY(lock_);
  ForkRules fork_rules_ ABSL_GUARDED_BY(lock_);  // of committed pages of paged Vads
  CommitCharge charge_;  // two counters; its limit is only set with lock_ held
  // While the memory limit is on its way down: pages that are no longer promised.
  PageCount withheld_ ABSL_GUARDED_BY(lock_);
  bool changing_limit_ ABSL_GUARDED_BY(lock_) = false;
};

// The pages that hold a byte of the range; nullopt where the range is empty or not in the address
// space of programs.
std::optional<PageRange> PagesOfRange(uint64_t address, uint64_t bytes);

}  // namespace userpager

#endif  // USERPAGER_API_RESERVATIONS_H_
