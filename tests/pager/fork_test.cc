// What a fork leaves behind in the parent: the kernel refuses to move pages that a child had its
// share of, until they are written.
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "runtime/platform/address_map.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class Fork : public GatedPager {
 protected:
  static constexpr uint64_t kPages = 32;

  static void SetUpTestSuite() { LetChildrenInherit(); }
  void TearDown() override {
    EndChild();
    GatedPager::TearDown();
  }

  // A child that has its share of everything until EndChild.
  void ForkAndKeep() {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    {
      std::lock_guard hold(pager_->tree_lock());
      ASSERT_EQ((*pager_)->Freeze(), 0);
      child_ = fork();
      if (child_ == 0) {
        char nothing;
        close(ends[1]);
        _exit(read(ends[0], &nothing, 1) == 0 ? 0 : 1);
      }
      (*pager_)->Thaw();
    }
    close(ends[0]);
    alive_ = ends[1];
    ASSERT_GT(child_, 0);
  }
  void EndChild() {
    if (alive_ < 0) return;
    close(alive_);
    alive_ = -1;
    int status = 0;
    EXPECT_EQ(waitpid(child_, &status, 0), child_);
    EXPECT_EQ(status, 0);
  }
  static bool AreFilled(const Vad* vad) {
    for (uint64_t i = 0; i < kPages; ++i) {
      if (!IsFilled(vad->range.begin + PageCount(i))) return false;
    }
    return true;
  }

  pid_t child_ = -1;
  int alive_ = -1;
};

TEST_P(Fork, PagesFromBeforeItLeaveWhileTheChildLives) {
  Vad* vad = ReserveFilled(kPages);
  ForkAndKeep();
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(AreFilled(vad));
  // They are nobody else's now, and leave like any other.
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(AreFilled(vad));
  EXPECT_LE((*pager_)->frames().peak().value(), kLimitPages);
  EXPECT_TRUE(IsSound());
}

TEST_P(Fork, ParkedPagesFromBeforeItComeBack) {
  Vad* vad = ReserveFilled(kPages);
  Trim(vad);
  ForkAndKeep();
  EXPECT_TRUE(AreFilled(vad));
  for (uint64_t i = 0; i < kPages; ++i) FirstWord(vad->range.begin + PageCount(i)) = i;
  ASSERT_TRUE(pager_->PushOut(*vad));
  for (uint64_t i = 0; i < kPages; ++i) {
    EXPECT_TRUE(IsFilledBut(vad->range.begin + PageCount(i), i)) << i;
  }
  EXPECT_TRUE(IsSound());
}

TEST_P(Fork, PagesFromBeforeItLeaveWhenTheChildHasGone) {
  Vad* vad = ReserveFilled(kPages);
  ForkAndKeep();
  EndChild();
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(AreFilled(vad));
  EXPECT_TRUE(IsSound());
}

INSTANTIATE_TEST_SUITE_P(Roads, Fork,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
