// CPUs are kept awake while faults are answered: that the pager asks for it, and only where it
// may. Whether the threads that do it get to run is the scheduler's.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "runtime/pager/polling_trial.h"
#include "tests/support/eventually.h"
#include "tests/support/own_threads.h"
#include "tests/support/running_pager.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = 512;
constexpr uint64_t kPages = 2048;
// Every second turn of a trial polls.
constexpr uint64_t kFaults = uint64_t{PollingTrial::kTurnFaults} * PollingTrial::kTurns;

// How often the polling threads have gone to sleep; 0 where there are none.
uint64_t TimesSlept() {
  uint64_t times = 0;
  for (const std::filesystem::path& thread : ThreadsNamed("userpager-poll")) {
    times += std::stoull("0" + ThreadStatus(thread, "voluntary_ctxt_switches"));
  }
  return times;
}

class PollingTest : public testing::TestWithParam<Road> {
 protected:
  // Hard faults one by one, far from each other, so that nothing is read ahead.
  void Fault(RunningPager* pager, Vad* vad) {
    for (uint64_t i = 0; i < kPages; ++i) {
      FirstWord(vad->range.begin + PageCount(i)) = i + 1;
    }
    const auto hard_faults = [pager] {
      return pager->Counters().faults[static_cast<unsigned>(FaultKind::kHard)].value();
    };
    for (uint64_t i = 0; i < 64 * kPages && hard_faults() < 2 * kFaults; ++i) {
      const uint64_t page = i * 997 % kPages;
      ASSERT_EQ(FirstWord(vad->range.begin + PageCount(page)), page + 1);
    }
    ASSERT_GE(hard_faults(), 2 * kFaults);
  }
};

TEST_P(PollingTest, CpusAreHeldAwake) {
  RunningPager pager;
  if (!pager.Start(RunningPager::Options(GetParam(), kLimitPages))) GTEST_SKIP() << pager.why();
  Vad* const vad = pager.Reserve(kPages);
  ASSERT_NE(vad, nullptr);
  ASSERT_TRUE(Eventually([] { return TimesSlept() != 0; }));
  const uint64_t before = TimesSlept();
  Fault(&pager, vad);
  // Woken, they sleep again.
  EXPECT_TRUE(Eventually([&] { return TimesSlept() > before + 1; }));
}

TEST_P(PollingTest, OffIsOff) {
  RunningPager pager;
  PagerOptions options = RunningPager::Options(GetParam(), kLimitPages);
  options.polling = false;
  if (!pager.Start(options)) GTEST_SKIP() << pager.why();
  Vad* const vad = pager.Reserve(kPages);
  ASSERT_NE(vad, nullptr);
  Fault(&pager, vad);
  EXPECT_EQ(TimesSlept(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Roads, PollingTest,
                         testing::Values(Road{}, Road{.faults = FaultDelivery::kSignals}),
                         [](const auto& road) { return road.param.Name(); });

}  // namespace
}  // namespace userpager
