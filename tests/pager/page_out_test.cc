// What is to leave memory does, whatever else leaves at the same time.
#include "gtest/gtest.h"
#include "runtime/page_file/page_file.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class PageOut : public GatedPager {};

class FullPageFile : public testing::TestWithParam<Road> {
 protected:
  static constexpr uint64_t kLimitPages = 256;
};

// Fewer parked pages than make a write that is worth it for itself; without UFFDIO_MOVE all others
// are written from where they are, and with encryption through the same few buffers.
TEST_P(PageOut, FewParkedPagesAreWrittenToo) {
  for (uint64_t pages = 1; pages < 8; ++pages) {
    Vad* vad = ReserveFilled(pages);
    pager_->Turn();
    Trim(vad);
    ASSERT_TRUE(pager_->PushOut(*vad)) << pages;
    for (PageIndex page = vad->range.begin; page < vad->range.end; ++page) {
      EXPECT_TRUE(IsFilled(page)) << pages;
    }
  }
  EXPECT_TRUE(IsSound());
}

// All memory and all slots hold a page, but for what is held back: pages without a slot cannot
// leave until others give theirs up, and what the program uses would be read again and again.
TEST_P(FullPageFile, WhatIsUsedComesToStayInMemory) {
  constexpr uint64_t kUsed = 96;
  constexpr unsigned kRounds = 32;
  RunningPager pager;
  PagerOptions options = RunningPager::Options(GetParam(), kLimitPages);
  options.page_file_max_bytes = PageFile::kSmallestBytes;
  if (!pager.Start(options)) GTEST_SKIP() << pager.why();
  const uint64_t pages = pager->CommitLimitMost().value();
  Vad* const vad = pager.Reserve(pages);
  ASSERT_NE(vad, nullptr);
  for (uint64_t i = 0; i < pages; ++i) FirstWord(vad->range.begin + PageCount(i)) = i + 1;
  uint64_t reads = 0;  // of the last round
  for (unsigned round = 0; round < kRounds; ++round) {
    const uint64_t before = pager.Counters().pages_in.value();
    for (uint64_t i = 0; i < kUsed; ++i) {
      // Far apart, so that none is read ahead.
      const uint64_t page = i * 37 % kUsed;
      ASSERT_EQ(FirstWord(vad->range.begin + PageCount(page)), page + 1);
    }
    reads = pager.Counters().pages_in.value() - before;
  }
  EXPECT_LT(reads, kUsed / 4);
  for (uint64_t i = 0; i < pages; ++i) {
    ASSERT_EQ(FirstWord(vad->range.begin + PageCount(i)), i + 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Roads, FullPageFile,
                         testing::Values(Road{}, Road{.encrypt = true}, Road{.move = false},
                                         Road{.replacement = ReplacementKind::kFifo},
                                         Road{.replacement = ReplacementKind::kClock}),
                         [](const auto& road) { return road.param.Name(); });

INSTANTIATE_TEST_SUITE_P(Roads, PageOut,
                         testing::Values(Road{}, Road{.encrypt = true}, Road{.move = false},
                                         Road{.move = false, .encrypt = true}),
                         [](const auto& road) { return road.param.Name(); });

}  // namespace
}  // namespace userpager
