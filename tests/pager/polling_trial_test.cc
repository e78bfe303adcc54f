#include "runtime/pager/polling_trial.h"

#include <gtest/gtest.h>

namespace userpager {
namespace {

constexpr uint64_t kTrialFaults = PollingTrial::kTurnFaults * PollingTrial::kTurns;

// Answers so many faults one by one; returns how many of them with polling.
uint64_t Answer(PollingTrial* trial, uint64_t faults, uint64_t with_ns, uint64_t without_ns) {
  uint64_t polled = 0;
  for (uint64_t i = 0; i < faults; ++i) {
    const bool polls = trial->polls();
    polled += polls ? 1 : 0;
    trial->OnAnswered(polls ? with_ns : without_ns);
  }
  return polled;
}

TEST(PollingTrialTest, TriesBothInTurns) {
  PollingTrial trial;
  EXPECT_FALSE(trial.polls());
  EXPECT_EQ(Answer(&trial, PollingTrial::kTurnFaults, 1, 1), 0u);
  EXPECT_TRUE(trial.polls());
  EXPECT_EQ(Answer(&trial, kTrialFaults - PollingTrial::kTurnFaults, 1, 1), kTrialFaults / 2);
}

TEST(PollingTrialTest, PollsWhereItPaysUntilTheNextTrial) {
  PollingTrial trial;
  Answer(&trial, kTrialFaults, 60'000, 90'000);
  EXPECT_EQ(Answer(&trial, PollingTrial::kHeldFaults, 60'000, 90'000), PollingTrial::kHeldFaults);
  EXPECT_EQ(Answer(&trial, kTrialFaults, 60'000, 60'000), kTrialFaults / 2);
  EXPECT_EQ(Answer(&trial, PollingTrial::kHeldFaults, 60'000, 60'000), 0u);
}

TEST(PollingTrialTest, LittleIsNotEnough) {
  PollingTrial trial;
  Answer(&trial, kTrialFaults, 63'000, 64'000);
  EXPECT_FALSE(trial.polls());
  PollingTrial other;
  Answer(&other, kTrialFaults, 62'000, 64'000);
  EXPECT_TRUE(other.polls());
}

// What the turn before has left behind is over by then.
TEST(PollingTrialTest, TheFirstFaultsOfATurnDoNotCount) {
  PollingTrial trial;
  for (unsigned i = 0; i < PollingTrial::kTurns; ++i) {
    const bool polls = trial.polls();
    for (unsigned k = 0; k < PollingTrial::kTurnFaults; ++k) {
      const bool settled = k >= PollingTrial::kSettlingFaults;
      trial.OnAnswered(settled == polls ? 60'000 : 90'000);
    }
  }
  EXPECT_TRUE(trial.polls());
}

// One read that the disk took a second for does not decide.
TEST(PollingTrialTest, WhatTakesTooLongCountsAsLittleAsCanBe) {
  PollingTrial trial;
  Answer(&trial, PollingTrial::kTurnFaults, 0, 90'000);
  trial.OnAnswered(1'000'000'000);
  Answer(&trial, kTrialFaults - PollingTrial::kTurnFaults - 1, 60'000, 90'000);
  EXPECT_TRUE(trial.polls());
}

TEST(PollingTrialTest, EveryOtherTurnPolls) {
  PollingTrial trial;
  for (unsigned i = 0; i < PollingTrial::kTurns; ++i) {
    EXPECT_EQ(trial.polls(), i % 2 != 0);
    Answer(&trial, PollingTrial::kTurnFaults, 50'000, 100'000);
  }
  EXPECT_TRUE(trial.polls());
}

}  // namespace
}  // namespace userpager
