// Locked pages stay in memory, whatever happens around them.
#include <errno.h>

#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class LockPages : public GatedPager {
 protected:
  Errno Lock(Vad* vad) {
    std::lock_guard hold(pager_->tree_lock());
    return (*pager_)->LockPages(*vad, vad->range);
  }
  bool Unlock(Vad* vad) {
    bool all_locked = false;
    std::lock_guard hold(pager_->tree_lock());
    (*pager_)->UnlockPages(*vad, vad->range, &all_locked);
    return all_locked;
  }
  void PressHard() {
    unsigned presses = 0;
    ASSERT_TRUE(pager_->PressUntil([&] { return ++presses > 6 * kLimitPages; }));
    pager_->Turn();
  }
  static bool AllMapped(const Vad* vad) {
    for (PageIndex page = vad->range.begin; page < vad->range.end; ++page) {
      if (!vad->Load(page).mapped()) return false;
    }
    return true;
  }
  static bool AllFilled(const Vad* vad) {
    for (PageIndex page = vad->range.begin; page < vad->range.end; ++page) {
      if (!IsFilled(page)) return false;
    }
    return true;
  }
};

// What the kernel counts as locked by mlock, of the whole process.
std::string KernelLockedSize() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmLck:", 0) == 0) return line;
  }
  return "";
}

TEST_P(LockPages, StayUnderPressure) {
  Vad* vad = ReserveFilled(16);
  ASSERT_TRUE(pager_->PushOut(*vad));
  const std::string before = KernelLockedSize();
  ASSERT_NE(before, "");
  ASSERT_EQ(Lock(vad), 0);
  ASSERT_EQ((*pager_)->BringIn(vad->range), 0);
  EXPECT_TRUE(AllMapped(vad));
  // The pager alone keeps them: pages that the kernel locks could not be moved any more.
  EXPECT_EQ(KernelLockedSize(), before);
  PressHard();
  EXPECT_TRUE(AllMapped(vad));
  EXPECT_TRUE(AllFilled(vad));
  EXPECT_TRUE(IsSound());
  EXPECT_TRUE(Unlock(vad));
  EXPECT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(AllFilled(vad));
}

// A locked page is clean until it is written: the write takes its slot and no more.
TEST_P(LockPages, MayBeWritten) {
  Vad* vad = ReserveFilled();
  ASSERT_TRUE(pager_->PushOut(*vad));
  ASSERT_EQ(Lock(vad), 0);
  ASSERT_EQ((*pager_)->BringIn(vad->range), 0);
  EXPECT_EQ(TryWrite(PointerTo(vad->range.begin), 18).signal, 0);
  PressHard();
  EXPECT_EQ(SettledStateOf(vad), PageState::kActiveDirty);
  EXPECT_TRUE(IsFilledBut(vad->range.begin, 18));
  EXPECT_TRUE(Unlock(vad));
  EXPECT_FALSE(Unlock(vad));
}

TEST_P(LockPages, AreBoundedByTheMemoryLimit) {
  const uint64_t most = (kLimitPages - Pager::SmallestMemoryLimit(1).value()) / 2;
  Vad* fits = pager_->Reserve(most);
  Vad* more = pager_->Reserve(1);
  ASSERT_EQ(Lock(fits), 0);
  // Again costs nothing.
  EXPECT_EQ(Lock(fits), 0);
  EXPECT_EQ(Lock(more), EAGAIN);
  EXPECT_FALSE(more->Load(more->range.begin).locked());
  ASSERT_EQ((*pager_)->BringIn(fits->range), 0);
  PressHard();
  EXPECT_TRUE(AllMapped(fits));
  EXPECT_TRUE(Unlock(fits));
  EXPECT_EQ(Lock(more), 0);
}

TEST_P(LockPages, EndWithDecommitAndNoAccess) {
  Vad* vad = ReserveFilled();
  ASSERT_EQ(Lock(vad), 0);
  Decommit(vad);
  EXPECT_FALSE(vad->Load(vad->range.begin).locked());
  Commit(vad);
  EXPECT_EQ(FirstWord(vad->range.begin), 0u);
  Fill(vad->range.begin);
  ASSERT_EQ(Lock(vad), 0);
  Protect(vad, kNoAccess);
  EXPECT_FALSE(vad->Load(vad->range.begin).locked());
  Protect(vad, kReadWrite);
  EXPECT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(IsFilled(vad->range.begin));
  EXPECT_TRUE(IsSound());
}

// Locked while its content is on the way: it stays when it has come.
TEST_P(LockPages, WhileReading) {
  Vad* vad = ReserveFilled();
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  ASSERT_EQ(Lock(vad), 0);
  OpenGates();
  EXPECT_EQ(reader->Join().signal, 0);
  PressHard();
  EXPECT_TRUE(AllMapped(vad));
  EXPECT_TRUE(IsSound());
}

TEST_P(LockPages, WhileWriting) {
  Vad* vad = ReserveFilled();
  ASSERT_TRUE(HoldWriteOf(vad));
  ASSERT_EQ(Lock(vad), 0);
  std::thread bring([&] { EXPECT_EQ((*pager_)->BringIn(vad->range), 0); });
  OpenGates();
  bring.join();
  PressHard();
  EXPECT_TRUE(AllMapped(vad));
  EXPECT_TRUE(AllFilled(vad));
  EXPECT_TRUE(IsSound());
}

INSTANTIATE_TEST_SUITE_P(Roads, LockPages,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
