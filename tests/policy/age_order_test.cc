#include <vector>

#include "gtest/gtest.h"
#include "runtime/policy/age_order.h"

namespace userpager {
namespace {

class AgeOrderTest : public testing::Test {
 protected:
  static constexpr uint64_t kFrames = 16;
  static constexpr UnmappedPages kNothingParked{};

  void SetUp() override {
    ASSERT_EQ(table_.Init(PageCount(kFrames)), 0);
    for (uint64_t i = 0; i < kFrames; ++i) frames_.push_back(table_.Allocate(PageIndex(i + 1)));
  }
  void EnterAll() {
    for (const FrameIndex frame : frames_) order_.Enter(frame, Arrival::kDemandZero, PageHistory());
  }

  FrameTable table_;
  AgeOrder order_{table_, 0};
  AgeOrder clock_{table_, 25};
  std::vector<FrameIndex> frames_;
};

TEST_F(AgeOrderTest, HasNoVictimWhileEmpty) {
  EXPECT_EQ(order_.Victim(kNothingParked), kNoFrame);
  EXPECT_EQ(order_.count().value(), 0u);
}

TEST_F(AgeOrderTest, FramesLeaveInTheOrderTheyCame) {
  EnterAll();
  EXPECT_EQ(order_.count().value(), kFrames);
  for (const FrameIndex frame : frames_) {
    EXPECT_EQ(order_.Victim(kNothingParked), frame);
    // Until it leaves, it stays the victim.
    EXPECT_EQ(order_.Victim(kNothingParked), frame);
    EXPECT_EQ(order_.Leave(frame), PageHistory());
  }
  EXPECT_EQ(order_.Victim(kNothingParked), kNoFrame);
}

TEST_F(AgeOrderTest, ASparedVictimIsTheLastToBeAskedAgain) {
  EnterAll();
  order_.Spare(frames_[0]);
  EXPECT_EQ(order_.count().value(), kFrames);
  for (uint64_t i = 1; i < kFrames; ++i) {
    EXPECT_EQ(order_.Victim(kNothingParked), frames_[i]);
    (void)order_.Leave(frames_[i]);
  }
  EXPECT_EQ(order_.Victim(kNothingParked), frames_[0]);
}

TEST_F(AgeOrderTest, WhatComesBackIsYoung) {
  EnterAll();
  (void)order_.Leave(frames_[0]);
  order_.Enter(frames_[0], Arrival::kSoftFault, PageHistory());
  EXPECT_EQ(order_.Victim(kNothingParked), frames_[1]);
  EXPECT_FALSE(order_.LeavesWith(frames_[0], frames_[1]));
}

TEST_F(AgeOrderTest, TheOlderHalfIsCold) {
  EnterAll();
  EXPECT_TRUE(order_.LeavesWith(frames_[0], frames_[1]));
  EXPECT_TRUE(order_.LeavesWith(frames_[kFrames / 2 - 1], frames_[0]));
  EXPECT_FALSE(order_.LeavesWith(frames_[kFrames / 2 + 1], frames_[0]));
  EXPECT_FALSE(order_.LeavesWith(frames_[kFrames - 1], frames_[0]));
}

// The share is of all memory in use, so that it is the same whatever is parked already.
TEST_F(AgeOrderTest, KeepsItsShareOfMemoryParked) {
  for (const FrameIndex frame : frames_) {
    clock_.Enter(frame, Arrival::kDemandZero, PageHistory());
  }
  EXPECT_EQ(clock_.ParkTarget(kNothingParked), PageCount(kFrames / 4));
  constexpr UnmappedPages kSomeParked{PageCount(8), PageCount(0), PageCount(0)};
  EXPECT_EQ(clock_.ParkTarget(kSomeParked), PageCount((kFrames + 8) / 4));
  EXPECT_EQ(order_.ParkTarget(kSomeParked), PageCount(0));
}

}  // namespace
}  // namespace userpager
