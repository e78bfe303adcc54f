#include "runtime/policy/hot_set.h"

#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace userpager {
namespace {

// Stands for the shard: pages are numbers, each is in memory, parked or out.
class HotSetTest : public testing::Test {
 protected:
  static constexpr uint64_t kMemory = 768;
  // Shares of it, as hot_set.cc has them.
  static constexpr uint64_t kMappedFresh = kMemory / 24;
  static constexpr uint64_t kLeastFresh = kMemory / 32;
  static constexpr uint64_t kOnTrial = kMemory / 6;

  void SetUp() override { ASSERT_EQ(table_.Init(PageCount(4 * kMemory)), 0); }

  void Bring(uint64_t page, Arrival arrival = Arrival::kHardFault) {
    const FrameIndex frame = table_.Allocate(PageIndex(page));
    frames_[page] = frame;
    policy_.Enter(frame, arrival, histories_[page]);
  }
  void BringAll(uint64_t first, uint64_t count, Arrival arrival = Arrival::kHardFault) {
    for (uint64_t page = first; page < first + count; ++page) Bring(page, arrival);
  }
  // The page leaves the working set and its memory.
  void PushOut(uint64_t page) {
    histories_[page] = policy_.Leave(frames_[page]);
    table_.Free(frames_[page]);
    frames_.erase(page);
  }
  uint64_t VictimPage() {
    const FrameIndex victim = policy_.Victim(unmapped_);
    return victim == kNoFrame ? 0 : table_[victim].page().value();
  }
  // The page leaves for the parked lists, as the shard's bookkeeping sees it.
  void Park(uint64_t page) {
    PushOut(page);
    ++(histories_[page].on_trial() ? unmapped_.on_trial : unmapped_.others);
  }
  uint64_t ParkNext() {
    const uint64_t page = VictimPage();
    Park(page);
    return page;
  }
  void Touch(uint64_t page) {
    --(histories_[page].on_trial() ? unmapped_.on_trial : unmapped_.others);
    Bring(page, Arrival::kSoftFault);
  }
  // Makes so many pages proven: each is parked, and touched there.
  void MakeProven(uint64_t first, uint64_t count) {
    BringAll(first, count);
    for (uint64_t page = first; page < first + count; ++page) {
      Park(page);
      Touch(page);
    }
  }
  // Whether it is one of those that a page on trial comes from: seen by what Leave says of it.
  bool IsProven(uint64_t page) {
    const PageHistory history = policy_.Leave(frames_[page]);
    policy_.Enter(frames_[page], history.on_trial() ? Arrival::kSoftFault : Arrival::kReturned,
                  PageHistory());
    return history.on_trial();
  }

  FrameTable table_;
  HotSet policy_{table_};
  UnmappedPages unmapped_;
  std::map<uint64_t, FrameIndex> frames_;
  std::map<uint64_t, PageHistory> histories_;
};

TEST_F(HotSetTest, HasNoVictimWhileEmpty) {
  EXPECT_EQ(policy_.Victim(unmapped_), kNoFrame);
  EXPECT_EQ(policy_.count(), PageCount(0));
  EXPECT_EQ(policy_.ParkTarget(unmapped_), PageCount(0));
  EXPECT_FALSE(policy_.DropsTrial(unmapped_));
}

TEST_F(HotSetTest, FreshPagesLeaveInTheOrderTheyCame) {
  BringAll(1, kMemory);
  for (uint64_t page = 1; page <= kMemory / 2; ++page) {
    ASSERT_EQ(VictimPage(), page);
    ASSERT_EQ(ParkNext(), page);
  }
}

// The youngest stay mapped; everything else is where a touch can be seen.
TEST_F(HotSetTest, AllFreshPagesButTheYoungestAreToBeParked) {
  BringAll(1, kMemory);
  EXPECT_EQ(policy_.ParkTarget(unmapped_), PageCount(kMemory - kMappedFresh));
  for (uint64_t i = 0; i < 100; ++i) (void)ParkNext();
  // What is parked counts as memory too, so the target stays.
  EXPECT_EQ(policy_.ParkTarget(unmapped_), PageCount(kMemory - kMappedFresh));
}

TEST_F(HotSetTest, APageThatIsTouchedWhileParkedIsProven) {
  BringAll(1, kMemory);
  ASSERT_EQ(ParkNext(), 1u);
  Touch(1);
  EXPECT_TRUE(IsProven(1));
  EXPECT_FALSE(IsProven(2));
}

TEST_F(HotSetTest, AScanDoesNotReachProvenPages) {
  constexpr uint64_t kHot = kMemory / 2;
  MakeProven(1, kHot);
  BringAll(1000, kMemory - kHot);
  // Four times as many pages as memory pass through, each once.
  for (uint64_t page = 2000; page < 2000 + 4 * kMemory; ++page) {
    const uint64_t parked = ParkNext();
    ASSERT_GE(parked, 1000u) << "after " << page - 2000;
    ASSERT_FALSE(policy_.DropsTrial(unmapped_));
    policy_.Dropped(histories_[parked]);
    --unmapped_.others;
    Bring(page);
  }
}

TEST_F(HotSetTest, APageThatWasReadAheadIsNotProvenByItsFirstTouch) {
  BringAll(1, kMemory, Arrival::kReadAhead);
  ASSERT_EQ(ParkNext(), 1u);
  Touch(1);
  EXPECT_FALSE(IsProven(1));
  // The second touch counts.
  Park(1);
  Touch(1);
  EXPECT_TRUE(IsProven(1));
}

// Whether a page that was dropped when `passed` others had come is proven when it is read again.
class HotSetRefaultTest : public HotSetTest {
 protected:
  bool IsProvenAfter(uint64_t passed, Arrival arrival) {
    BringAll(1, kMemory);
    (void)policy_.ParkTarget(unmapped_);
    PushOut(1);
    for (uint64_t i = 0; i < passed; ++i) {
      PushOut(VictimPage());
      Bring(10'000 + i);
    }
    Bring(1, arrival);
    return IsProven(1);
  }
};

TEST_F(HotSetRefaultTest, SoonIsHot) {
  EXPECT_TRUE(IsProvenAfter(kMemory / 8, Arrival::kHardFault));
}

TEST_F(HotSetRefaultTest, LateIsFresh) {
  EXPECT_FALSE(IsProvenAfter(kMemory, Arrival::kHardFault));
}

TEST_F(HotSetRefaultTest, WhatNobodyAskedForIsFresh) {
  EXPECT_FALSE(IsProvenAfter(kMemory / 8, Arrival::kReadAhead));
}

// A page that never left memory has shown nothing.
TEST_F(HotSetRefaultTest, WhatReturnsIsFresh) {
  EXPECT_FALSE(IsProvenAfter(kMemory / 8, Arrival::kReturned));
}

TEST_F(HotSetTest, ALoopThatDoesNotFitKeepsAPart) {
  constexpr uint64_t kLoop = 4 * kMemory;
  uint64_t hits = 0;
  uint64_t dropped = 0;
  for (uint64_t i = 0; i < 20 * kLoop; ++i) {
    const uint64_t page = i % kLoop + 1;
    if (frames_.contains(page)) {
      hits += i >= 19 * kLoop;
      continue;
    }
    if (frames_.size() == kMemory) {
      PushOut(VictimPage());
      ++dropped;
    }
    Bring(page);
  }
  // Any queue by age alone would have none.
  EXPECT_GE(hits, kMemory / 3);
  EXPECT_GE(dropped, kLoop);
}

class HotSetTrialTest : public HotSetTest {
 protected:
  // Memory of proven pages alone, but for as few fresh ones as are left when trials begin.
  void SetUp() override {
    HotSetTest::SetUp();
    MakeProven(1, kProven);
    BringAll(10'000, kMemory - kProven);
  }
  static constexpr uint64_t kProven = kMemory - kLeastFresh;
};

TEST_F(HotSetTrialTest, TheOldestGoOnTrialAndThereAreFew) {
  const PageCount fresh_mapped = PageCount(kLeastFresh);
  EXPECT_EQ(policy_.ParkTarget(unmapped_), PageCount(kOnTrial));
  for (uint64_t page = 1; page <= kOnTrial; ++page) {
    ASSERT_EQ(ParkNext(), page);
    ASSERT_TRUE(histories_[page].on_trial());
  }
  EXPECT_EQ(policy_.ParkTarget(unmapped_), PageCount(kOnTrial));
  EXPECT_EQ(policy_.count(), PageCount(kProven - kOnTrial) + fresh_mapped);
}

TEST_F(HotSetTrialTest, WhatIsTouchedOnTrialIsYoungAgain) {
  ASSERT_EQ(ParkNext(), 1u);
  Touch(1);
  EXPECT_TRUE(IsProven(1));
  EXPECT_EQ(VictimPage(), 2u);
}

// With more fresh pages than their target these go first, however long a trial has lasted.
TEST_F(HotSetTrialTest, FreshPagesAreDroppedFirstWhileThereAreMany) {
  for (uint64_t i = 0; i < kOnTrial; ++i) (void)ParkNext();
  EXPECT_TRUE(policy_.DropsTrial(unmapped_));
  unmapped_.others += PageCount(kMemory);
  EXPECT_FALSE(policy_.DropsTrial(unmapped_));
}

TEST_F(HotSetTrialTest, FailedTrialsGiveFreshPagesMoreAndPassedOnesLess) {
  (void)policy_.ParkTarget(unmapped_);
  const PageCount least = policy_.fresh_target();
  EXPECT_EQ(least, PageCount(kLeastFresh));
  for (uint64_t i = 0; i < 60; ++i) policy_.Dropped(PageHistory(0, PageHistory::Kind::kOnTrial));
  EXPECT_EQ(policy_.fresh_target(), least + PageCount(60));
  // Pages that were not on trial say nothing.
  policy_.Dropped(PageHistory(0, PageHistory::Kind::kPlain));
  EXPECT_EQ(policy_.fresh_target(), least + PageCount(60));
  for (uint64_t i = 0; i < 10; ++i) {
    ASSERT_EQ(VictimPage(), i + 1);
    Touch(ParkNext());
  }
  EXPECT_EQ(policy_.fresh_target(), least + PageCount(30));
  for (uint64_t i = 0; i < 10 * kMemory; ++i) {
    policy_.Dropped(PageHistory(0, PageHistory::Kind::kOnTrial));
  }
  EXPECT_EQ(policy_.fresh_target(), PageCount(kMemory / 2));
}

// Where pages cannot leave, every page is asked in the end, of whichever kind it is.
TEST_F(HotSetTrialTest, SparedVictimsLeaveNobodyOut) {
  std::set<uint64_t> asked;
  for (uint64_t i = 0; i < 3 * kMemory; ++i) {
    const uint64_t page = VictimPage();
    asked.insert(page);
    policy_.Spare(frames_[page]);
  }
  EXPECT_EQ(asked.size(), kMemory);
  EXPECT_EQ(policy_.count(), PageCount(kMemory));
}

TEST_F(HotSetTest, NeighboursLeaveOnlyWithTheirLike) {
  MakeProven(1, kMemory / 2);
  BringAll(1000, kMemory / 2);
  // The older half of the same generation.
  EXPECT_TRUE(policy_.LeavesWith(frames_[1010], frames_[1000]));
  EXPECT_FALSE(policy_.LeavesWith(frames_[1000 + kMemory / 2 - 1], frames_[1000]));
  EXPECT_TRUE(policy_.LeavesWith(frames_[10], frames_[1]));
  EXPECT_FALSE(policy_.LeavesWith(frames_[kMemory / 2], frames_[1]));
  EXPECT_FALSE(policy_.LeavesWith(frames_[1010], frames_[1]));
  EXPECT_FALSE(policy_.LeavesWith(frames_[10], frames_[1000]));
}

// A program that reads pages that are out, and now and then one that is parked.
class HotSetReaderTest : public HotSetTest {
 protected:
  static constexpr uint64_t kParked = kMemory / 2;
  static constexpr uint64_t kOut = 3 * kMemory;
  // After so many reads a parked page would be wanted, if it were like those that are out.
  static constexpr uint64_t kReadsEach = kOut / kParked;
  static constexpr uint64_t kAskedShare = 32;
  static constexpr uint64_t kAsked = kMemory / kAskedShare;

  void SetUp() override {
    HotSetTest::SetUp();
    unmapped_.out = PageCount(kOut);
    BringAll(1, kMemory);
    while (unmapped_.others < PageCount(kParked)) queue_.push_back(ParkNext());
  }
  // Parked pages are wanted so many times as often as those that are out, in halves.
  void Read(uint64_t reads, uint64_t halves) {
    for (uint64_t i = 1; i <= reads; ++i) {
      Bring(next_++);
      PushOut(VictimPage());
      if (i * halves / (2 * kReadsEach) == (i - 1) * halves / (2 * kReadsEach)) continue;
      Touch(queue_.front());
      MakeFresh(queue_.front());
      queue_.pop_front();
      queue_.push_back(ParkNext());
    }
  }
  // So that what is proven stays as it is.
  void MakeFresh(uint64_t page) {
    PushOut(page);
    histories_[page] = PageHistory();
    Bring(page, Arrival::kDemandZero);
  }
  // Memory stays as large.
  void SetParked(uint64_t pages) {
    for (; unmapped_.others > PageCount(pages); --unmapped_.others) {
      queue_.pop_front();
      Bring(next_++);
    }
    while (unmapped_.others < PageCount(pages)) queue_.push_back(ParkNext());
  }
  bool LeavesUnasked(uint64_t page) {
    (void)VictimPage();  // looks at what is parked
    return policy_.LeavesUnasked(frames_[page]);
  }
  uint64_t Youngest() const { return next_ - 1; }

  static constexpr uint64_t kManyReads =
      2 * SecondChance::kLooks * SecondChance::kExpected * kReadsEach;
  std::deque<uint64_t> queue_;
  uint64_t next_ = 10'000;
};

TEST_F(HotSetReaderTest, WhereAllAreUsedAlikeFreshPagesLeaveUnasked) {
  EXPECT_FALSE(LeavesUnasked(kMemory));
  Read(kManyReads, 2);
  EXPECT_TRUE(LeavesUnasked(Youngest()));
  // Proven pages are asked all the same.
  const uint64_t proven = queue_.front();
  Touch(proven);
  EXPECT_FALSE(LeavesUnasked(proven));
}

TEST_F(HotSetReaderTest, WhereParkedOnesAreUsedMoreAllAreAsked) {
  Read(kManyReads, 4);
  EXPECT_FALSE(LeavesUnasked(Youngest()));
  EXPECT_FALSE(policy_.DropsVictim());
}

TEST_F(HotSetReaderTest, SomeAreAskedSoThatAChangeIsSeen) {
  Read(kManyReads, 2);
  EXPECT_EQ(policy_.ParkTarget(unmapped_), PageCount(kAsked));
  SetParked(kAsked - 1);
  EXPECT_FALSE(LeavesUnasked(Youngest()));
  SetParked(kAsked);
  EXPECT_TRUE(LeavesUnasked(Youngest()));
  SetParked(kParked);
  Read(kManyReads, 4);
  EXPECT_FALSE(LeavesUnasked(Youngest()));
}

// What is parked already goes first, then what is mapped; but one in eight is one that was asked.
TEST_F(HotSetReaderTest, FewParkedPagesAreKeptAndReplaced) {
  Read(kManyReads, 2);
  (void)VictimPage();
  EXPECT_FALSE(policy_.DropsVictim());
  SetParked(2 * kAsked - 1);
  uint64_t unasked = 0;
  uint64_t asked = 0;
  for (uint64_t i = 0; i < 3 * kMemory; ++i) {
    Bring(next_++);
    const uint64_t page = VictimPage();
    if (policy_.DropsVictim()) {
      policy_.LeftUnasked();
      PushOut(page);
      ++unasked;
    } else {
      policy_.Dropped(PageHistory());
      Park(page);
      --unmapped_.others;
      ++asked;
    }
  }
  constexpr uint64_t kMostAhead = 64;
  EXPECT_LE(asked, unasked / 7 + kMostAhead);
  EXPECT_GE(asked, unasked / 7 - kMostAhead);
}

class HotSetStreamTest : public HotSetTest {
 protected:
  static constexpr uint64_t kBehind = kLeastFresh / 4;  // what streams keep, as hot_set.cc has it
  static constexpr uint64_t kStream = 10'000;           // pages from here on are a stream's

  // What was there before: memory is full of it, and asked for.
  void SetUp() override {
    HotSetTest::SetUp();
    BringAll(1, kMemory);
    ASSERT_EQ(VictimPage(), 1u);
  }
  // A stream reads the page, uses it and goes on.
  void Stream(uint64_t page) {
    const FrameIndex frame = table_.Allocate(PageIndex(page));
    table_[frame].set_streamed(true);
    frames_[page] = frame;
    policy_.Enter(frame, Arrival::kReadAhead, histories_[page]);
    policy_.PassedBy(frame);
  }
  // One page of memory becomes free, as page-out does it. Whether a stream had read it.
  bool Free() {
    const bool behind = policy_.DropsVictim();
    const uint64_t page = behind ? VictimPage() : ParkNext();
    if (behind) {
      PushOut(page);
    } else {
      policy_.Dropped(histories_[page]);
      --unmapped_.others;
    }
    return page >= kStream;
  }
  // Returns how many were dropped behind the stream meanwhile.
  uint64_t StreamAndFree(uint64_t first, uint64_t count) {
    uint64_t behind = 0;
    for (uint64_t page = first; page < first + count; ++page) {
      Stream(page);
      behind += policy_.DropsVictim();
      (void)Free();
    }
    return behind;
  }
};

TEST_F(HotSetStreamTest, PassesWhatWasThereBefore) {
  constexpr uint64_t kLength = 4 * kMemory;
  uint64_t others = 0;
  for (uint64_t page = kStream; page < kStream + kLength; ++page) {
    Stream(page);
    if (Free()) {
      ASSERT_EQ(frames_.count(page - kBehind + 1), 1u);
    } else {
      ++others;
    }
  }
  // But one in eight is another, as that may be out of use: sooner or later by so many at most.
  constexpr uint64_t kMostAhead = 64;
  EXPECT_LE(others, kLength / 8 + kMostAhead);
  EXPECT_GE(others, kLength / 8 - kMostAhead);
}

TEST_F(HotSetStreamTest, WhatWasReadAheadAndNotUsedIsNotBehind) {
  for (uint64_t page = kStream; page < kStream + 2 * kBehind; ++page) {
    Bring(page, Arrival::kReadAhead);
    ASSERT_FALSE(policy_.DropsVictim());
  }
  EXPECT_EQ(VictimPage(), 1u);
}

TEST_F(HotSetStreamTest, WhatIsFarBehindIsAskedWhereMemoryIsNotWanted) {
  for (uint64_t page = kStream; page < kStream + 3 * kBehind; ++page) Stream(page);
  for (uint64_t page = kStream; page < kStream + 3 * kBehind; ++page) {
    const uint64_t behind = kStream + 3 * kBehind - 1 - page;
    const bool is_streamed = table_[frames_[page]].streamed();
    ASSERT_TRUE(is_streamed || behind >= kBehind) << behind;
    ASSERT_FALSE(is_streamed && behind > 2 * kBehind + 16) << behind;
  }
}

TEST_F(HotSetStreamTest, WhatItReadsAgainSoonIsProven) {
  StreamAndFree(kStream, kMemory / 2);
  ASSERT_EQ(frames_.count(kStream + 1), 0u);
  Stream(kStream + 1);
  EXPECT_TRUE(IsProven(kStream + 1));
}

TEST_F(HotSetStreamTest, WhatItReadsAgainAfterLongIsNot) {
  // Not a length at which some are kept whatever they are (a sample).
  StreamAndFree(kStream, 2 * kMemory + kMemory / 8);
  ASSERT_EQ(frames_.count(kStream + 1), 0u);
  Stream(kStream + 1);
  EXPECT_FALSE(IsProven(kStream + 1));
}

// A page that was passed by and that somebody asks for soon was worth its memory.
TEST_F(HotSetStreamTest, NothingIsDroppedBehindStreamsThatComeBackSoon) {
  uint64_t next = kStream;
  const auto pass = [&](uint64_t count) { return StreamAndFree(std::exchange(next, next + count),
                                                               count); };
  ASSERT_GT(pass(kMemory), kMemory / 2);
  for (uint64_t page = next - kMemory / 2; page < next; ++page) {
    if (frames_.count(page) == 0) Bring(page);
  }
  (void)pass(kMemory / 2);
  EXPECT_EQ(pass(kMemory / 8), 0u);
  // Until half of memory has been replaced.
  (void)pass(kMemory / 2);
  EXPECT_GT(pass(kMemory / 8), 0u);
}

}  // namespace
}  // namespace userpager
