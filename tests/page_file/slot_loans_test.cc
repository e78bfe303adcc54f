// Slots that are lent to forked children; here a child is the held end of a life line.
#include "runtime/page_file/slot_loans.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/page_file/slot_map.h"
#include "runtime/platform/descriptors.h"
#include "runtime/platform/life_line.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr uint32_t kSlots = 1000;

SlotIndex Slot(uint64_t value) { return SlotIndex(static_cast<uint32_t>(value)); }

class SlotLoansTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(map_.Init(PageCount(kSlots)), 0);
    map_.Extend(Slot(kSlots + 1));
  }
  void TearDown() override { EXPECT_TRUE(map_.CheckConsistency()); }

  // Lends what is in use; what Descriptors::Close of the result ends.
  int Lend() {
    int watched = -1;
    int held = -1;
    EXPECT_EQ(LifeLine::Make(&watched, &held), 0);
    EXPECT_EQ(map_.Lend(watched), 0);
    return held;
  }

  SlotMap map_;
};

TEST_F(SlotLoansTest, WhatIsLentIsKeptUntilItsBorrowerHasGone) {
  const SlotRun run = map_.AllocateRun(PageCount(100));
  ASSERT_EQ(run.count, PageCount(100));
  const int held = Lend();
  const SlotRun later = map_.AllocateRun(PageCount(10));
  map_.Free(run.first, PageCount(60));
  map_.Free(later.first, later.count);
  EXPECT_EQ(map_.used(), PageCount(100));
  EXPECT_EQ(map_.kept(), PageCount(60));
  map_.EndLoans();
  EXPECT_EQ(map_.kept(), PageCount(60)) << "the borrower lives";
  // Nobody else gets them.
  const SlotRun rest = map_.AllocateRun(PageCount(kSlots));
  for (uint64_t i = 0; i < rest.count.value(); ++i) {
    const SlotIndex slot = rest.first + PageCount(i);
    EXPECT_TRUE(slot < run.first || slot >= run.first + run.count) << slot.value();
  }
  map_.Free(rest.first, rest.count);
  Descriptors::Close(held);
  EXPECT_EQ(map_.used(), PageCount(100)) << "nobody has looked yet";
  map_.EndLoans();
  EXPECT_EQ(map_.used(), PageCount(40));
  EXPECT_EQ(map_.kept(), PageCount(0));
}

TEST_F(SlotLoansTest, ASlotOfTwoBorrowersIsKeptForTheLast) {
  const SlotRun run = map_.AllocateRun(PageCount(64));
  const int first = Lend();
  const int second = Lend();
  map_.Free(run.first, run.count);
  EXPECT_EQ(map_.kept(), PageCount(64));
  const int third = Lend();  // borrows nothing: nobody owns them any more
  Descriptors::Close(first);
  map_.EndLoans();
  EXPECT_EQ(map_.kept(), PageCount(64));
  Descriptors::Close(second);
  map_.EndLoans();
  EXPECT_EQ(map_.used(), PageCount(0));
  Descriptors::Close(third);
  map_.EndLoans();
}

TEST_F(SlotLoansTest, ABorrowerThatIsKilledHasGone) {
  const SlotRun run = map_.AllocateRun(PageCount(5));
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const int held = Lend();
  const pid_t child = fork();
  if (child == 0) {
    (void)!write(ready[1], "x", 1);
    for (;;) pause();
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  Descriptors::Close(held);
  map_.Free(run.first, run.count);
  map_.EndLoans();
  EXPECT_EQ(map_.kept(), PageCount(5));
  kill(child, SIGKILL);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  map_.EndLoans();
  EXPECT_EQ(map_.used(), PageCount(0));
  close(ready[0]);
  close(ready[1]);
}

TEST_F(SlotLoansTest, AreBounded) {
  const SlotRun run = map_.AllocateRun(PageCount(1));
  int watched = -1;
  int held = -1;
  ASSERT_EQ(LifeLine::Make(&watched, &held), 0);
  for (unsigned i = 0; i < SlotLoans::kMost; ++i) {
    ASSERT_EQ(map_.Lend(Descriptors::Keep(dup(watched))), 0) << i;
  }
  EXPECT_EQ(map_.Lend(watched), EAGAIN);
  map_.Free(run.first, run.count);
  Descriptors::Close(held);
  map_.EndLoans();
  EXPECT_EQ(map_.used(), PageCount(0));
  EXPECT_TRUE(LifeLine::HasEnded(watched));
  Descriptors::Close(watched);
}

TEST_F(SlotLoansTest, TheChildsMapHasWhatItsParentHadInUse) {
  const SlotRun run = map_.AllocateRun(PageCount(100));
  const int before = Lend();
  map_.Free(run.first, PageCount(30));
  map_.Retire(run.first + PageCount(30));
  const int held = Lend();
  map_.BecomeBorrowed();
  EXPECT_EQ(map_.used(), PageCount(69));
  EXPECT_TRUE(map_.CheckConsistency());
  map_.Free(run.first + PageCount(31), PageCount(69));
  EXPECT_EQ(map_.used(), PageCount(0));
  Descriptors::Close(before);
  Descriptors::Close(held);
}

// What the file has got since was lent to nobody.
TEST(SlotLoans, SlotsThatCameAfterTheLoanAreNotLent) {
  SlotMap map;
  ASSERT_EQ(map.Init(PageCount(kSlots)), 0);
  map.Extend(Slot(65));
  ASSERT_EQ(map.AllocateRun(PageCount(64)).count, PageCount(64));
  int watched = -1;
  int held = -1;
  ASSERT_EQ(LifeLine::Make(&watched, &held), 0);
  ASSERT_EQ(map.Lend(watched), 0);
  map.Extend(Slot(kSlots + 1));
  const SlotRun later = map.AllocateRun(PageCount(500));
  map.Free(later.first, later.count);
  EXPECT_EQ(map.kept(), PageCount(0));
  EXPECT_EQ(map.used(), PageCount(64));
  EXPECT_TRUE(map.CheckConsistency());
  Descriptors::Close(held);
  map.EndLoans();
}

// Against a plain model of who may read which slot.
TEST_F(SlotLoansTest, RandomCallsAgainstAModel) {
  std::mt19937_64 random(TestSeed());
  std::set<uint32_t> owned;
  std::vector<std::pair<int, std::set<uint32_t>>> borrowers;
  for (unsigned i = 0; i < 3000; ++i) {
    switch (random() % 8) {
      case 0: case 1: case 2: {
        const SlotRun run = map_.AllocateRun(PageCount(1 + random() % 80));
        for (uint64_t k = 0; k < run.count.value(); ++k) {
          const uint32_t slot = (run.first + PageCount(k)).value();
          ASSERT_TRUE(owned.insert(slot).second);
          for (const auto& borrower : borrowers) {
            ASSERT_EQ(borrower.second.count(slot), 0u) << "slot " << slot << " is lent";
          }
        }
        break;
      }
      case 3: case 4: case 5:
        for (unsigned k = 0; k < 40 && !owned.empty(); ++k) {
          auto slot = owned.lower_bound(static_cast<uint32_t>(random() % kSlots));
          if (slot == owned.end()) slot = owned.begin();
          map_.Free(Slot(*slot), PageCount(1));
          owned.erase(slot);
        }
        break;
      case 6:
        if (borrowers.size() < 8) borrowers.emplace_back(Lend(), owned);
        break;
      case 7:
        if (borrowers.empty()) break;
        std::swap(borrowers[random() % borrowers.size()], borrowers.back());
        Descriptors::Close(borrowers.back().first);
        borrowers.pop_back();
        map_.EndLoans();
        break;
    }
    std::set<uint32_t> used = owned;
    for (const auto& borrower : borrowers) used.insert(borrower.second.begin(),
                                                       borrower.second.end());
    // What a borrower alone may read is used only where it was owned when it was lent.
    ASSERT_EQ(map_.used().value(), used.size());
    ASSERT_TRUE(map_.CheckConsistency());
  }
  for (const auto& borrower : borrowers) Descriptors::Close(borrower.first);
  map_.EndLoans();
  EXPECT_EQ(map_.used().value(), owned.size());
}

}  // namespace
}  // namespace userpager
