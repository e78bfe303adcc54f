// Faults that the faulting threads answer themselves: many of them with little memory, from several
// shards, and counted like all others. What the program sees of it is in tests/api.
#include <atomic>
#include <latch>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/support/running_pager.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = 256;
constexpr uint64_t kPages = 1024;
constexpr unsigned kThreads = 64;
constexpr unsigned kTouches = kThreadSanitizer ? 40 : 150;

class InlineFaults : public testing::TestWithParam<Road> {
 protected:
  void SetUp() override {
    if (!pager_.Start(RunningPager::Options(GetParam(), kLimitPages))) GTEST_SKIP() << pager_.why();
  }
  uint64_t Faults(FaultKind kind) {
    return pager_.Counters().faults[static_cast<unsigned>(kind)].value();
  }

  RunningPager pager_;
};

// Each page has one writer, but its neighbours have others; a quarter of the pages fits.
TEST_P(InlineFaults, ManyThreadsWithLittleMemory) {
  Vad* vad = pager_.Reserve(kPages);
  ASSERT_NE(vad, nullptr);
  std::atomic<uint64_t> wrong{0};
  // Threads that came one after the other would have all of the memory in turn.
  std::latch filled(kThreads);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t, seed = TestSeed()] {
      constexpr uint64_t kEach = kPages / kThreads;
      std::mt19937_64 random(seed + t);
      std::vector<uint32_t> generations(kEach, 0);
      const auto words = [&](uint64_t k) {
        return WordsOf(vad->range.begin + PageCount(k * kThreads + t));
      };
      for (uint64_t k = 0; k < kEach; ++k) stress::FillPage(words(k), k, 0);
      filled.arrive_and_wait();
      for (unsigned i = 0; i < kTouches; ++i) {
        const uint64_t k = random() % kEach;
        wrong += stress::FirstWrongWord(words(k), k, generations[k]) != stress::kWordsInPage;
        if (random() % 2 == 0) stress::FillPage(words(k), k, ++generations[k]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_TRUE(pager_->CheckConsistency());
  EXPECT_LE(pager_->frames().peak().value(), kLimitPages);
  for (const FaultKind kind : {FaultKind::kDemandZero, FaultKind::kHard}) {
    EXPECT_GT(Faults(kind), 0u);
    EXPECT_EQ(pager_.Counters().latency[static_cast<unsigned>(kind)].count(), Faults(kind));
  }
  // Some had to wait for memory, and the shards' threads answered them.
  EXPECT_GT(pager_.Counters().queued_faults.value(), 0u);
}

// The parts of a reservation, which begins in the middle of a gigabyte, find their shards.
TEST_P(InlineFaults, EveryPartOfALargeReservationIsAnswered) {
  constexpr uint64_t kGibibytePages = (uint64_t{1} << 30) / kPageBytes;
  constexpr uint64_t kStepPages = kGibibytePages / 8;
  Vad* vad = pager_.Reserve(kGibibytePages * 5 + 16);
  ASSERT_NE(vad, nullptr);
  uint64_t touched = 0;
  for (PageIndex page = vad->range.begin; page < vad->range.end; page += PageCount(kStepPages)) {
    FirstWord(page) = ++touched;
  }
  FirstWord(vad->range.end - PageCount(1)) = 1;
  for (uint64_t i = 0; i < touched; ++i) {
    EXPECT_EQ(FirstWord(vad->range.begin + PageCount(i * kStepPages)), i + 1);
  }
  EXPECT_EQ(Faults(FaultKind::kDemandZero), touched + 1);
}

// Reads of what a thread goes through in order are begun by the shard's thread, ahead of it.
TEST_P(InlineFaults, StreamsAreReadAhead) {
  Vad* vad = pager_.Reserve(2 * kLimitPages);
  ASSERT_NE(vad, nullptr);
  const auto words = [&](uint64_t i) { return WordsOf(vad->range.begin + PageCount(i)); };
  for (uint64_t i = 0; i < 2 * kLimitPages; ++i) stress::FillPage(words(i), i, 0);
  ASSERT_TRUE(pager_.PushOut(*vad, PageRange(vad->range.begin, PageCount(kLimitPages))));
  uint64_t wrong = 0;
  for (unsigned round = 0; round < 4; ++round) {
    for (uint64_t i = 0; i < 2 * kLimitPages; ++i) {
      wrong += stress::FirstWrongWord(words(i), i, 0) != stress::kWordsInPage;
    }
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(pager_.Counters().ahead_pages_used.value(), 0u);
  EXPECT_LT(Faults(FaultKind::kHard), pager_.Counters().pages_in.value());
}

// All kinds of faults, one after the other, of one thread.
TEST_P(InlineFaults, EachKindIsCounted) {
  Vad* vad = pager_.Reserve(1);
  ASSERT_NE(vad, nullptr);
  const PageIndex page = vad->range.begin;
  FirstWord(page) = 5;
  EXPECT_EQ(Faults(FaultKind::kDemandZero), 1u);
  ASSERT_TRUE(pager_.PushOut(*vad));
  const uint64_t hard_before = Faults(FaultKind::kHard);
  EXPECT_EQ(FirstWord(page), 5u);
  EXPECT_EQ(Faults(FaultKind::kHard), hard_before + 1);
  const uint64_t protect_before = Faults(FaultKind::kWriteProtect);
  FirstWord(page) = 6;
  EXPECT_EQ(Faults(FaultKind::kWriteProtect), protect_before + 1);
  EXPECT_EQ(vad->Load(page).state(), PageState::kActiveDirty);
  const uint64_t soft_before = Faults(FaultKind::kSoft);
  {
    std::lock_guard hold(pager_.tree_lock());
    bool all_locked = false;
    pager_->UnlockPages(*vad, vad->range, &all_locked);
  }
  EXPECT_EQ(FirstWord(page), 6u);
  // Without UFFDIO_MOVE a page is parked by a copy, which is a soft fault as well.
  EXPECT_EQ(Faults(FaultKind::kSoft), soft_before + 1);
  EXPECT_EQ(pager_.Counters().stale_messages.value(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Roads, InlineFaults,
    testing::Values(Road{true, IoEngineKind::kUring, 1, FaultDelivery::kSignals},
                    Road{true, IoEngineKind::kThreads, 3, FaultDelivery::kSignals},
                    Road{false, IoEngineKind::kUring, 3, FaultDelivery::kSignals},
                    Road{false, IoEngineKind::kThreads, 1, FaultDelivery::kSignals}),
    [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
