// Each system call that paging makes, failed in turn, with so little memory that every page leaves
// and comes back: a program never sees it, nothing is lost, and nothing is left over.
#include <signal.h>

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/support/captured_log.h"
#include "tests/support/failing_engine.h"
#include "tests/support/guarded_access.h"
#include "tests/support/refusals.h"
#include "tests/support/running_pager.h"
#include "tests/support/sanitizers.h"

namespace userpager {
namespace {

class PagingWithFailures : public testing::TestWithParam<Road> {
 protected:
  static constexpr uint64_t kPages = 48;

  void SetUp() override {
    const uint64_t limit = Pager::SmallestMemoryLimit(GetParam().shards).value();
    if (!pager_.Start(RunningPager::Options(GetParam(), limit))) GTEST_SKIP() << pager_.why();
    vad_ = pager_.Reserve(kPages);
  }
  void TearDown() override { CallFaults::Stop(); }

  // Every page is written, read in another order, and written again.
  bool PageOnce(uint32_t generation) {
    for (uint64_t i = 0; i < kPages; ++i) stress::FillPage(Words(i), i, generation);
    for (uint64_t i = kPages; i > 0; --i) {
      if (stress::FirstWrongWord(Words(i - 1), i - 1, generation) != stress::kWordsInPage) {
        return false;
      }
    }
    return true;
  }
  uint64_t* Words(uint64_t i) { return WordsOf(vad_->range.begin + PageCount(i)); }

  RunningPager pager_;
  Vad* vad_ = nullptr;
};

TEST_P(PagingWithFailures, NothingIsLost) {
  const CapturedLog log;
  // One after the other; from there on with growing gaps, as an instrumented run takes long.
  constexpr uint64_t kAll = kInstrumented ? 3 : 10;
  uint32_t generation = 0;
  for (const Refusal& refusal : kRefusals) {
    bool hit = true;
    for (uint64_t n = 1; hit; n += n < kAll ? 1 : n) {
      ASSERT_LT(n, 100'000u) << "the calls do not end";
      CallFaults::FailNth(refusal.kind, n, refusal.error);
      ASSERT_TRUE(PageOnce(++generation)) << n << " of kind " << static_cast<int>(refusal.kind);
      hit = CallFaults::Stop();
    }
    EXPECT_TRUE(pager_->CheckConsistency());
  }
  EXPECT_LE(pager_->frames().peak(), pager_->frames().limit());
  EXPECT_EQ(pager_.Counters().lost_pages.value(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Roads, PagingWithFailures,
    testing::Values(Road{true, IoEngineKind::kUring, 1}, Road{false, IoEngineKind::kUring, 1},
                    Road{true, IoEngineKind::kUring, 1, FaultDelivery::kSignals}),
    [](const auto& tested) { return tested.param.Name(); });

// A page that the file lost is marked in the end, also where the mark fails at first.
TEST(LosingWithFailures, ThePageIsLostAndNoOther) {
  const CapturedLog log;
  RunningPager pager;
  const uint64_t limit = Pager::SmallestMemoryLimit(1).value();
  static std::unique_ptr<FailingEngine> failing;
  PagerOptions options = RunningPager::Options(Road{}, limit);
  options.wrap_engine = [](IoEngine* inner) -> IoEngine* {
    failing = std::make_unique<FailingEngine>(inner, FailurePlan{}, 1);
    return failing.get();
  };
  if (!pager.Start(options)) GTEST_SKIP() << pager.why();
  Vad* vad = pager.Reserve(1);
  stress::FillPage(WordsOf(vad->range.begin), 1, 1);
  ASSERT_TRUE(pager.PushOut(*vad));
  failing->FailNextReads(100);
  CallFaults::FailNth(CallKind::kPoison, 1, ENOMEM);
  EXPECT_EQ(TryRead(PointerTo(vad->range.begin)).signal, SIGBUS);
  EXPECT_TRUE(CallFaults::Stop());
  failing->FailNextReads(0);
  Vad* other = pager.Reserve(1);
  FirstWord(other->range.begin) = 4;
  EXPECT_EQ(FirstWord(other->range.begin), 4u);
}

}  // namespace
}  // namespace userpager
