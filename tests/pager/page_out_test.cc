// What is to leave memory does, whatever else leaves at the same time.
#include "gtest/gtest.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class PageOut : public GatedPager {};

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

INSTANTIATE_TEST_SUITE_P(Roads, PageOut,
                         testing::Values(Road{}, Road{.encrypt = true}, Road{.move = false},
                                         Road{.move = false, .encrypt = true}),
                         [](const auto& road) { return road.param.Name(); });

}  // namespace
}  // namespace userpager
