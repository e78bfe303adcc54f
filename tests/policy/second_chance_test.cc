#include "runtime/policy/second_chance.h"

#include "gtest/gtest.h"

namespace userpager {
namespace {

class SecondChanceTest : public testing::Test {
 protected:
  static constexpr PageCount kMemory{1600};
  static constexpr PageCount kParked{1250};
  static constexpr PageCount kOut{5000};
  // After so many reads of what is out one parked page would be wanted, if it were like those.
  static constexpr uint64_t kReadsEach = kOut.value() / kParked.value();
  static constexpr uint64_t kLookReads = kReadsEach * SecondChance::kExpected;

  void Read(PageCount recent = PageCount(0), bool is_recent = false) {
    chance_.OnRead(kParked, kOut, kMemory, recent, is_recent);
  }
  // A look, in which parked pages are wanted so many times as expected, in quarters.
  void Look(uint64_t quarters) {
    for (uint64_t i = 0; i < kLookReads; ++i) {
      // A quarter too early rather than too late: the look ends with its last read.
      const uint64_t due = ((i + 1) * quarters + 4 * kReadsEach - 1) / (4 * kReadsEach);
      for (; rescued_ < due; ++rescued_) chance_.OnRescue();
      Read();
    }
    rescued_ = 0;
  }
  void Looks(unsigned count, uint64_t quarters) {
    for (unsigned i = 0; i < count; ++i) Look(quarters);
  }

  SecondChance chance_;
  uint64_t rescued_ = 0;
};

TEST_F(SecondChanceTest, PaysUntilThereIsEvidence) {
  EXPECT_TRUE(chance_.pays());
  Looks(SecondChance::kLooks - 1, 4);
  EXPECT_TRUE(chance_.pays());
  Look(4);
  EXPECT_FALSE(chance_.pays());
}

TEST_F(SecondChanceTest, PaysWhereParkedPagesAreUsedMore) {
  Looks(4 * SecondChance::kLooks, 6);
  EXPECT_TRUE(chance_.pays());
}

TEST_F(SecondChanceTest, DoesNotWhereTheyAreNotUsedAtAll) {
  Looks(SecondChance::kLooks, 0);
  EXPECT_FALSE(chance_.pays());
}

TEST_F(SecondChanceTest, OneLookThatSaysYesBeginsAnew) {
  Looks(SecondChance::kLooks - 1, 4);
  Look(6);
  Looks(SecondChance::kLooks - 1, 4);
  EXPECT_TRUE(chance_.pays());
}

// It takes more to be asked again than to go on being asked, so that chance does not decide.
TEST_F(SecondChanceTest, AQuarterMoreIsNoReasonToAskAgain) {
  Looks(SecondChance::kLooks, 4);
  Looks(4, 5);
  EXPECT_FALSE(chance_.pays());
  Look(7);
  EXPECT_TRUE(chance_.pays());
}

TEST_F(SecondChanceTest, ManyTouchesEndALookEarly) {
  Looks(SecondChance::kLooks, 4);
  Read();
  constexpr uint64_t kMany = SecondChance::kExpected * 6 / 4;
  for (uint64_t i = 0; i + 1 < kMany; ++i) chance_.OnRescue();
  EXPECT_FALSE(chance_.pays());
  chance_.OnRescue();
  EXPECT_TRUE(chance_.pays());
}

// However many are expected at once, a look takes a part of the time in which memory is replaced.
TEST_F(SecondChanceTest, ALookTakesAShareOfMemory) {
  constexpr PageCount kLarge{16 * 4000};
  for (unsigned i = 0; i < SecondChance::kLooks * 4000 - 1; ++i) {
    chance_.OnRead(PageCount(1000), PageCount(1000), kLarge, PageCount(0), false);
  }
  EXPECT_TRUE(chance_.pays());
  chance_.OnRead(PageCount(1000), PageCount(1000), kLarge, PageCount(0), false);
  EXPECT_FALSE(chance_.pays());
}

// Those that left a short time ago, as many as are parked, are wanted as often as all others: that
// is no reason; twice as often is one.
TEST_F(SecondChanceTest, WhatIsReadAgainSoonCountsWhileNobodyIsAsked) {
  Looks(SecondChance::kLooks, 0);
  for (uint64_t i = 0; i < 4 * kLookReads; ++i) {
    Read(kParked, i % kReadsEach == 0);
    if (i % kReadsEach == 0) chance_.OnRescue();
  }
  EXPECT_FALSE(chance_.pays());
  for (uint64_t i = 0; i < 4 * kLookReads && !chance_.pays(); ++i) {
    Read(kParked, i % kReadsEach < 2);
    if (i % kReadsEach < 2) chance_.OnRescue();
  }
  EXPECT_TRUE(chance_.pays());
}

TEST_F(SecondChanceTest, WhatIsReadAgainSoonSaysNothingWhileAllAreAsked) {
  for (uint64_t i = 0; i < SecondChance::kLooks * kLookReads; ++i) Read(kParked, true);
  EXPECT_FALSE(chance_.pays());
}

TEST_F(SecondChanceTest, AllAreAskedAgainAfterALongTime) {
  Looks(SecondChance::kLooks, 4);
  const uint64_t again = SecondChance::kAgain * kMemory.value();
  uint64_t reads = 0;
  for (; !chance_.pays() && reads < 2 * again; ++reads) {
    Read();
    if (reads % kReadsEach == 0) chance_.OnRescue();
  }
  EXPECT_EQ(reads, again);
  Looks(SecondChance::kLooks, 4);
  EXPECT_FALSE(chance_.pays());
}

// Of a large memory, out of which hardly anything is.
TEST_F(SecondChanceTest, CountsDoNotOverflow) {
  constexpr PageCount kLarge{uint64_t{1} << 24};
  for (uint64_t i = 0; i < SecondChance::kLooks * kLarge.value() / SecondChance::kReadShare; ++i) {
    chance_.OnRescue();
    chance_.OnRescue();
    chance_.OnRead(kLarge, PageCount(16), kLarge, PageCount(0), false);
    ASSERT_TRUE(chance_.pays()) << i;
  }
}

TEST_F(SecondChanceTest, NothingIsKnownWhereNothingIsOut) {
  for (unsigned i = 0; i < 100'000; ++i) {
    chance_.OnRead(kParked, PageCount(0), kMemory, PageCount(0), false);
  }
  EXPECT_TRUE(chance_.pays());
}

}  // namespace
}  // namespace userpager
