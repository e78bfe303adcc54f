#include "runtime/policy/page_history.h"

#include "gtest/gtest.h"

namespace userpager {
namespace {

TEST(PageHistory, AnEmptyOneHasNoStamp) {
  EXPECT_FALSE(PageHistory().has_stamp());
  EXPECT_EQ(PageHistory().word(), 0u);
  for (uint64_t time = 0; time <= PageHistory::kStamps; ++time) {
    ASSERT_TRUE(PageHistory(time, PageHistory::Kind::kPlain).has_stamp()) << time;
  }
}

TEST(PageHistory, KeepsItsKindApartFromTheStamp) {
  for (const uint64_t time : {uint64_t{0}, uint64_t{PageHistory::kStamps - 1}}) {
    using Kind = PageHistory::Kind;
    for (const Kind kind : {Kind::kPlain, Kind::kAhead, Kind::kOnTrial, Kind::kPassed}) {
      const PageHistory history(PageHistory(time, kind).word());
      EXPECT_EQ(history.on_trial(), kind == Kind::kOnTrial);
      EXPECT_EQ(history.ahead(), kind == Kind::kAhead || kind == Kind::kPassed);
      EXPECT_EQ(history.passed(), kind == Kind::kPassed);
      EXPECT_EQ(history.Elapsed(time), 0u);
    }
  }
}

// The clock outgrows the stamp; how far apart two times are does not suffer.
TEST(PageHistory, ElapsedTimeIsRightWhereverTheClockIs) {
  for (const uint64_t then : {uint64_t{0}, uint64_t{PageHistory::kStamps - 2},
                              uint64_t{PageHistory::kStamps} * 1000 + 77, uint64_t{1} << 60}) {
    const PageHistory history(then, PageHistory::Kind::kOnTrial);
    for (const uint32_t passed : {0u, 1u, 5u, PageHistory::kStamps - 1}) {
      EXPECT_EQ(history.Elapsed(then + passed), passed) << then;
    }
    EXPECT_EQ(history.Elapsed(then + PageHistory::kStamps), 0u);
  }
}

}  // namespace
}  // namespace userpager
