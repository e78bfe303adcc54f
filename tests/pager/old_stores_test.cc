// What was written once and is not used any more leaves memory, although other pages could be
// dropped without a write.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/running_pager.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = 2048;
constexpr uint64_t kPages = 4 * kLimitPages;
constexpr uint64_t kUsedPages = kLimitPages * 3 / 4;
// In the first round most pages come for the first time.
constexpr uint64_t kRounds = 4;

TEST(OldStoresTest, DoNotStayInTheWayOfWhatIsRead) {
  RunningPager pager;
  if (!pager.Start(RunningPager::Options(Road{}, kLimitPages))) GTEST_SKIP() << pager.why();
  Vad* const vad = pager.Reserve(kPages);
  ASSERT_NE(vad, nullptr);
  const auto word = [vad](uint64_t page) -> volatile uint64_t& {
    return FirstWord(vad->range.begin + PageCount(page));
  };
  for (uint64_t page = 0; page < kPages; ++page) word(page) = page + 1;
  const auto hard_faults = [&] {
    return pager.Counters().faults[static_cast<unsigned>(FaultKind::kHard)].value();
  };
  std::mt19937_64 random(11);
  uint64_t before = 0;
  for (uint64_t round = 0; round < kRounds; ++round) {
    if (round == 1) before = hard_faults();
    for (uint64_t i = 0; i < kUsedPages; ++i) {
      const uint64_t page = random() % kUsedPages * (kPages / kUsedPages);
      ASSERT_EQ(word(page), page + 1);
    }
  }
  // Between 847 and 985, as the scheduler has it; where old stores stay, 1,230 and more.
  EXPECT_LT(hard_faults() - before, kUsedPages * 7 / 10);
}

}  // namespace
}  // namespace userpager
