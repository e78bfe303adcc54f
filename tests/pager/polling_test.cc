// CPUs, and the pager's own thread, are kept awake while faults are answered: that the pager asks
// for it, and only where it may. Whether the threads that do it get to run is the scheduler's.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "runtime/page_file/io_engine.h"
#include "runtime/pager/idle_trial.h"
#include "runtime/platform/thread_place.h"
#include "tests/support/eventually.h"
#include "tests/support/own_threads.h"
#include "tests/support/running_pager.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = 512;
constexpr uint64_t kPages = 2048;
// In every trial CPUs are held awake for some turns.
constexpr uint64_t kFaults = uint64_t{IdleTrial::kTurnFaults} * IdleTrial::kRounds * kIdleWays;

// How often the polling threads have gone to sleep; 0 where there are none.
uint64_t TimesSlept() {
  uint64_t times = 0;
  for (const std::filesystem::path& thread : ThreadsNamed("userpager-poll")) {
    times += std::stoull("0" + ThreadStatus(thread, "voluntary_ctxt_switches"));
  }
  return times;
}

// How often the engine was to stay awake.
std::atomic<uint64_t> times_awake{0};

class WatchedEngine : public IoEngine {
 public:
  explicit WatchedEngine(IoEngine* inner) : inner_(inner) {}

  Errno Open() override { return inner_->Open(); }
  unsigned capacity() const override { return inner_->capacity(); }
  void Submit(const IoRequest& request) override { inner_->Submit(request); }
  void SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                         uint64_t tag) override {
    inner_->SubmitMessageRead(descriptor, buffer, buffer_bytes, tag);
  }
  size_t Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) override {
    return inner_->Wait(completions, timeout_ns);
  }
  bool StayAwake(uint64_t until_ns) override {
    if (until_ns != 0) times_awake.fetch_add(1);
    return inner_->StayAwake(until_ns);
  }

 private:
  IoEngine* inner_;
};

std::unique_ptr<WatchedEngine> watched_engine;  // outlives its pager

PagerOptions WatchedOptions(const Road& road) {
  PagerOptions options = RunningPager::Options(road, kLimitPages);
  options.wrap_engine = [](IoEngine* inner) -> IoEngine* {
    watched_engine = std::make_unique<WatchedEngine>(inner);
    return watched_engine.get();
  };
  times_awake.store(0);
  return options;
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
  PagerOptions options = WatchedOptions(GetParam());
  options.polling = false;
  if (!pager.Start(options)) GTEST_SKIP() << pager.why();
  Vad* const vad = pager.Reserve(kPages);
  ASSERT_NE(vad, nullptr);
  Fault(&pager, vad);
  EXPECT_EQ(TimesSlept(), 0u);
  EXPECT_EQ(times_awake.load(), 0u);
}

// Where it is this thread that is waited for, and there is a CPU for it.
TEST_P(PollingTest, TheThreadStaysAwake) {
  RunningPager pager;
  if (!pager.Start(WatchedOptions(GetParam()))) GTEST_SKIP() << pager.why();
  Vad* const vad = pager.Reserve(kPages);
  ASSERT_NE(vad, nullptr);
  Fault(&pager, vad);
  const bool may = GetParam().faults == FaultDelivery::kMessages && CountAllowedCpus() > 1;
  EXPECT_EQ(times_awake.load() > 0, may);
}

INSTANTIATE_TEST_SUITE_P(Roads, PollingTest,
                         testing::Values(Road{}, Road{.faults = FaultDelivery::kSignals}),
                         [](const auto& road) { return road.param.Name(); });

}  // namespace
}  // namespace userpager
