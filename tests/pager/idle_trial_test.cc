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
  void TakeCpu(unsigned times = IdleTrial::kMostTaken) {
    for (unsigned i = 0; i < times; ++i) trial_.OnCpuTaken();
  }
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

TEST(IdleTrialTest, SpinningThatWasGivenUpIsLeftOutForAWhile) {
  Faults faults;
  faults.Come(2 * IdleTrial::kTurnFaults, kSpinPays);
  ASSERT_EQ(faults.way(), IdleWay::kSpin);
  faults.TakeCpu();
  EXPECT_EQ(faults.way(), IdleWay::kSleep) << "a new trial begins";
  const auto tried = faults.Come(kTrialFaults / kIdleWays * 2, kSpinPays);
  EXPECT_EQ(tried[2], 0u);
  EXPECT_EQ(faults.Come(IdleTrial::kFewestHeld, kSpinPays)[2], 0u);
  EXPECT_EQ(faults.Come(kTrialFaults, kSpinPays)[2], kTrialFaults / kIdleWays);
  EXPECT_EQ(faults.way(), IdleWay::kSpin) << "nobody wanted the CPU then";
}

// Once or twice, or now and then, is the system's doing.
TEST(IdleTrialTest, SpinningIsNotGivenUpByChance) {
  Faults faults;
  faults.Come(kTrialFaults, kSpinPays);
  ASSERT_EQ(faults.way(), IdleWay::kSpin);
  for (unsigned i = 0; i < 8; ++i) {
    faults.TakeCpu(IdleTrial::kMostTaken - 1);
    ASSERT_EQ(faults.way(), IdleWay::kSpin);
    faults.Come(IdleTrial::kTakenFaults + 1, kSpinPays);
  }
  for (unsigned i = 1; i < IdleTrial::kMostTaken; ++i) {
    faults.TakeCpu(1);
    faults.Come(IdleTrial::kTakenFaults, kSpinPays);
  }
  ASSERT_EQ(faults.way(), IdleWay::kSpin);
  faults.TakeCpu(1);
  EXPECT_EQ(faults.way(), IdleWay::kSleep);
}

// The time without it doubles while it is given up each time, and is forgotten once it is not.
TEST(IdleTrialTest, SpinningIsTriedEverLessWhileItIsGivenUp) {
  IdleTrial trial(kIdleWays);
  uint64_t now_ns = 1;
  const auto take_cpu = [&] {
    for (unsigned i = 0; i < IdleTrial::kMostTaken; ++i) trial.OnCpuTaken();
  };
  // How many faults come until it is tried again.
  const auto until_tried = [&] {
    uint64_t faults = 0;
    for (; trial.way() != IdleWay::kSpin; ++faults) trial.OnFault(now_ns += 60'000);
    return faults;
  };
  uint64_t before = until_tried();
  for (unsigned rest = 1; rest <= IdleTrial::kMostRest; rest *= 2) {
    take_cpu();
    const uint64_t faults = until_tried();
    EXPECT_GT(faults, before) << rest;
    before = faults;
  }
  take_cpu();
  EXPECT_NEAR(static_cast<double>(until_tried()), static_cast<double>(before),
              static_cast<double>(before) / 10);
  // This time the trial ends, and judges.
  for (uint64_t i = 0; i < kTrialFaults; ++i) trial.OnFault(now_ns += 60'000);
  until_tried();
  take_cpu();
  EXPECT_LT(until_tried(), before / 4);
}

TEST(IdleTrialTest, GivingUpWhatIsNotDoneChangesNothing) {
  Faults faults;
  faults.Come(IdleTrial::kTurnFaults, kAlike);
  faults.TakeCpu();
  EXPECT_EQ(faults.way(), IdleWay::kAwake);
  EXPECT_EQ(faults.Come(kTrialFaults - IdleTrial::kTurnFaults, kAlike)[2],
            kTrialFaults / kIdleWays);
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
