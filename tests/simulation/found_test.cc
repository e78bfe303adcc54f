// What the simulation has found, each as a short story of its own: seeds tell other stories when
// the simulation changes.
#include <memory>

#include "gtest/gtest.h"
#include "tests/simulation/machine.h"

namespace userpager::simulation {
namespace {

constexpr Protection kReadWrite{BaseProtection::kReadWrite};
constexpr Protection kNoAccess{BaseProtection::kNoAccess};
constexpr Protection kExecuteRead{BaseProtection::kExecuteRead};
constexpr PageIndex kFirst(kFirstReservation);
constexpr unsigned kMostTurns = 200;
constexpr uint64_t kMillisecond = 1'000'000;

PageRange One(PageIndex page) { return PageRange(page, PageCount(1)); }

// A machine without faults, with one reservation of committed pages and one thread.
class Found : public testing::Test {
 protected:
  void Build(bool move, uint64_t limit_pages, uint64_t pages) {
    scenario_.move = move;
    scenario_.limit_pages = limit_pages;
    scenario_.shards = 1;
    scenario_.encrypt = false;
    scenario_.threads = 1;
    scenario_.file_pages = 256;
    scenario_.platform = PlatformFaults();
    scenario_.store = StoreFaults();
    machine_ = std::make_unique<Machine>(scenario_);
    const PageRange range(kFirst, PageCount(pages));
    auto made = std::make_unique<Reservation>(range, kReadWrite, true, Cut{range.count()});
    (void)machine_->platform.Register(range, 0);
    (void)machine_->platform.SetAccess(range, KernelAccess::kReadWrite);
    ASSERT_EQ(shard().AddStripe(&made->stripes()[0]), 0);
    machine_->reservations[0] = std::move(made);
  }
  void TearDown() override {
    if (machine_ == nullptr) return;
    EXPECT_EQ(machine_->verdict.what(), "");
    shard().RemoveStripe(&stripe(), stripe().range, SpaceAfter::kUnmapped);
    while (machine_->store.is_busy()) TurnOnce();
    EXPECT_TRUE(shard().CheckConsistency());
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
  // The thread stores to the page; it sleeps where the page is not there.
  TouchOutcome Store(PageIndex page) {
    PageBytes* contents = nullptr;
    const TouchOutcome outcome = machine_->platform.Touch(page, true, &contents);
    if (outcome == TouchOutcome::kDone) contents->words[0] = page.value();
    if (outcome != TouchOutcome::kMissing && outcome != TouchOutcome::kWriteProtected) {
      return outcome;
    }
    FaultMessage message;
    message.address = AddressOf(page);
    message.write = true;
    message.write_protect = outcome == TouchOutcome::kWriteProtected;
    machine_->platform.Sleep(0, message);
    return outcome;
  }
  bool StoreThrough(PageIndex page) {
    for (unsigned turn = 0; turn < kMostTurns; ++turn) {
      if (machine_->platform.IsAsleep(0)) {
        TurnOnce();
      } else if (Store(page) == TouchOutcome::kDone) {
        return true;
      }
    }
    return false;
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

  Scenario scenario_{1};
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

}  // namespace
}  // namespace userpager::simulation
