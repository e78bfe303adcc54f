// Where many threads wait for reads at a time, pages are not asked whether they are still used, as
// the thread that asks is what all of them wait for; where one does, they are.
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/support/running_pager.h"
#include "tests/support/seed.h"
#include "tests/support/slow_engine.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = 512;
constexpr uint64_t kPages = 4 * kLimitPages;
constexpr unsigned kCrowd = 8;
constexpr uint64_t kReads = 2400;  // of all threads, each time
// Whoever waits, waits so long: the threads wait together.
constexpr uint64_t kDelayNs = 500'000;

class Crowd : public testing::TestWithParam<Road> {
 protected:
  void SetUp() override {
    PagerOptions options = RunningPager::Options(GetParam(), kLimitPages);
    options.wrap_engine = [](IoEngine* inner) -> IoEngine* {
      slow_ = std::make_unique<SlowEngine>(inner);
      return slow_.get();
    };
    if (!pager_.Start(options)) GTEST_SKIP() << pager_.why();
    vad_ = pager_.Reserve(kPages);
    ASSERT_NE(vad_, nullptr);
    for (uint64_t i = 0; i < kPages; ++i) stress::FillPage(Words(i), i, 0);
    slow_->set_delay_ns(kDelayNs);
  }
  uint64_t* Words(uint64_t i) { return WordsOf(vad_->range.begin + PageCount(i)); }
  uint64_t Faults(FaultKind kind) {
    return pager_.Counters().faults[static_cast<unsigned>(kind)].value();
  }
  // Reads at random, by so many threads. Returns how many pages are parked after it.
  uint64_t ParkedAfterReads(unsigned threads) {
    std::vector<std::thread> readers;
    for (unsigned t = 0; t < threads; ++t) {
      readers.emplace_back([this, threads, seed = TestSeed() + t] {
        std::mt19937_64 random(seed);
        for (uint64_t k = 0; k < kReads / threads; ++k) {
          const uint64_t i = random() % kPages;
          wrong_ += stress::FirstWrongWord(Words(i), i, 0) != stress::kWordsInPage;
        }
      });
    }
    for (std::thread& reader : readers) reader.join();
    uint64_t parked = 0;
    for (uint64_t i = 0; i < kPages; ++i) {
      parked += vad_->Load(vad_->range.begin + PageCount(i)).state() == PageState::kStandby;
    }
    return parked;
  }

  static inline std::unique_ptr<SlowEngine> slow_;
  RunningPager pager_;
  Vad* vad_ = nullptr;
  std::atomic<uint64_t> wrong_{0};
};

TEST_P(Crowd, PagesAreAskedWhereThereIsTime) {
  const uint64_t alone = ParkedAfterReads(1);
  const uint64_t together = ParkedAfterReads(kCrowd);
  const uint64_t again = ParkedAfterReads(1);
  EXPECT_LT(together, alone);
  EXPECT_LT(2 * together, again);
  EXPECT_EQ(wrong_.load(), 0u);
  EXPECT_TRUE(pager_->CheckConsistency());
}

INSTANTIATE_TEST_SUITE_P(Roads, Crowd,
                         testing::Values(Road{}, Road{.io = IoEngineKind::kThreads}),
                         [](const auto& road) { return road.param.Name(); });

}  // namespace
}  // namespace userpager
