// SimulatedPlatform: the kernel's part of paging, in memory: which pages are present, write-
// protected, poisoned, guarded or pinned, what is in them, and which threads wait for a message to
// be answered. It refuses what the kernel refuses, and some more by seed.
//
// Cast:  Area (a registered range: a stripe or a parking area), PhysicalMemory (what pages hold),
//        the waiting threads, one message each.
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

class SimulatedPlatform final : public PagePlatform {
 public:
  SimulatedPlatform(const Scenario& scenario, const FrameLedger& ledger, Dice& dice,
                    Verdict& verdict);

  // PagePlatform.
  Errno Register(PageRange range) override;
  RunResult Copy(PageIndex to, const void* contents, PageCount count, InstallMode mode,
                 WakeMode wake) override;
  RunResult CopyZeros(PageIndex to, PageCount count, InstallMode mode, WakeMode wake) override;
  RunResult Move(PageIndex to, PageIndex from, PageCount count, WakeMode wake) override;
  Errno WriteProtect(PageRange range) override;
  Errno Unprotect(PageRange range, WakeMode wake) override;
  void Wake(PageRange range) override;
  // Only of faults that come as signals; all of the simulation's are messages.
  FaultTicket JoinWaiters(PageIndex) override {
    verdict_.Fail("a fault was to wait for a wake outside of the kernel");
    return {};
  }
  void AwaitWake(FaultTicket) override {}
  Errno Poison(PageIndex page) override;
  Errno Unpoison(PageIndex page) override;
  Errno Discard(PageRange range) override;
  Errno DiscardAll(std::span<const PageRange> ranges) override;
  Errno SetAccess(PageRange range, KernelAccess access) override;
  Errno InstallGuard(PageIndex page) override;
  Errno RemoveGuard(PageIndex page) override;
  bool IsPresent(PageIndex page) override;
  const void* Peek(PageIndex page) override;

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

  bool has_messages() const { return !unread_.empty(); }
  FaultMessage ReadMessage();

  // ---- The devices' side. ----

  // The page's memory with a reference to it, or 0 where nobody can access the page.
  PhysicalPage Hold(PageIndex page, bool own);
  void LetGo(PhysicalPage page, bool own) { memory_.Unpin(page, own); }
  PageBytes& At(PhysicalPage page) { return memory_[page]; }
  PhysicalPage MappedAt(PageIndex page);
  // A read buffer gets content.
  void TouchBuffer(PageIndex page);

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
    bool write_protected = false;
    bool poisoned = false;
    bool guarded = false;
    KernelAccess access = KernelAccess::kNone;
  };
  struct Area {
    PageRange range;
    bool parking = false;
    std::vector<Page> pages;
  };
  struct Waiter {
    bool asleep = false;
    FaultMessage message;
  };

  Page* Find(PageIndex page);
  bool IsOneMapping(PageIndex begin, PageCount count);
  RunResult Install(PageIndex to, const void* contents, bool zeros, PageCount count,
                    InstallMode mode, WakeMode wake);
  Errno RefusalToMove(PageIndex to, PageIndex from);
  void Drop(Page& page);

  const Scenario& scenario_;
  const FrameLedger& ledger_;
  Dice& dice_;
  Verdict& verdict_;
  const PlatformFaults faults_;
  PhysicalMemory memory_;
  std::vector<Area> areas_;
  unsigned parking_areas_ = 0;
  bool may_refuse_to_hide_ = false;
  std::vector<Waiter> waiters_;
  std::deque<unsigned> unread_;  // threads, in the order of their messages
  absl::flat_hash_set<uint64_t> buffers_;  // pages of the read buffers that hold something
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_SIMULATED_PLATFORM_H_
