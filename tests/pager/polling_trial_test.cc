#include "runtime/pager/polling_trial.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace userpager {
namespace {

constexpr uint64_t kTrialFaults = PollingTrial::kTurnFaults * PollingTrial::kTurns;

// Faults one after the other, so long apart.
class Faults {
 public:
  // Returns how many of them came while CPUs were kept awake.
  uint64_t Come(uint64_t faults, uint64_t with_ns, uint64_t without_ns) {
    uint64_t polled = 0;
    for (uint64_t i = 0; i < faults; ++i) {
      const bool polls = trial_.polls();
      polled += polls ? 1 : 0;
      Come(polls ? with_ns : without_ns);
    }
    return polled;
  }
  void Come(uint64_t passed_ns) { trial_.OnFault(now_ns_ += passed_ns); }
  bool polls() const { return trial_.polls(); }

 private:
  PollingTrial trial_;
  uint64_t now_ns_ = 1;
};

TEST(PollingTrialTest, TriesBothInTurns) {
  Faults faults;
  for (unsigned i = 0; i < PollingTrial::kTurns; ++i) {
    EXPECT_EQ(faults.polls(), i % 2 != 0);
    EXPECT_EQ(faults.Come(PollingTrial::kTurnFaults, 50'000, 100'000),
              i % 2 != 0 ? PollingTrial::kTurnFaults : 0);
  }
  EXPECT_TRUE(faults.polls());
}

TEST(PollingTrialTest, PollsWhereItPaysUntilTheNextTrial) {
  Faults faults;
  faults.Come(kTrialFaults, 60'000, 90'000);
  EXPECT_EQ(faults.Come(PollingTrial::kFewestHeld, 60'000, 90'000), PollingTrial::kFewestHeld);
  EXPECT_EQ(faults.Come(kTrialFaults, 60'000, 60'000), kTrialFaults / 2);
  EXPECT_EQ(faults.Come(PollingTrial::kFewestHeld, 60'000, 60'000), 0u);
}

TEST(PollingTrialTest, WhatPaysAgainHoldsTwiceAsLong) {
  Faults faults;
  uint64_t held = PollingTrial::kFewestHeld;
  for (unsigned i = 0; i < 12; ++i) {
    faults.Come(kTrialFaults, 60'000, 90'000);
    EXPECT_EQ(faults.Come(held, 60'000, 90'000), held);
    EXPECT_FALSE(faults.polls()) << "the next trial begins";
    held = std::min<uint64_t>(2 * held, PollingTrial::kMostHeld);
  }
  // Once it does not, it is tried again soon.
  faults.Come(kTrialFaults, 60'000, 60'000);
  EXPECT_EQ(faults.Come(PollingTrial::kFewestHeld, 60'000, 90'000), 0u);
  EXPECT_EQ(faults.Come(kTrialFaults, 60'000, 90'000), kTrialFaults / 2);
  EXPECT_EQ(faults.Come(PollingTrial::kFewestHeld, 60'000, 90'000), PollingTrial::kFewestHeld);
  EXPECT_FALSE(faults.polls());
}

TEST(PollingTrialTest, LittleIsNotEnough) {
  Faults faults;
  faults.Come(kTrialFaults, 63'000, 64'000);
  EXPECT_FALSE(faults.polls());
  Faults others;
  others.Come(kTrialFaults, 62'000, 64'000);
  EXPECT_TRUE(others.polls());
}

// What the turn before has left behind is over by then.
TEST(PollingTrialTest, TheFirstFaultsOfATurnDoNotCount) {
  Faults faults;
  for (unsigned i = 0; i < PollingTrial::kTurns; ++i) {
    const bool polls = faults.polls();
    for (unsigned k = 0; k < PollingTrial::kTurnFaults; ++k) {
      const bool settled = k >= PollingTrial::kSettlingFaults;
      faults.Come(settled == polls ? 60'000 : 90'000);
    }
  }
  EXPECT_TRUE(faults.polls());
}

// One read that the disk took a second for, or a second in which the program had other things to
// do, does not decide.
TEST(PollingTrialTest, WhatTakesTooLongCountsAsLittleAsCanBe) {
  Faults faults;
  faults.Come(PollingTrial::kTurnFaults, 0, 90'000);
  faults.Come(PollingTrial::kSettlingFaults, 60'000, 0);
  faults.Come(1'000'000'000);
  faults.Come(kTrialFaults - PollingTrial::kTurnFaults - PollingTrial::kSettlingFaults - 1, 60'000,
              90'000);
  EXPECT_TRUE(faults.polls());
}

}  // namespace
}  // namespace userpager
