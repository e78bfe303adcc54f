// While the shard's thread stays awake, whoever waits for one page is woken before that is there,
// as its CPU takes longer to come awake. Here it comes too early each time.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <random>

#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "runtime/pager/idle_trial.h"
#include "runtime/platform/thread_place.h"
#include "tests/support/corrupt_slot.h"
#include "tests/support/eventually.h"
#include "tests/support/running_pager.h"
#include "tests/support/seed.h"
#include "tests/support/waiting_threads.h"

namespace userpager {
namespace {

class WokenFirst : public testing::TestWithParam<Road> {
 protected:
  static constexpr uint64_t kLimitPages = 512;
  static constexpr uint64_t kPages = 2048;
  // Enough for some trials of all ways to wait, where others want the CPU each time.
  static constexpr uint64_t kReads =
      64 * IdleTrial::kTurnFaults * IdleTrial::kRounds * kIdleWays;

  void SetUp() override {
    if (CountAllowedCpus() < 2) GTEST_SKIP() << "SKIPPED: needs a CPU for the pager's thread";
    if (sched_getscheduler(0) == SCHED_FIFO || sched_getscheduler(0) == SCHED_RR) {
      GTEST_SKIP() << "SKIPPED: in a real-time class nothing stays awake";
    }
    if (!pager_.Start(RunningPager::Options(GetParam(), kLimitPages))) {
      GTEST_SKIP() << pager_.why();
    }
    vad_ = pager_.Reserve(kPages);
    ASSERT_NE(vad_, nullptr);
    for (uint64_t i = 0; i < kPages; ++i) FirstWord(At(i)) = i + 1;
    SyncPoints::Set("page_in:woken_first", [this](uint64_t) {
      if (woken_.fetch_add(1) >= kMostHeld) return;
      // Who was woken is counted no more, and once more when it is back.
      back_ += Eventually([] { return ThreadsWaiting() == 1; });
    });
  }
  void TearDown() override { SyncPoints::ClearAll(); }

  PageIndex At(uint64_t i) const { return vad_->range.begin + PageCount(i); }
  // In no order, so that hardly anything is read ahead.
  uint64_t Any() { return random_() % kPages; }

  static constexpr uint64_t kMostHeld = 32;
  std::mt19937_64 random_{TestSeed()};
  RunningPager pager_;
  Vad* vad_ = nullptr;
  std::atomic<uint64_t> woken_{0};
  std::atomic<uint64_t> back_{0};
};

TEST_P(WokenFirst, ThreadThatComesTooEarlyWaitsOnceMore) {
  for (uint64_t i = 0; i < kReads && woken_.load() < 2 * kMostHeld; ++i) {
    const uint64_t page = Any();
    ASSERT_EQ(FirstWord(At(page)), page + 1);
  }
  EXPECT_GT(woken_.load(), 0u);
  EXPECT_EQ(back_.load(), std::min(woken_.load(), kMostHeld));
}

// It is read again, and comes.
TEST_P(WokenFirst, PageThatComesTornIsReadAgain) {
  std::atomic<bool> is_torn{false};
  std::atomic<bool> met{false};
  SlotIndex slot;
  const auto mend = [&] {
    if (is_torn.exchange(false)) CorruptSlot(pager_->page_file(), slot);
  };
  SyncPoints::Set("page_in:woken_first", [&](uint64_t) {
    if (is_torn.load()) met.store(true);
  });
  SyncPoints::Set("page_in:read_done", [&](uint64_t) { mend(); });
  for (uint64_t i = 0; i < kReads && !met.load(); ++i) {
    const uint64_t page = Any();
    const Pte pte = vad_->Load(At(page));
    if (pte.state() == PageState::kPagedOut) {
      slot = pte.slot();
      ASSERT_NO_FATAL_FAILURE(CorruptSlot(pager_->page_file(), slot));
      is_torn.store(true);
    }
    ASSERT_EQ(FirstWord(At(page)), page + 1);
    mend();  // where no read ended
  }
  EXPECT_TRUE(met.load());
  EXPECT_GT(pager_.Counters().file_read_errors.value(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Roads, WokenFirst, testing::Values(Road{}, Road{.move = false}),
                         [](const auto& road) { return road.param.Name(); });

}  // namespace
}  // namespace userpager
