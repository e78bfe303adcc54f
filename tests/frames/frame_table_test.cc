#include "runtime/frames/frame_table.h"

#include <deque>
#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr PageCount kMost{64};

TEST(FrameTable, HandsOutEachEntryOnce) {
  FrameTable table;
  ASSERT_EQ(table.Init(kMost), 0);
  std::set<uint32_t> taken;
  for (uint64_t i = 0; i < kMost.value(); ++i) {
    const FrameIndex frame = table.Allocate(PageIndex(1000 + i));
    EXPECT_NE(frame, kNoFrame);
    EXPECT_TRUE(taken.insert(frame.value()).second);
    EXPECT_EQ(table[frame].page(), PageIndex(1000 + i));
    EXPECT_EQ(table[frame].list(), FrameListId::kNone);
    EXPECT_EQ(table[frame].slot, kNoSlot);
  }
  EXPECT_EQ(table.in_use(), kMost);
}

TEST(FrameTable, GivesFreedEntriesOutCleanAgain) {
  FrameTable table;
  ASSERT_EQ(table.Init(PageCount(2)), 0);
  const FrameIndex first = table.Allocate(PageIndex(1));
  const FrameIndex second = table.Allocate(PageIndex(2));
  table[first].slot = SlotIndex(9);
  table[first].place = 7;
  table[first].set_executable(true);
  table.Free(first);
  EXPECT_EQ(table.in_use().value(), 1u);
  const FrameIndex again = table.Allocate(PageIndex(3));
  EXPECT_EQ(again, first);
  EXPECT_EQ(table[again].page(), PageIndex(3));
  EXPECT_EQ(table[again].slot, kNoSlot);
  EXPECT_EQ(table[again].place, 0u);
  EXPECT_FALSE(table[again].executable());
  EXPECT_EQ(table[second].page(), PageIndex(2));
}

TEST(FrameTable, FieldsOfAFrameAreApart) {
  Frame frame{};
  const PageIndex highest((uint64_t{1} << 48) - 1);
  frame.set_page(highest);
  frame.set_list(FrameListId::kStandby);
  frame.set_executable(true);
  EXPECT_EQ(frame.page(), highest);
  EXPECT_EQ(frame.list(), FrameListId::kStandby);
  EXPECT_TRUE(frame.executable());
  frame.set_page(PageIndex(5));
  EXPECT_EQ(frame.list(), FrameListId::kStandby);
  EXPECT_TRUE(frame.executable());
  frame.set_list(FrameListId::kNone);
  frame.set_executable(false);
  EXPECT_EQ(frame.page(), PageIndex(5));
}

TEST(FrameTableDeathTest, RefusesMoreThanThereIsRoomFor) {
  FrameTable table;
  ASSERT_EQ(table.Init(PageCount(1)), 0);
  (void)table.Allocate(PageIndex(1));
  EXPECT_DEATH((void)table.Allocate(PageIndex(2)), "more frames than the machine has pages");
}

TEST(FrameTableDeathTest, RefusesToFreeWhatIsOnAList) {
  FrameTable table;
  ASSERT_EQ(table.Init(kMost), 0);
  FrameList list(FrameListId::kModified);
  const FrameIndex frame = table.Allocate(PageIndex(1));
  list.PushYoungest(table, frame);
  EXPECT_DEATH(table.Free(frame), "a frame was freed that is on a list");
}

TEST(FrameListDeathTest, RefusesASecondList) {
  FrameTable table;
  ASSERT_EQ(table.Init(kMost), 0);
  FrameList modified(FrameListId::kModified);
  FrameList standby(FrameListId::kStandby);
  const FrameIndex frame = table.Allocate(PageIndex(1));
  modified.PushYoungest(table, frame);
  EXPECT_DEATH(standby.PushYoungest(table, frame), "put on a second list");
  EXPECT_DEATH(modified.PushOldest(table, frame), "put on a second list");
  EXPECT_DEATH(standby.Remove(table, frame), "a list that it is not on");
}

TEST(FrameList, AgreesWithAQueueUnderRandomOperations) {
  FrameTable table;
  ASSERT_EQ(table.Init(kMost), 0);
  FrameList list(FrameListId::kWorkingSet);
  std::deque<FrameIndex> model;  // the oldest first
  std::vector<FrameIndex> outside;
  for (uint64_t i = 0; i < kMost.value(); ++i) outside.push_back(table.Allocate(PageIndex(i + 1)));
  std::mt19937_64 random(TestSeed());
  for (unsigned step = 0; step < 20000; ++step) {
    const uint64_t choice = random() % 4;
    if (choice < 2 && !outside.empty()) {
      const FrameIndex frame = outside.back();
      outside.pop_back();
      if (choice == 0) {
        list.PushYoungest(table, frame);
        model.push_back(frame);
      } else {
        list.PushOldest(table, frame);
        model.push_front(frame);
      }
      ASSERT_EQ(table[frame].list(), FrameListId::kWorkingSet);
    } else if (!model.empty()) {
      const auto at = model.begin() + static_cast<std::ptrdiff_t>(random() % model.size());
      const FrameIndex frame = *at;
      model.erase(at);
      outside.push_back(frame);
      list.Remove(table, frame);
      ASSERT_EQ(table[frame].list(), FrameListId::kNone);
    }
    ASSERT_EQ(list.count().value(), model.size());
    ASSERT_EQ(list.empty(), model.empty());
    ASSERT_EQ(list.oldest(), model.empty() ? kNoFrame : model.front());
  }
  // From the oldest to the youngest.
  while (!model.empty()) {
    ASSERT_EQ(list.oldest(), model.front());
    list.Remove(table, model.front());
    model.pop_front();
  }
  EXPECT_TRUE(list.empty());
}

}  // namespace
}  // namespace userpager
