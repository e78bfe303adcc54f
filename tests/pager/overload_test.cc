// More threads than memory has pages to spare, and a disk that is slow: everything goes on, right,
// and nobody is left out; and when the disk is quick again, so is the pager.
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/support/running_pager.h"
#include "tests/support/sanitizers.h"
#include "tests/support/slow_engine.h"

namespace userpager {
namespace {

class Overload : public testing::TestWithParam<Road> {
 protected:
  static constexpr unsigned kThreads = 40;
  static constexpr uint64_t kPagesEach = 3;
  static constexpr uint64_t kDelayNs = 10'000'000;

  void SetUp() override {
    const uint64_t limit = Pager::SmallestMemoryLimit(GetParam().shards).value();
    ASSERT_GT(kThreads, limit);
    PagerOptions options = RunningPager::Options(GetParam(), limit);
    options.wrap_engine = [](IoEngine* inner) -> IoEngine* {
      slow_ = std::make_unique<SlowEngine>(inner);
      return slow_.get();
    };
    if (!pager_.Start(options)) GTEST_SKIP() << pager_.why();
    vad_ = pager_.Reserve(kThreads * kPagesEach);
  }
  // Each thread changes each of its pages, and finds what it left there.
  void WorkOnce(uint32_t generation) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([this, t, generation] {
        for (uint64_t i = t * kPagesEach; i < (t + 1) * kPagesEach; ++i) {
          uint64_t* words = WordsOf(vad_->range.begin + PageCount(i));
          if (generation > 0 &&
              stress::FirstWrongWord(words, i, generation - 1) != stress::kWordsInPage) {
            ++wrong_;
          }
          stress::FillPage(words, i, generation);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  uint64_t LongestWait(FaultKind kind) {
    return pager_.Counters().latency[static_cast<unsigned>(kind)].max_ns();
  }

  static inline std::unique_ptr<SlowEngine> slow_;
  RunningPager pager_;
  Vad* vad_ = nullptr;
  std::atomic<uint64_t> wrong_{0};
};

TEST_P(Overload, SlowRightAndItRecovers) {
  WorkOnce(0);
  slow_->set_delay_ns(kDelayNs);
  WorkOnce(1);
  if (!kInstrumented) WorkOnce(2);
  slow_->set_delay_ns(0);
  // Whoever had to be read for had to wait for the disk, and the longest wait tells it.
  EXPECT_GE(LongestWait(FaultKind::kHard), kDelayNs);
  for (uint32_t generation = kInstrumented ? 2 : 3; generation < 6; ++generation) {
    WorkOnce(generation);
  }
  EXPECT_EQ(wrong_.load(), 0u);
  EXPECT_LE(pager_->frames().peak(), pager_->frames().limit());
  EXPECT_TRUE(pager_->CheckConsistency());
}

INSTANTIATE_TEST_SUITE_P(
    Roads, Overload,
    testing::Values(Road{true, IoEngineKind::kUring, 1}, Road{false, IoEngineKind::kUring, 1},
                    Road{true, IoEngineKind::kThreads, 1}),
    [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
