#include "runtime/policy/limit_advisor.h"

#include <gtest/gtest.h>

#include <optional>

namespace userpager {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kSmallest = kMiB;
constexpr uint64_t kSecond = 1'000'000;

// A machine of 1 GiB, half of it available, and a limit that is always in use.
class LimitAdvisorTest : public testing::Test {
 protected:
  // One second later; `percent` of it somebody waited. Follows the advice.
  LimitAdvisor::Reason Look(unsigned percent) {
    now_us_ += kSecond;
    machine_.stall_us += percent * kSecond / 100;
    const LimitAdvisor::Advice advice =
        advisor_.Look(machine_, now_us_, limit_, resident_.value_or(limit_));
    if (advice.reason != LimitAdvisor::Reason::kNone) limit_ = advice.limit_bytes;
    return advice.reason;
  }
  // How many of so many calm seconds changed the limit.
  unsigned Calm(unsigned seconds) {
    unsigned changes = 0;
    for (unsigned i = 0; i < seconds; ++i) {
      if (Look(0) != LimitAdvisor::Reason::kNone) ++changes;
    }
    return changes;
  }

  MachineLook machine_{1024 * kMiB, 1024 * kMiB, 512 * kMiB, 0, true};
  LimitAdvisor advisor_{kSmallest};
  uint64_t now_us_ = 0;
  uint64_t limit_ = 512 * kMiB;
  std::optional<uint64_t> resident_;
};

TEST_F(LimitAdvisorTest, TheFirstLookKnowsNoPressure) {
  machine_.stall_us = 1'000'000 * kSecond;
  EXPECT_EQ(LimitAdvisor::Reason::kNone, Look(50));
}

// Nothing follows from two looks at one moment, nor from a machine that has stopped telling.
TEST_F(LimitAdvisorTest, WithoutTwoMomentsNoPressureIsKnown) {
  (void)Look(0);
  machine_.stall_us += kSecond;
  EXPECT_EQ(advisor_.Look(machine_, now_us_, limit_, limit_).stall_percent, 0u);
  machine_.knows_stalls = false;
  EXPECT_EQ(LimitAdvisor::Reason::kNone, Look(100));
  machine_.knows_stalls = true;
  EXPECT_EQ(LimitAdvisor::Reason::kNone, Look(100)) << "the first look of a new row";
  EXPECT_EQ(LimitAdvisor::Reason::kPressure, Look(100));
}

TEST_F(LimitAdvisorTest, PressureLowersItStepByStep) {
  (void)Look(0);
  EXPECT_EQ(LimitAdvisor::Reason::kNone, Look(9));
  EXPECT_EQ(LimitAdvisor::Reason::kPressure, Look(10));
  EXPECT_EQ(448 * kMiB, limit_);
  EXPECT_EQ(LimitAdvisor::Reason::kPressure, Look(100));
  EXPECT_EQ(392 * kMiB, limit_);
  for (int i = 0; i < 100; ++i) (void)Look(100);
  EXPECT_EQ(64 * kMiB, limit_);
  EXPECT_EQ(LimitAdvisor::Reason::kNone, Look(100));
}

TEST_F(LimitAdvisorTest, CalmRaisesItSlowly) {
  EXPECT_EQ(0u, Calm(9));
  EXPECT_EQ(LimitAdvisor::Reason::kCalm, Look(0));
  EXPECT_EQ(544 * kMiB, limit_);
  EXPECT_EQ(0u, Calm(9));
  // A restless second begins the count anew.
  EXPECT_EQ(LimitAdvisor::Reason::kNone, Look(2));
  EXPECT_EQ(0u, Calm(9));
  EXPECT_EQ(1u, Calm(1));
  (void)Calm(200);
  EXPECT_EQ(768 * kMiB, limit_);
  EXPECT_EQ(0u, Calm(50));
}

TEST_F(LimitAdvisorTest, WhatIsNotUsedOrNotThereIsNotTaken) {
  resident_ = 100 * kMiB;
  EXPECT_EQ(0u, Calm(50));
  resident_ = std::nullopt;
  machine_.available_bytes = 130 * kMiB;
  EXPECT_EQ(0u, Calm(50));
  machine_.available_bytes = 200 * kMiB;
  EXPECT_EQ(1u, Calm(1));
}

TEST_F(LimitAdvisorTest, FollowsWhatIsAllowed) {
  machine_.allowed_bytes = 256 * kMiB;
  EXPECT_EQ(LimitAdvisor::Reason::kAllowed, Look(0));
  EXPECT_EQ(192 * kMiB, limit_);
  machine_.allowed_bytes = 1024;
  EXPECT_EQ(LimitAdvisor::Reason::kAllowed, Look(0));
  EXPECT_EQ(kSmallest, limit_);
  // What is not known changes nothing.
  machine_.allowed_bytes = 0;
  EXPECT_EQ(LimitAdvisor::Reason::kNone, Look(100));
}

TEST_F(LimitAdvisorTest, AKernelThatDoesNotTellIsCalm) {
  machine_.knows_stalls = false;
  (void)Look(0);
  EXPECT_EQ(LimitAdvisor::Reason::kNone, Look(100));
  EXPECT_EQ(1u, Calm(10));
}

TEST_F(LimitAdvisorTest, NumbersThatGoBackAreNoPressure) {
  (void)Look(100);
  machine_.stall_us = 0;
  EXPECT_EQ(LimitAdvisor::Reason::kNone, Look(0));
}

}  // namespace
}  // namespace userpager
