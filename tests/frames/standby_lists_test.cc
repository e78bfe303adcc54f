#include "runtime/frames/standby_lists.h"

#include "gtest/gtest.h"

namespace userpager {
namespace {

TEST(StandbyLists, KeepsTheTwoKindsApartAndEachInOrder) {
  FrameTable table;
  ASSERT_EQ(table.Init(PageCount(8)), 0);
  StandbyLists lists;
  EXPECT_TRUE(lists.empty());
  FrameIndex frames[6];
  for (unsigned i = 0; i < 6; ++i) {
    frames[i] = table.Allocate(PageIndex(i + 1));
    lists.PushYoungest(table, frames[i], i % 2 == 1);
  }
  EXPECT_EQ(lists.count(), PageCount(6));
  EXPECT_EQ(lists.oldest(false), frames[0]);
  EXPECT_EQ(lists.oldest(true), frames[1]);
  lists.Remove(table, frames[0]);
  lists.Remove(table, frames[3]);
  EXPECT_EQ(lists.oldest(false), frames[2]);
  EXPECT_EQ(lists.oldest(true), frames[1]);
  lists.Remove(table, frames[1]);
  EXPECT_EQ(lists.oldest(true), frames[5]);
  lists.Remove(table, frames[5]);
  EXPECT_EQ(lists.oldest(true), kNoFrame);
  EXPECT_FALSE(lists.empty());
  lists.Remove(table, frames[2]);
  lists.Remove(table, frames[4]);
  EXPECT_TRUE(lists.empty());
  EXPECT_EQ(lists.count(), PageCount(0));
}

}  // namespace
}  // namespace userpager
