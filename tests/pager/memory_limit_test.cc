// Changing the memory limit while the program runs.
#include <errno.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/stress/resident_size.h"
#include "tests/support/running_pager.h"

namespace userpager {
namespace {

constexpr uint64_t kHighPages = (uint64_t{32} << 20) / kPageBytes;
constexpr uint64_t kLowPages = (uint64_t{2} << 20) / kPageBytes;
constexpr uint64_t kPages = (uint64_t{24} << 20) / kPageBytes;

class MemoryLimit : public testing::TestWithParam<Road> {
 protected:
  void SetUp() override {
    if (!pager_.Start(RunningPager::Options(GetParam(), kHighPages))) GTEST_SKIP() << pager_.why();
    vad_ = pager_.Reserve(kPages);
  }
  uint64_t* At(uint64_t i) { return WordsOf(vad_->range.begin + PageCount(i)); }

  RunningPager pager_;
  Vad* vad_ = nullptr;
};

TEST_P(MemoryLimit, RefusesWhatCannotWork) {
  const uint64_t smallest = Pager::SmallestMemoryLimit(GetParam().shards).value();
  EXPECT_EQ(pager_->SetMemoryLimit(PageCount(smallest - 1)), EINVAL);
  EXPECT_EQ(pager_->SetMemoryLimit(PageCount(0)), EINVAL);
  EXPECT_EQ(pager_->SetMemoryLimit(PageCount(uint64_t{1} << 50)), EINVAL);
  EXPECT_EQ(pager_->frames().limit().value(), kHighPages);
  EXPECT_EQ(pager_->SetMemoryLimit(PageCount(smallest)), 0);
}

TEST_P(MemoryLimit, ResidentSizeFollows) {
  for (uint64_t i = 0; i < kPages; ++i) stress::FillPage(At(i), i, 0);
  const uint64_t high = stress::ReadResidentSize().now_bytes;
  ASSERT_EQ(pager_->SetMemoryLimit(PageCount(kLowPages)), 0);
  EXPECT_LE(pager_->frames().charged().value(), kLowPages);
  const uint64_t low = stress::ReadResidentSize().now_bytes;
  // All of it but the low limit has left; 4 MiB for what else the process does.
  EXPECT_LE(low + ((kPages - kLowPages) << kPageShift), high + (uint64_t{4} << 20));
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < kPages; ++i) {
    wrong += stress::FirstWrongWord(At(i), i, 0) != stress::kWordsInPage;
    EXPECT_LE(pager_->frames().charged().value(), kLowPages);
  }
  EXPECT_EQ(wrong, 0u);
  ASSERT_EQ(pager_->SetMemoryLimit(PageCount(kHighPages)), 0);
  for (unsigned round = 0; round < 2; ++round) {
    const uint64_t in = pager_.Counters().pages_in.value();
    for (uint64_t i = 0; i < kPages; ++i) {
      wrong += stress::FirstWrongWord(At(i), i, 0) != stress::kWordsInPage;
    }
    // With room for all of it, the second round reads nothing.
    if (round == 1) {
      EXPECT_EQ(pager_.Counters().pages_in.value(), in);
    }
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_TRUE(pager_->CheckConsistency());
}

TEST_P(MemoryLimit, ChangesUnderLoad) {
  constexpr unsigned kThreads = 3;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t generation = 0; !stop.load(); ++generation) {
        for (uint64_t i = t; i < kPages / 4; i += kThreads) {
          if (generation > 0) {
            wrong += stress::FirstWrongWord(At(i), i, generation - 1) != stress::kWordsInPage;
          }
          stress::FillPage(At(i), i, generation);
        }
      }
    });
  }
  for (unsigned round = 0; round < 6; ++round) {
    const PageCount limit(round % 2 == 0 ? kLowPages : kHighPages);
    EXPECT_EQ(pager_->SetMemoryLimit(limit), 0);
    EXPECT_LE(pager_->frames().charged(), limit);
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_TRUE(pager_->CheckConsistency());
}

// Locked pages do not leave, so a limit below them cannot be reached: nothing has changed then.
TEST_P(MemoryLimit, LockedPagesKeepItFromBeingReached) {
  const PageRange locked(vad_->range.begin, PageCount(2 * kLowPages));
  for (PageIndex page = locked.begin; page < locked.end; ++page) FirstWord(page) = page.value();
  ASSERT_EQ(pager_->LockPages(*vad_, locked), 0);
  ASSERT_EQ(pager_->BringIn(locked), 0);
  EXPECT_EQ(pager_->SetMemoryLimit(PageCount(kLowPages)), EBUSY);
  EXPECT_EQ(pager_->frames().limit().value(), kHighPages);
  for (PageIndex page = locked.begin; page < locked.end; ++page) {
    EXPECT_EQ(FirstWord(page), page.value());
  }
  bool all_locked = false;
  pager_->UnlockPages(*vad_, locked, &all_locked);
  EXPECT_TRUE(all_locked);
  EXPECT_EQ(pager_->SetMemoryLimit(PageCount(kLowPages)), 0);
  for (PageIndex page = locked.begin; page < locked.end; ++page) {
    EXPECT_EQ(FirstWord(page), page.value());
  }
}

INSTANTIATE_TEST_SUITE_P(Roads, MemoryLimit,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{true, IoEngineKind::kUring, 3},
                                         Road{false, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
