// SimulatedPlatform: the kernel's part of paging, in memory: which pages are present, write-
// protected, poisoned, guarded or pinned, what is in them, and which threads wait for a message to
// be answered. It refuses what the kernel refuses, and some more by seed. Each shard comes to it by
// its own SimulatedUserfaultfd; calls of the API come directly.
//
// Cast:  Area (a registered range: a stripe or a parking area of one shard), PhysicalMemory (what
//        pages hold), the waiting threads, one message each.
// Rules: a run that spans mappings (places with different access) is refused whole, as
//        mfill_atomic and move_pages of the kernel do; short counts report EAGAIN; a page that a
//        device holds is not moved.
// Finds: a page installed beyond what is charged, installed over a mark, discarded by a guard,
//        looked at where none is.
#ifndef USERPAGER_TESTS_SIMULATION_SIMULATED_PLATFORM_H_
#define USERPAGER_TESTS_SIMULATION_SIMULATED_PLATFORM_H_

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "runtime/frames/frame_ledger.h"
#include "runtime/platform/page_platform.h"
#include "tests/simulation/dice.h"
#include "tests/simulation/physical_memory.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/verdict.h"

namespace userpager::simulation {

// Addresses where nothing is mapped in this process: what is simulated there costs no mapping, and
// is at the same place in each run.
inline constexpr uint64_t kFirstReservation = uint64_t{0x5000'0000'0000} >> kPageShift;
inline constexpr uint64_t kReservationStep = 1024;

enum class TouchOutcome : uint8_t { kDone, kMissing, kWriteProtected, kSegv, kBus };

class SimulatedPlatform {
 public:
  SimulatedPlatform(const Scenario& scenario, const FrameLedger& ledger, Dice& dice,
                    Verdict& verdict);

  // ---- The kernel's calls, as PagePlatform has them. ----

  Errno Register(PageRange range, unsigned shard);
  RunResult Copy(PageIndex to, const void* contents, PageCount count, InstallMode mode,
                 WakeMode wake);
  RunResult CopyZeros(PageIndex to, PageCount count, InstallMode mode, WakeMode wake);
  RunResult Move(PageIndex to, PageIndex from, PageCount count, WakeMode wake);
  Errno WriteProtect(PageRange range);
  Errno Unprotect(PageRange range, WakeMode wake);
  void Wake(PageRange range, unsigned shard);
  Errno Poison(PageIndex page);
  Errno Discard(PageRange range);
  Errno TouchForWriting(PageRange range);
  Errno SetAccess(PageRange range, KernelAccess access);
  Errno InstallGuard(PageIndex page);
  Errno RemoveGuard(PageIndex page);
  bool IsPresent(PageIndex page);
  const void* Peek(PageIndex page);
  // Whether what is registered of the range is the shard's. What is not is a buffer, or gone.
  void CheckOwner(PageRange range, unsigned shard);
  void Refuse(const char* what) { verdict_.Fail(what); }

  // ---- The program's side. ----

  // What the processor makes of an access. Where it is kDone, `contents` is the page.
  TouchOutcome Touch(PageIndex page, bool write, PageBytes** contents);
  // The thread sleeps until it is woken; its message can be read.
  void Sleep(unsigned thread, const FaultMessage& message);
  bool IsAsleep(unsigned thread) const { return waiters_[thread].asleep; }
  // The thread is interrupted: it looks again without having been woken.
  void Interrupt(unsigned thread);
  bool has_sleepers() const;
  PageIndex AwaitedBy(unsigned thread) const { return PageOf(waiters_[thread].message.address); }

  // ---- The shard's thread's side. ----

  bool has_messages() const;
  bool HasMessages(unsigned shard) const { return !unread_[shard].empty(); }
  FaultMessage ReadMessage(unsigned shard);

  // ---- The devices' side. ----

  // The page's memory with a reference to it, or 0 where nobody can access the page.
  PhysicalPage Hold(PageIndex page, bool own);
  void LetGo(PhysicalPage page, bool own) { memory_.Unpin(page, own); }
  PageBytes& At(PhysicalPage page) { return memory_[page]; }
  PhysicalPage MappedAt(PageIndex page);
  // A buffer of the pager's own gets content: it is real memory.
  bool IsBuffer(PageIndex page) { return Find(page) == nullptr; }
  void TouchBuffer(PageIndex page);

  // A fork: from here on all pages are shared.
  void Fork() { memory_.ShareAll(); }
  // In the child, which has no userfaultfds: nothing is registered or write-protected, and nobody
  // waits.
  void BecomeChild();
  void set_child_is_adopting(bool adopting) { child_is_adopting_ = adopting; }

  // munmap. Nothing is there any more.
  void Forget(PageRange range);
  // Whether an mprotect that would hide a page may be refused now (Pager's callers can take it).
  void set_may_refuse_to_hide(bool may) { may_refuse_to_hide_ = may; }
  uint64_t mapped() const { return memory_.resident(); }
  uint64_t resident() const { return mapped() + buffers_.size(); }
  // Whether resident pages are within what is charged.
  void CheckCharge();

 private:
  struct Page {
    PhysicalPage memory = 0;
    bool registered = false;
    bool write_protected = false;
    bool poisoned = false;
    bool guarded = false;
    KernelAccess access = KernelAccess::kNone;
  };
  struct Area {
    PageRange range;
    unsigned shard;
    std::vector<Page> pages;
  };
  struct Waiter {
    bool asleep = false;
    unsigned shard = 0;  // whose userfaultfd has the message
    FaultMessage message;
  };

  Area* FindArea(PageIndex page);
  Page* Find(PageIndex page);
  void RegisterAgain(Area& area, PageRange range, unsigned shard);
  bool IsOneMapping(PageIndex begin, PageCount count);
  RunResult Install(PageIndex to, const void* contents, bool zeros, PageCount count,
                    InstallMode mode, WakeMode wake);
  void WakeAll(PageRange range, PageIndex owner_of);
  Errno RefusalToMove(PageIndex to, PageIndex from);
  void Drop(Page& page);

  const Scenario& scenario_;
  const FrameLedger& ledger_;
  Dice& dice_;
  Verdict& verdict_;
  const PlatformFaults faults_;
  PhysicalMemory memory_;
  std::vector<Area> areas_;
  size_t last_area_ = 0;                 // where the last page was found
  std::vector<unsigned> parking_areas_;  // of each shard
  bool may_refuse_to_hide_ = false;
  bool child_is_adopting_ = false;
  std::vector<Waiter> waiters_;
  std::vector<std::deque<unsigned>> unread_;  // by shard: threads, in the order of their messages
  absl::flat_hash_set<uint64_t> buffers_;  // pages of the read buffers that hold something
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_SIMULATED_PLATFORM_H_
