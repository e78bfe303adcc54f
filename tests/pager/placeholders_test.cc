// Reservations that become placeholders again, whatever is under way in them; and pages that are
// never paged beside those that are.
#include <errno.h>

#include "gtest/gtest.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class Placeholders : public GatedPager {
 protected:
  void TearDown() override {
    if (placeholder_ != nullptr) {
      std::lock_guard hold(pager_->tree_lock());
      (*pager_)->Release(placeholder_);
    }
    GatedPager::TearDown();
  }

  // A reservation of some pages that has replaced a placeholder, all with content.
  Vad* MakeFilled(uint64_t pages) {
    {
      std::lock_guard hold(pager_->tree_lock());
      EXPECT_EQ((*pager_)->ReservePlaceholder(PageIndex(0), PageCount(pages), &placeholder_), 0);
    }
    Replace();
    for (uint64_t i = 0; i < pages; ++i) Fill(placeholder_->range.begin + PageCount(i));
    return placeholder_;
  }
  void Replace() {
    std::lock_guard hold(pager_->tree_lock());
    ASSERT_EQ((*pager_)->ReplacePlaceholder(*placeholder_, kReadWrite, true), 0);
  }
  void PutBack() {
    std::lock_guard hold(pager_->tree_lock());
    (*pager_)->MakePlaceholder(*placeholder_);
    EXPECT_EQ(placeholder_->kind, VadKind::kPlaceholder);
  }
  void ExpectZeros() {
    for (PageIndex page = placeholder_->range.begin; page < placeholder_->range.end; ++page) {
      for (unsigned i = 0; i < stress::kWordsInPage; ++i) ASSERT_EQ(WordsOf(page)[i], 0u);
    }
  }

  Vad* placeholder_ = nullptr;
};

TEST_P(Placeholders, OldContentsOfThePageFileDoNotShow) {
  Vad* vad = MakeFilled(20);
  ASSERT_TRUE(pager_->PushOut(*vad));
  PutBack();
  EXPECT_EQ(TryRead(PointerTo(vad->range.begin)).signal, SIGSEGV);
  EXPECT_TRUE(IsSound());
  Replace();
  ExpectZeros();
  EXPECT_TRUE(IsSound());
}

TEST_P(Placeholders, PutBackWhileWriting) {
  Vad* vad = MakeFilled(1);
  ASSERT_TRUE(HoldWriteOf(vad));
  PutBack();
  Replace();
  ExpectZeros();
  OpenGates();
  ExpectZeros();
  Fill(vad->range.begin);
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(IsFilled(vad->range.begin));
  EXPECT_TRUE(IsSound());
}

// The thread that waits for the page looks again and finds nothing that it may touch.
TEST_P(Placeholders, PutBackWhileReading) {
  Vad* vad = MakeFilled(1);
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  PutBack();
  EXPECT_EQ(reader->Join().signal, SIGSEGV);
  Replace();
  ExpectZeros();
  OpenGates();
  ExpectZeros();
  EXPECT_TRUE(IsSound());
}

TEST_P(Placeholders, MemoryIsTakenForWhatIsNeverPaged) {
  Vad* others = ReserveFilled(kLimitPages);
  const PageCount most((kLimitPages - Pager::SmallestMemoryLimit(1).value()) / 2);
  EXPECT_EQ((*pager_)->TakeUnpagedFrames(most + PageCount(1)), EAGAIN);
  ASSERT_EQ((*pager_)->TakeUnpagedFrames(most), 0);
  EXPECT_EQ((*pager_)->TakeUnpagedFrames(PageCount(1)), EAGAIN);
  EXPECT_LE((*pager_)->frames().peak(), PageCount(kLimitPages));
  for (PageIndex page = others->range.begin; page < others->range.end; ++page) {
    ASSERT_TRUE(IsFilled(page)) << AddressOf(page);
  }
  EXPECT_TRUE(IsSound());
  (*pager_)->ReturnUnpagedFrames(most);
  EXPECT_TRUE(IsSound());
}

INSTANTIATE_TEST_SUITE_P(Roads, Placeholders,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
