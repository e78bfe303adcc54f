// A page file that takes a second for each request, several threads, and memory of a few pages:
// everybody goes on, as fast as everybody else, contents are right, the longest wait is told, and
// when the disk is quick again, so is the pager.
#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/support/running_pager.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"
#include "tests/support/slow_engine.h"

namespace userpager {
namespace {

constexpr unsigned kThreads = 6;
constexpr uint64_t kPagesEach = 64;
constexpr uint64_t kDelayNs = 1'000'000'000;
// Nobody has more than so many times the answers of anybody else.
constexpr uint64_t kFair = 8;
// Answers that everybody gets from the slow disk.
constexpr uint64_t kAnswers = kInstrumented ? 2 : 4;

class SlowDisk : public testing::TestWithParam<Road> {
 protected:
  void SetUp() override {
    PagerOptions options =
        RunningPager::Options(GetParam(), Pager::SmallestMemoryLimit(1).value());
    options.wrap_engine = [](IoEngine* inner) -> IoEngine* {
      slow_ = std::make_unique<SlowEngine>(inner);
      return slow_.get();
    };
    if (!pager_.Start(options)) GTEST_SKIP() << pager_.why();
    vad_ = pager_.Reserve(kThreads * kPagesEach);
    for (unsigned t = 0; t < kThreads; ++t) generations_[t].assign(kPagesEach, 0);
  }
  uint64_t* Words(unsigned thread, uint64_t i) {
    return WordsOf(vad_->range.begin + PageCount(thread * kPagesEach + i));
  }
  // Whether the page holds what was left there; then changes it, or not.
  void Touch(unsigned thread, uint64_t i, bool change) {
    uint32_t& generation = generations_[thread][i];
    const uint64_t name = thread * kPagesEach + i;
    if (generation > 0 &&
        stress::FirstWrongWord(Words(thread, i), name, generation) != stress::kWordsInPage) {
      ++wrong_;
    }
    if (change) stress::FillPage(Words(thread, i), name, ++generation);
  }
  void InThreads(const std::function<void(unsigned)>& body) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) threads.emplace_back(body, t);
    for (std::thread& thread : threads) thread.join();
  }
  void TouchAllOnce() {
    InThreads([this](unsigned t) {
      for (uint64_t i = 0; i < kPagesEach; ++i) Touch(t, i, true);
    });
  }
  uint64_t Least() const {
    return std::min_element(answers_, answers_ + kThreads)->load();
  }
  uint64_t Most() const {
    return std::max_element(answers_, answers_ + kThreads)->load();
  }

  static inline std::unique_ptr<SlowEngine> slow_;
  RunningPager pager_;
  Vad* vad_ = nullptr;
  std::vector<uint32_t> generations_[kThreads];
  std::atomic<uint64_t> wrong_{0};
  std::atomic<uint64_t> answers_[kThreads] = {};
};

TEST_P(SlowDisk, EverybodyGoesOn) {
  TouchAllOnce();
  slow_->set_delay_ns(kDelayNs);
  // Scattered touches of pages of which few are in memory: each is an answer of the pager's, but
  // for those few. They end by count: when the last has enough, or the first has too many.
  InThreads([this, seed = TestSeed()](unsigned t) {
    std::mt19937_64 random(seed + t);
    while (Least() < kAnswers && Most() < kFair * kAnswers) {
      Touch(t, random() % kPagesEach, random() % 4 == 0);
      ++answers_[t];
    }
  });
  EXPECT_GE(Least(), kAnswers) << "somebody was left out";
  EXPECT_LT(Most(), kFair * kAnswers);
  EXPECT_GE(pager_.Counters().longest_wait.nanoseconds(), kDelayNs);
  slow_->set_delay_ns(0);
  const uint64_t waited_ns = pager_.Counters().longest_wait.nanoseconds();
  for (unsigned round = 0; round < 3; ++round) TouchAllOnce();
  EXPECT_EQ(wrong_.load(), 0u);
  EXPECT_GE(pager_.Counters().longest_wait.nanoseconds(), waited_ns);
  EXPECT_LE(pager_->frames().peak(), pager_->frames().limit());
  EXPECT_TRUE(pager_->CheckConsistency());
}

INSTANTIATE_TEST_SUITE_P(Roads, SlowDisk,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kThreads, 1}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
