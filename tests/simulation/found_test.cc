// What the simulation has found, each as a short story of its own: seeds tell other stories when
// the simulation changes.
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/simulation/family.h"
#include "tests/simulation/machine.h"

namespace userpager::simulation {
namespace {

constexpr Protection kReadWrite{BaseProtection::kReadWrite};
constexpr Protection kNoAccess{BaseProtection::kNoAccess};
constexpr Protection kExecuteRead{BaseProtection::kExecuteRead};
constexpr PageIndex kFirst(kFirstReservation);
constexpr unsigned kMostTurns = 200;
constexpr unsigned kTurnsThatAreEnough = 1500;
constexpr uint64_t kMillisecond = 1'000'000;

PageRange One(PageIndex page) { return PageRange(page, PageCount(1)); }

// A machine without faults, with one reservation of committed pages and one thread.
class Found : public testing::Test {
 protected:
  void Build(bool move, uint64_t limit_pages, uint64_t pages, unsigned shards = 1) {
    scenario_.move = move;
    scenario_.limit_pages = limit_pages;
    scenario_.shards = shards;
    scenario_.encrypt = false;
    scenario_.threads = 1;
    scenario_.file_pages = 256;
    scenario_.platform = PlatformFaults();
    scenario_.store = store_faults_;
    machine_ = std::make_unique<Machine>(scenario_);
    const PageRange range(kFirst, PageCount(pages));
    const Cut cut{PageCount((pages + shards - 1) / shards), shards};
    auto made = std::make_unique<Reservation>(range, kReadWrite, true, cut);
    for (Stripe& stripe : made->stripes()) {
      (void)machine_->platform.Register(stripe.range, stripe.shard);
      ASSERT_EQ(machine_->shard(stripe.shard).AddStripe(&stripe), 0);
    }
    (void)machine_->platform.SetAccess(range, KernelAccess::kReadWrite);
    machine_->reservations[0] = std::move(made);
  }
  void TearDown() override { ReleaseAll(); }
  void ReleaseAll() {
    if (machine_ == nullptr) return;
    EXPECT_EQ(machine_->verdict.what(), "");
    for (Stripe& stripe : machine_->reservations[0]->stripes()) {
      machine_->shard(stripe.shard).RemoveStripe(&stripe, stripe.range, SpaceAfter::kUnmapped);
    }
    while (machine_->store.is_busy()) TurnOnce();
    for (unsigned i = 0; i < scenario_.shards; ++i) {
      EXPECT_TRUE(machine_->shard(i).CheckConsistency());
    }
    machine_.reset();
  }

  Shard& shard() { return machine_->shard(0); }
  Stripe& stripe() { return machine_->reservations[0]->stripes()[0]; }
  PageState StateOf(PageIndex page) { return stripe().Load(page).state(); }

  void TurnOnce() {
    if (machine_->store.has_work()) machine_->store.Advance();
    if (machine_->platform.has_messages()) machine_->ReadMessages();
    machine_->Turn();
    machine_->PassTime(kMillisecond);
  }
  // The thread stores to the page, or reads it; it sleeps where the page is not there.
  TouchOutcome Store(PageIndex page, bool write = true) {
    PageBytes* contents = nullptr;
    const TouchOutcome outcome = machine_->platform.Touch(page, write, &contents);
    if (outcome == TouchOutcome::kDone && write) {
      const uint64_t value = machine_->next_value++;
      contents->words[PlaceOfWord(0)] = value;
      machine_->Find(page)->At(page).words[0] = value;
    }
    if (outcome != TouchOutcome::kMissing && outcome != TouchOutcome::kWriteProtected) {
      return outcome;
    }
    FaultMessage message;
    message.address = AddressOf(page);
    message.write = write;
    message.write_protect = outcome == TouchOutcome::kWriteProtected;
    machine_->platform.Sleep(0, message);
    return outcome;
  }
  bool StoreThrough(PageIndex page, bool write = true) {
    for (unsigned turn = 0; turn < kMostTurns; ++turn) {
      if (machine_->platform.IsAsleep(0)) {
        TurnOnce();
      } else if (Store(page, write) == TouchOutcome::kDone) {
        return true;
      }
    }
    return false;
  }

  // Whether a store to the second shard's first page goes through, where the first shard's pages
  // and somebody else's take all memory.
  bool GetsMemoryOfPeers() {
    const PageIndex first_of_second = machine_->reservations[0]->stripes()[1].range.begin;
    for (PageIndex page = kFirst; page < first_of_second; ++page) {
      if (!StoreThrough(page)) return false;
    }
    while (machine_->NextTurn() != IoEngine::kNoTimeout || machine_->store.is_busy()) TurnOnce();
    const PageCount others = machine_->ledger.ChargeUpTo(PageCount(64), PageCount(0));
    const bool got = StoreThrough(first_of_second);
    machine_->ledger.Return(others);
    EXPECT_TRUE(StoreThrough(first_of_second));
    return got;
  }

  // The number of the transfer that reads the page, which is in its slot, for a thread that does
  // not wait.
  uint32_t BeginRead(PageIndex page) {
    EXPECT_EQ(Store(page, false), TouchOutcome::kMissing);
    machine_->ReadMessages();
    for (unsigned turn = 0; turn < kMostTurns && StateOf(page) != PageState::kReading; ++turn) {
      machine_->store.EndWrites();
      machine_->Turn();
    }
    machine_->platform.Interrupt(0);
    EXPECT_EQ(StateOf(page), PageState::kReading);
    return stripe().Load(page).io();
  }
  // Stores to the page, and to new ones from `next` on until it is in a slot. The device reads
  // nothing meanwhile.
  void StoreAndPageOut(PageIndex page, PageIndex next) {
    bool stored = false;
    for (unsigned turn = 0; turn < kMostTurns && StateOf(page) != PageState::kPagedOut; ++turn) {
      if (!machine_->platform.IsAsleep(0) && Store(stored ? next : page) == TouchOutcome::kDone) {
        if (stored) ++next;
        stored = true;
      }
      if (machine_->platform.has_messages()) machine_->ReadMessages();
      machine_->store.EndWrites();
      machine_->Turn();
      machine_->PassTime(kMillisecond);
    }
    if (machine_->platform.IsAsleep(0)) machine_->platform.Interrupt(0);
    EXPECT_EQ(StateOf(page), PageState::kPagedOut);
  }

  // Stores until a page is being written in place, whose memory the device has.
  PageIndex StartWriteInPlace() {
    PageIndex page = kFirst;
    while (!machine_->store.is_busy() && StoreThrough(page)) ++page;
    page = kFirst;
    while (page < stripe().range.end && StateOf(page) != PageState::kWritingInPlace) ++page;
    EXPECT_LT(page, stripe().range.end) << "nothing is written in place";
    machine_->store.HoldAll();
    return page;
  }

  // Stores to page after page, from `page` on, until memory and page file are full: the thread
  // sleeps at the page that is returned.
  PageIndex FillUp(PageIndex page = kFirst) {
    while (StoreThrough(page)) ++page;
    EXPECT_TRUE(machine_->platform.IsAsleep(0));
    EXPECT_EQ(machine_->page_file.used(), machine_->page_file.usable());
    return page;
  }
  // The same until so many slots are in use.
  void StoreUntilUsed(uint64_t slots) {
    for (PageIndex page = kFirst; machine_->page_file.used().value() < slots; ++page) {
      ASSERT_TRUE(StoreThrough(page));
    }
  }
  void WaitFor(unsigned turns) {
    for (unsigned turn = 0; turn < turns; ++turn) TurnOnce();
  }
  void ForgetAll() { shard().DiscardPages(stripe(), stripe().range); }

  uint64_t Count(PageState state) {
    uint64_t count = 0;
    for (PageIndex page = stripe().range.begin; page < stripe().range.end; ++page) {
      count += StateOf(page) == state;
    }
    return count;
  }

  Scenario scenario_{1};
  StoreFaults store_faults_;
  std::unique_ptr<Machine> machine_;
};

// The device still has the memory: its charge is the transfer's until the write is done.
TEST_F(Found, APageThatIsHiddenWhileItIsWrittenInPlaceStaysCharged) {
  Build(false, 64, 100);
  const PageIndex written = StartWriteInPlace();
  const PageCount charged = machine_->ledger.charged();
  ASSERT_EQ(shard().HidePages(stripe(), One(written)), 0);
  EXPECT_EQ(StateOf(written), PageState::kModified);
  EXPECT_EQ(machine_->ledger.charged(), charged + PageCount(1));
  EXPECT_TRUE(shard().CheckConsistency());
  shard().SetProtection(stripe(), One(written), kNoAccess, false);
}

// No memory for a copy: it is hidden where it is, while its frame is the write's.
TEST_F(Found, ALockedPageThatIsHiddenInPlaceWhileItIsWrittenStaysOnNoList) {
  Build(false, 64, 100);
  const PageIndex written = StartWriteInPlace();
  shard().LockPages(stripe(), One(written));
  machine_->ledger.set_limit(machine_->ledger.charged());
  ASSERT_EQ(shard().HidePages(stripe(), One(written)), 0);
  EXPECT_EQ(StateOf(written), PageState::kWritingInPlace);
  shard().SetProtection(stripe(), One(written), kNoAccess, false);
  EXPECT_TRUE(shard().CheckConsistency());
  machine_->ledger.set_limit(PageCount(scenario_.limit_pages));
}

// Neither the old protection nor the new one allows the store.
TEST_F(Found, APinnedPageThatWasHiddenTakesNoStoreWhileItIsMadeReadOnly) {
  Build(true, 64, 8);
  ASSERT_TRUE(StoreThrough(kFirst));
  const PhysicalPage pin = machine_->platform.Hold(kFirst, false);
  ASSERT_NE(pin, 0u);
  ASSERT_EQ(shard().HidePages(stripe(), One(kFirst)), 0);
  shard().SetProtection(stripe(), One(kFirst), kNoAccess, false);
  EXPECT_EQ(Store(kFirst), TouchOutcome::kSegv);
  // As Pager::PrepareAccess opens the page ahead of the shard's own change.
  ASSERT_EQ(machine_->platform.SetAccess(One(kFirst), KernelAccess::kReadWriteExecute), 0);
  EXPECT_EQ(Store(kFirst), TouchOutcome::kWriteProtected);
  shard().SetProtection(stripe(), One(kFirst), kExecuteRead, false);
  TurnOnce();
  EXPECT_EQ(Store(kFirst), TouchOutcome::kSegv);
  machine_->platform.LetGo(pin, false);
}

// The call that lowers the limit gives up in the end, or locked pages become fewer: until then a
// fault waits, and is no reason to stop the program.
TEST_F(Found, AFaultWaitsWhileTheLimitIsOutOfReach) {
  Build(true, 128, 200);
  const PageIndex other = kFirst + PageCount(150);
  const PageRange locked(kFirst, PageCount(48));
  shard().LockPages(stripe(), locked);
  for (PageIndex page = locked.begin; page < locked.end; ++page) ASSERT_TRUE(StoreThrough(page));
  machine_->ledger.set_limit(PageCount(40));
  EXPECT_EQ(Store(other), TouchOutcome::kMissing);
  constexpr unsigned kTurnsOfAnEndlessWait = 20'000;
  for (unsigned turn = 0; turn < kTurnsOfAnEndlessWait; ++turn) {
    shard().OnLimitChanged();
    machine_->Kick(0);
    TurnOnce();
  }
  EXPECT_TRUE(machine_->platform.IsAsleep(0));
  machine_->ledger.set_limit(PageCount(128));
  shard().OnLimitChanged();
  EXPECT_TRUE(StoreThrough(other));
}

// Nothing but the program can end this: it is ended after about a thousand turns of a millisecond.
using FoundDeathTest = Found;
TEST_F(FoundDeathTest, MemoryAndPageFileThatAreFullAreSeenToBeSoon) {
  Build(true, 64, 400);
  FillUp();
  EXPECT_EXIT(
      {
        WaitFor(kTurnsThatAreEnough);
        _exit(0);
      },
      testing::KilledBySignal(SIGKILL), "killed: no memory for the page at ");
  ForgetAll();
}

// A device on a slow disk that has a page's memory gives it back in the end.
TEST_F(Found, WhoWaitsWhileADeviceHasACleanPageIsNotEndedSoon) {
  Build(true, 64, 400);
  StoreUntilUsed(100);
  PageIndex page = kFirst;
  while (StateOf(page) != PageState::kPagedOut) ++page;
  ASSERT_TRUE(StoreThrough(page, false));
  ASSERT_EQ(StateOf(page), PageState::kActiveClean);
  const PhysicalPage pin = machine_->platform.Hold(page, false);
  ASSERT_NE(pin, 0u);
  const PageIndex last = FillUp(kFirst + PageCount(100));
  EXPECT_EQ(StateOf(page), PageState::kActiveClean);
  WaitFor(kTurnsThatAreEnough);
  machine_->platform.LetGo(pin, false);
  EXPECT_TRUE(StoreThrough(last));
  ForgetAll();
}

// So does a forked child, at its end.
TEST_F(Found, WhoWaitsWhileAChildHasSlotsIsNotEndedSoon) {
  Build(true, 64, 400);
  StoreUntilUsed(100);
  SlotLoan loan;
  ASSERT_EQ(machine_->page_file.Lend(&loan), 0);
  ASSERT_GE(loan.held, 0);
  ForgetAll();
  const PageIndex last = FillUp();
  WaitFor(kTurnsThatAreEnough);
  close(loan.held);
  machine_->page_file.EndLoans();
  EXPECT_TRUE(StoreThrough(last));
  ForgetAll();
}

// And another shard, which may be writing.
TEST_F(Found, WhoWaitsWhereThereIsAnotherShardIsNotEndedSoon) {
  Build(true, 64, 800, 2);
  const PageIndex last = FillUp();
  WaitFor(kTurnsThatAreEnough);
  ForgetAll();
  EXPECT_TRUE(StoreThrough(last));
}

// Two shards that want a little more free memory than they can make.
TEST_F(Found, ShardsThatHaveNothingToGiveLeaveEachOtherInPeace) {
  Build(true, 64, 20, 2);
  const PageRange range = machine_->reservations[0]->range();
  for (PageIndex page = range.begin; page < range.end; ++page) ASSERT_TRUE(StoreThrough(page));
  // Somebody else's: the working sets are as small as they may become.
  const PageCount others = machine_->ledger.ChargeUpTo(PageCount(64), PageCount(10));
  machine_->KickAll();
  for (unsigned turn = 0; turn < kMostTurns; ++turn) {
    if (machine_->store.has_work()) machine_->store.Advance();
    if (machine_->NextTurn() <= machine_->now_ns()) machine_->Turn();
  }
  EXPECT_FALSE(machine_->store.is_busy());
  EXPECT_GT(machine_->NextTurn(), machine_->now_ns());
  machine_->ledger.Return(others);
}

// At the fork all slots in use are of writes that have not ended: the child frees them as it takes
// over, and has nothing there. It would keep its parent's slots for as long as it lives.
TEST_F(Found, AChildLetsGoOfAFileThatOnlyItsParentsWritesWereUsing) {
  scenario_.forks = true;
  Build(true, 64, 100);
  for (PageIndex page = kFirst; machine_->page_file.used() == PageCount(0);) {
    if (machine_->platform.IsAsleep(0)) {
      TurnOnce();
    } else if (Store(page) == TouchOutcome::kDone) {
      ++page;
    }
  }
  Auditor auditor(*machine_);
  ApiCaller caller(*machine_);
  Family family(*machine_, auditor, caller);
  auditor.Check();
  const std::string found = family.Step([&]() -> std::string {
    return machine_->store.BorrowedSlots().empty() ? "" : "it keeps its parent's file";
  });
  EXPECT_EQ(found, "");
  EXPECT_EQ(family.forks(), 1u);
  family.End();
}

// After a fork MOVE refuses all pages, and these may not be written for a copy of their own: they
// are copied, and memory is full.
TEST_F(Found, ReadOnlyPagesFromBeforeAForkLeaveFullMemory) {
  Build(true, 64, 100);
  const PageRange old(kFirst, PageCount(90));
  for (PageIndex page = kFirst; Count(PageState::kActiveDirty) < 40; ++page) {
    ASSERT_TRUE(StoreThrough(page));
  }
  shard().SetProtection(stripe(), old, Protection{BaseProtection::kReadOnly}, false);
  shard().Freeze();
  machine_->platform.Fork();
  shard().Thaw();
  const PageCount others = machine_->ledger.ChargeUpTo(PageCount(64), PageCount(0));
  EXPECT_TRUE(StoreThrough(old.end));
  machine_->ledger.Return(others);
}

// A write has failed, and the next one comes later: until then what is parked is no nearer to free
// memory, and where most other pages are pinned it is what somebody has just fetched back.
TEST_F(Found, WhatCannotBeWrittenYetIsNotParked) {
  store_faults_.fail_write = 1000;
  scenario_.most_bad_writes = 1;
  Build(true, 64, 200);
  PageIndex next = kFirst;
  for (; machine_->store.faults() == 0 || machine_->store.is_busy(); ++next) {
    ASSERT_TRUE(StoreThrough(next));
  }
  const PageIndex end = next;
  ASSERT_GT(Count(PageState::kModified), 0u);
  // No time passes.
  const auto turn = [this] {
    if (machine_->platform.has_messages()) machine_->ReadMessages();
    machine_->KickAll();
    machine_->Turn();
  };
  for (PageIndex page = kFirst; page < end; ++page) {
    for (unsigned i = 0; i < kMostTurns && StateOf(page) == PageState::kModified; ++i) {
      if (!machine_->platform.IsAsleep(0)) (void)Store(page);
      turn();
    }
  }
  for (unsigned i = 0; i < kMostTurns; ++i) turn();
  EXPECT_EQ(Count(PageState::kModified), 0u);
  EXPECT_FALSE(machine_->store.is_busy());
  for (; next < stripe().range.end; ++next) ASSERT_TRUE(StoreThrough(next));
}

// The page is given back while it is read, written anew and paged out, and read once more: the
// auditor took what the first read has for the page, where that had the greater number.
TEST_F(Found, TheAuditorLooksWhereAPageIsReadFromThatIsReadTwice) {
  Build(false, 64, 400);
  Auditor auditor(*machine_);
  const PageIndex other = kFirst;
  const PageIndex page = kFirst + PageCount(10);
  StoreUntilUsed(40);
  StoreAndPageOut(page, kFirst + PageCount(100));
  ASSERT_EQ(StateOf(other), PageState::kPagedOut);
  (void)BeginRead(other);
  const uint32_t first = BeginRead(page);
  machine_->store.EndOldest();
  shard().DiscardPages(stripe(), One(page));
  machine_->Find(page)->At(page).words.fill(0);
  StoreAndPageOut(page, kFirst + PageCount(250));
  const uint32_t second = BeginRead(page);
  ASSERT_LT(second, first);
  // Contents are not looked at each time.
  for (unsigned i = 0; i < kMostTurns; ++i) auditor.Check();
  EXPECT_EQ(machine_->verdict.what(), "");
}

// The pages of one shard have taken all memory, and are not used any more. The canary is a shard
// that does not ask for it.
TEST_F(Found, AShardWithoutMemoryGetsSomeFromTheOthers) {
  for (const Canary canary : {Canary::kNone, Canary::kPeersNotAsked}) {
    scenario_.canary = canary;
    Build(true, 64, 160, 2);
    EXPECT_EQ(GetsMemoryOfPeers(), canary == Canary::kNone);
    ReleaseAll();
  }
}

}  // namespace
}  // namespace userpager::simulation
