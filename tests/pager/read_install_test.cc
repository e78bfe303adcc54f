// Which pages of reads are installed together.
#include "runtime/pager/read_install.h"

#include "gtest/gtest.h"
#include "runtime/page_file/page_file.h"
#include "runtime/platform/linux_page_platform.h"

namespace userpager {
namespace {

class ReadInstallTest : public testing::Test {
 protected:
  // A read of pages that are so far from each other.
  static Transfer ReadOf(PageIndex first, uint64_t distance) {
    Transfer transfer;
    transfer.kind = TransferKind::kRead;
    transfer.count = kTransferPages;
    for (unsigned i = 0; i < kTransferPages; ++i) {
      transfer.pages[i] = first + PageCount(i * distance);
    }
    return transfer;
  }
  void Add(const Transfer& transfer, unsigned i, bool writable = false) {
    work_.Add(transfer, i, stripe_, PageIndex(1000) + PageCount(i), writable);
  }
  void AddAll(const Transfer& transfer) {
    for (unsigned i = 0; i < kTransferPages; ++i) Add(transfer, i);
  }

  LinuxPagePlatform platform_;
  PageFile file_;
  Stripe stripe_;
  Stripe other_stripe_;
  ReadInstall work_{platform_, file_};
};

TEST_F(ReadInstallTest, NeighboursAreOnePart) {
  const Transfer transfer = ReadOf(PageIndex(16), 1);
  work_.Begin(7, 5);
  AddAll(transfer);
  ASSERT_EQ(work_.reads().size(), 1u);
  const ReadInstall::Read& read = work_.reads()[0];
  EXPECT_EQ(read.transfer, 7u);
  EXPECT_EQ(read.result, 5);
  ASSERT_EQ(read.parts().size(), 4u);
  EXPECT_EQ(read.end_part, 4u);
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(read.parts()[i].first, 16 * i);
    EXPECT_EQ(read.parts()[i].count, 16u);
    EXPECT_EQ(read.parts()[i].memory, PageIndex(1000 + 16 * i));
    EXPECT_EQ(read.parts()[i].done, 0u);
  }
}

TEST_F(ReadInstallTest, WhatDiffersBeginsAnother) {
  const Transfer transfer = ReadOf(PageIndex(16), 1);
  work_.Begin(1, 0);
  Add(transfer, 0);
  Add(transfer, 1);
  Add(transfer, 3);        // 2 is left out
  Add(transfer, 4, true);  // for a store
  Add(transfer, 5);
  work_.Add(transfer, 6, other_stripe_, PageIndex(1006), false);
  const auto parts = work_.reads()[0].parts();
  ASSERT_EQ(parts.size(), 5u);
  EXPECT_EQ(parts[0].count, 2u);
  for (unsigned i = 1; i < 5; ++i) {
    EXPECT_EQ(parts[i].first, i + 2);
    EXPECT_EQ(parts[i].count, 1u);
    EXPECT_EQ(parts[i].writable, i == 2);
  }
}

// The first page of a read is no neighbour of the last one of another.
TEST_F(ReadInstallTest, EachReadHasItsOwnParts) {
  const Transfer first = ReadOf(PageIndex(16), 1);
  const Transfer second = ReadOf(PageIndex(16) + PageCount(kTransferPages), 1);
  work_.Begin(1, 0);
  Add(first, 0);
  work_.Begin(2, 0);
  work_.Begin(3, 0);
  Add(second, 1);
  ASSERT_EQ(work_.reads().size(), 3u);
  EXPECT_EQ(work_.reads()[0].end_part, 1u);
  EXPECT_TRUE(work_.reads()[1].parts().empty());
  EXPECT_EQ(work_.reads()[1].end_part, 1u);
  ASSERT_EQ(work_.reads()[2].parts().size(), 1u);
  EXPECT_EQ(work_.reads()[2].parts()[0].first, 1u);
  EXPECT_EQ(work_.reads()[2].parts()[0].transfer, &second);
  EXPECT_EQ(work_.reads()[2].end_part, 2u);
  EXPECT_EQ(work_.part_count(), 2u);
}

// Pages that are no neighbours take a part each; what finds none is left to the shard.
TEST_F(ReadInstallTest, NoMorePartsThanThereAre) {
  const Transfer transfer = ReadOf(PageIndex(16), 2);
  constexpr unsigned kReads = HelperThread::kMostParts / kTransferPages;
  for (unsigned i = 0; i < kReads; ++i) {
    work_.Begin(1, 0);
    AddAll(transfer);
    EXPECT_EQ(work_.reads()[i].parts().size(), kTransferPages);
  }
  EXPECT_EQ(work_.part_count(), HelperThread::kMostParts);
  work_.Begin(2, 0);
  AddAll(transfer);
  EXPECT_EQ(work_.part_count(), HelperThread::kMostParts);
  EXPECT_TRUE(work_.reads()[kReads].parts().empty());
  EXPECT_EQ(work_.reads()[kReads].end_part, HelperThread::kMostParts);
}

TEST_F(ReadInstallTest, KnowsWhereWhatIsAwaitedEnds) {
  const Transfer transfer = ReadOf(PageIndex(16), 1);
  EXPECT_EQ(work_.awaited_end(), 0u);
  work_.Begin(1, 0);
  AddAll(transfer);
  EXPECT_EQ(work_.awaited_end(), 0u);
  work_.Begin(2, 0);
  AddAll(transfer);
  work_.NoteAwaited();
  work_.Begin(3, 0);
  AddAll(transfer);
  EXPECT_EQ(work_.awaited_end(), 8u);
  EXPECT_EQ(work_.part_count(), 12u);
  work_.Clear();
  EXPECT_EQ(work_.awaited_end(), 0u);
  EXPECT_EQ(work_.part_count(), 0u);
  EXPECT_TRUE(work_.reads().empty());
}

}  // namespace
}  // namespace userpager
