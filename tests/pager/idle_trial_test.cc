#include "runtime/pager/idle_trial.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace userpager {
namespace {

constexpr uint64_t kTrialFaults =
    uint64_t{IdleTrial::kTurnFaults} * IdleTrial::kRounds * kIdleWays;

// How long apart faults come in each way.
using Gaps = std::array<uint64_t, kIdleWays>;
constexpr Gaps kAlike = {60'000, 60'000, 60'000};
constexpr Gaps kSpinPays = {60'000, 60'000, 50'000};
constexpr Gaps kAwakePays = {60'000, 50'000, 55'000};

// Faults one after the other.
class Faults {
 public:
  explicit Faults(unsigned ways = kIdleWays) : trial_(ways) {}

  // Returns how many of them were waited for in each way.
  std::array<uint64_t, kIdleWays> Come(uint64_t faults, const Gaps& gaps) {
    std::array<uint64_t, kIdleWays> waited = {};
    for (uint64_t i = 0; i < faults; ++i) {
      const auto way = static_cast<size_t>(trial_.way());
      ++waited[way];
      Come(gaps[way]);
    }
    return waited;
  }
  void Come(uint64_t passed_ns) { trial_.OnFault(now_ns_ += passed_ns); }
  IdleWay way() const { return trial_.way(); }

 private:
  IdleTrial trial_;
  uint64_t now_ns_ = 1;
};

TEST(IdleTrialTest, TriesEachWayInTurns) {
  Faults faults;
  for (unsigned i = 0; i < IdleTrial::kRounds * kIdleWays; ++i) {
    EXPECT_EQ(faults.way(), static_cast<IdleWay>(i % kIdleWays));
    EXPECT_EQ(faults.Come(IdleTrial::kTurnFaults, kSpinPays)[i % kIdleWays],
              IdleTrial::kTurnFaults);
  }
  EXPECT_EQ(faults.way(), IdleWay::kSpin);
}

TEST(IdleTrialTest, GoesOnInTheBestWayUntilTheNextTrial) {
  Faults faults;
  faults.Come(kTrialFaults, kAwakePays);
  EXPECT_EQ(faults.Come(IdleTrial::kFewestHeld, kAwakePays)[1], IdleTrial::kFewestHeld);
  const auto tried = faults.Come(kTrialFaults, kSpinPays);
  for (const uint64_t count : tried) EXPECT_EQ(count, kTrialFaults / kIdleWays);
  EXPECT_EQ(faults.Come(IdleTrial::kFewestHeld, kAlike)[2], IdleTrial::kFewestHeld);
}

TEST(IdleTrialTest, TheSameVerdictAgainHoldsTwiceAsLong) {
  Faults faults;
  uint64_t held = IdleTrial::kFewestHeld;
  for (unsigned i = 0; i < 6; ++i) {
    faults.Come(kTrialFaults, kSpinPays);
    EXPECT_EQ(faults.Come(held, kSpinPays)[2], held);
    EXPECT_EQ(faults.way(), IdleWay::kSleep) << "the next trial begins";
    held = std::min<uint64_t>(2 * held, IdleTrial::kMostHeld);
  }
  // Another one is tried again soon.
  faults.Come(kTrialFaults, kAlike);
  EXPECT_EQ(faults.Come(IdleTrial::kFewestHeld, kAlike)[0], IdleTrial::kFewestHeld);
  EXPECT_EQ(faults.Come(kTrialFaults, kAlike)[2], kTrialFaults / kIdleWays);
}

TEST(IdleTrialTest, LittleIsNotEnough) {
  Faults faults;
  faults.Come(kTrialFaults, {64'000, 63'000, 63'000});
  EXPECT_EQ(faults.way(), IdleWay::kSleep);
  Faults others;
  others.Come(kTrialFaults, {64'000, 62'000, 61'000});
  EXPECT_EQ(others.way(), IdleWay::kAwake) << "the third is little better than the second";
}

// What the turn before has left behind is over by then.
TEST(IdleTrialTest, TheFirstFaultsOfATurnDoNotCount) {
  Faults faults;
  for (unsigned i = 0; i < IdleTrial::kRounds * kIdleWays; ++i) {
    const bool spins = faults.way() == IdleWay::kSpin;
    for (unsigned k = 0; k < IdleTrial::kTurnFaults; ++k) {
      const bool settled = k >= IdleTrial::kSettlingFaults;
      faults.Come(settled == spins ? 60'000 : 90'000);
    }
  }
  EXPECT_EQ(faults.way(), IdleWay::kSpin);
}

// One read that the disk took a second for, or a second in which the program had other things to
// do, does not decide.
TEST(IdleTrialTest, WhatTakesTooLongCountsAsLittleAsCanBe) {
  Faults faults;
  faults.Come(2 * IdleTrial::kTurnFaults + IdleTrial::kSettlingFaults, kSpinPays);
  ASSERT_EQ(faults.way(), IdleWay::kSpin);
  faults.Come(1'000'000'000);
  faults.Come(kTrialFaults - 2 * IdleTrial::kTurnFaults - IdleTrial::kSettlingFaults - 1,
              kSpinPays);
  EXPECT_EQ(faults.way(), IdleWay::kSpin);
}

TEST(IdleTrialTest, TriesAsManyWaysAsThereMayBe) {
  Faults one(1);
  EXPECT_EQ(one.Come(4 * kTrialFaults, kSpinPays)[0], 4 * kTrialFaults);
  Faults two(2);
  EXPECT_EQ(two.Come(4 * kTrialFaults, kSpinPays)[2], 0u);
  EXPECT_GT(two.Come(IdleTrial::kMostHeld, kAwakePays)[1], 0u);
}

TEST(IdleWishTest, IsTakenOnce) {
  IdleWish wish;
  EXPECT_EQ(wish.Take(), std::nullopt);
  wish.Set(IdleWay::kSleep);
  wish.Set(IdleWay::kSpin);
  EXPECT_EQ(wish.Take(), IdleWay::kSpin);
  EXPECT_EQ(wish.Take(), std::nullopt);
}

}  // namespace
}  // namespace userpager
