// Each system call that paging makes, failed in turn, with so little memory that every page leaves
// and comes back: a program never sees it, nothing is lost, and nothing is left over.
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/support/captured_log.h"
#include "tests/support/child_process.h"
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
  // Without UFFDIO_POISON (before 6.6) the mark is a file that is mapped.
  CallFaults::FailNth(pager->features().poison ? CallKind::kPoison : CallKind::kDescriptor, 1,
                      ENOMEM);
  EXPECT_EQ(TryRead(PointerTo(vad->range.begin)).signal, SIGBUS);
  EXPECT_TRUE(CallFaults::Stop());
  failing->FailNextReads(0);
  Vad* other = pager.Reserve(1);
  FirstWord(other->range.begin) = 4;
  EXPECT_EQ(FirstWord(other->range.begin), 4u);
}

size_t OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

constexpr const char* kNoSuchCall = "no such call";
// An end that makes more calls of one kind than that makes them without end.
constexpr uint64_t kMostCalls = 400;

std::string PageAll(RunningPager& pager) {
  constexpr uint64_t kPages = 300;
  Vad* vad = pager.Reserve(kPages);
  if (vad == nullptr) return "nothing can be reserved";
  for (uint64_t i = 0; i < kPages; ++i) FirstWord(vad->range.begin + PageCount(i)) = i + 1;
  for (uint64_t i = 0; i < kPages; ++i) {
    if (FirstWord(vad->range.begin + PageCount(i)) != i + 1) return "a page is not what it was";
  }
  return "";
}

// In a child: what a failed unmapping leaves behind is gone with it.
std::string StopWithFailure(const Road& road, const Refusal& refusal, uint64_t n) {
  return InChild([&]() -> std::string {
    const CapturedLog log;
    const PagerOptions options = RunningPager::Options(road, 256);
    const size_t open_before = OpenDescriptors();
    bool hit = false;
    {
      RunningPager pager;
      if (!pager.Start(options)) return pager.why();
      if (const std::string problem = PageAll(pager); !problem.empty()) return problem;
      CallFaults::FailNth(refusal.kind, n, refusal.error);
      pager.StopNow();
      hit = CallFaults::Stop();
    }
    if (OpenDescriptors() != open_before) return "descriptors are left open";
    RunningPager again;
    if (!again.Start(options)) return "not again: " + again.why();
    const std::string problem = PageAll(again);
    again.StopNow();
    return !problem.empty() || hit ? problem : kNoSuchCall;
  });
}

class StoppingWithFailures : public testing::TestWithParam<Road> {};

// The memory is given back and the threads end, whatever is refused on the way.
TEST_P(StoppingWithFailures, ComesToItsEnd) {
  std::string why;
  {
    RunningPager pager;
    if (!pager.Start(RunningPager::Options(GetParam(), 256))) why = pager.why();
  }
  if (!why.empty()) GTEST_SKIP() << why;
  uint64_t total = 0;
  for (const Refusal& refusal : kRefusals) {
    for (uint64_t n = 1; n < kMostCalls; ++n) {
      const std::string outcome = StopWithFailure(GetParam(), refusal, n);
      if (outcome == kNoSuchCall) break;
      ++total;
      ASSERT_EQ(outcome, "") << "call " << n << " of kind " << static_cast<int>(refusal.kind)
                             << ", errno " << refusal.error;
    }
  }
  EXPECT_GT(total, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Roads, StoppingWithFailures,
    testing::Values(Road{true, IoEngineKind::kUring, 2}, Road{false, IoEngineKind::kThreads, 1}),
    [](const auto& tested) { return tested.param.Name(); });

// What would make the access fail cannot be had: its thread would wait for ever, or get a page that
// it must not have. By design the process is stopped.
class TrapDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    RunningPager pager;
    if (!pager.Start(RunningPager::Options(Road{false}, 256))) GTEST_SKIP() << pager.why();
    has_guards_ = pager->features().guard;
  }
  // In the process that is to die.
  void Start(RunningPager* pager) {
    if (!pager->Start(RunningPager::Options(Road{false}, 256))) return;
    vad_ = pager->Reserve(1, kNoAccess);
  }
  CallKind TrapCall() const { return has_guards_ ? CallKind::kGuard : CallKind::kProtect; }

  bool has_guards_ = false;
  Vad* vad_ = nullptr;
};

TEST_F(TrapDeathTest, AViolationThatCannotBeDelivered) {
  EXPECT_DEATH(
      {
        RunningPager pager;
        Start(&pager);
        CallFaults::FailNth(TrapCall(), 1, ENOMEM);
        (void)TryRead(PointerTo(vad_->range.begin));
      },
      "stopped: .*an access violation could not be delivered");
}

TEST_F(TrapDeathTest, AGuardThatCannotBeRemoved) {
  if (!has_guards_) GTEST_SKIP() << "needs MADV_GUARD_INSTALL, which is not used here";
  EXPECT_DEATH(
      {
        RunningPager pager;
        Start(&pager);
        if (TryRead(PointerTo(vad_->range.begin)).signal != SIGSEGV) std::_Exit(1);
        CallFaults::FailNth(CallKind::kGuard, 1, ENOMEM);
        (void)pager->Protect(*vad_, vad_->range, kReadWrite);
      },
      "stopped: .*a trap could not be removed");
}

}  // namespace
}  // namespace userpager
