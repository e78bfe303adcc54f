// What calls do to pages where something is in the way, and where a reservation is of several
// stripes.
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/system_call.h"
#include "tests/stress/page_content.h"
#include "tests/support/eventually.h"
#include "tests/support/guarded_access.h"
#include "tests/support/running_pager.h"

namespace userpager {
namespace {

class PageChanges : public testing::TestWithParam<Road> {
 protected:
  void SetUp() override {
    if (!pager_.Start(RunningPager::Options(GetParam(), 256 * GetParam().shards))) {
      GTEST_SKIP() << pager_.why();
    }
  }
  void TearDown() override { CallFaults::Stop(); }

  Vad* ReserveFilled(uint64_t pages) {
    Vad* vad = pager_.Reserve(pages);
    for (uint64_t i = 0; i < pages; ++i) {
      stress::FillPage(WordsOf(vad->range.begin + PageCount(i)), i, 1);
    }
    pager_.Turn();
    return vad;
  }
  static bool IsFilled(const Vad* vad) {
    for (uint64_t i = 0; i < vad->range.count().value(); ++i) {
      uint64_t* const words = WordsOf(vad->range.begin + PageCount(i));
      if (stress::FirstWrongWord(words, i, 1) != stress::kWordsInPage) return false;
    }
    return true;
  }
  static PageRange Part(const Vad* vad, uint64_t begin, uint64_t end) {
    return PageRange(vad->range.begin + PageCount(begin), vad->range.begin + PageCount(end));
  }
  // The first page of a reservation's second stripe.
  static PageIndex Border(const Vad* vad) { return vad->stripes[1].range.begin; }

  RunningPager pager_;
};

// What the program has locked cannot be moved out of sight: the kernel has to refuse every access.
// Where it has no mapping left for the second of two pages, the first is opened again.
TEST_P(PageChanges, PagesThatCannotAllBeHiddenStayAsTheyWere) {
  Vad* vad = ReserveFilled(4);
  const PageRange locked = Part(vad, 1, 3);
  // The kernel's own call: the sanitizers' mlock does nothing.
  if (syscall(SYS_mlock, PointerTo(locked.begin), BytesOf(locked.count())) != 0) {
    GTEST_SKIP() << "mlock is not allowed here";
  }
  for (uint64_t n = 1; n <= 2; ++n) {
    std::lock_guard hold(pager_.tree_lock());
    CallFaults::FailNth(CallKind::kProtect, n, ENOMEM);
    const Errno error = pager_->Protect(*vad, vad->range, kNoAccess);
    if (!CallFaults::Stop()) GTEST_SKIP() << "without UFFDIO_MOVE they are copied and discarded";
    EXPECT_EQ(error, ENOMEM);
    EXPECT_TRUE(IsFilled(vad));
    EXPECT_EQ(vad->Load(locked.begin).protection(), kReadWrite);
  }
  EXPECT_EQ(TryWrite(PointerTo(locked.begin), 5).signal, 0);
  {
    std::lock_guard hold(pager_.tree_lock());
    EXPECT_EQ(pager_->Protect(*vad, vad->range, kNoAccess), 0);
  }
  EXPECT_EQ(TryRead(PointerTo(locked.begin)).signal, SIGSEGV);
  EXPECT_TRUE(pager_->CheckConsistency());
  // Hidden pages are nobody's to page out, however short memory is, nor to give up.
  {
    std::lock_guard hold(pager_.tree_lock());
    pager_->ResetPages(*vad, locked);
  }
  uint64_t writes = 0;
  ASSERT_TRUE(pager_.PressUntil([&] { return ++writes == 2000; }));
  EXPECT_EQ(TryRead(PointerTo(locked.begin)).signal, SIGSEGV);
  std::lock_guard hold(pager_.tree_lock());
  ASSERT_EQ(pager_->Protect(*vad, vad->range, kReadWrite), 0);
  EXPECT_EQ(WordsOf(locked.begin)[0], 5u);
  EXPECT_EQ(WordsOf(locked.begin)[1], stress::ContentWord(stress::ContentKey(1, 1), 1));
  EXPECT_TRUE(pager_->CheckConsistency());
}

// A page that is hidden where it is stays so where another cannot be hidden as well, and is not
// tried to be moved away: it cannot leave.
TEST_P(PageChanges, WhatIsHiddenInPlaceStaysSo) {
  Vad* vad = ReserveFilled(4);
  const PageRange locked = Part(vad, 1, 3);
  const PageIndex hidden = locked.begin;
  if (syscall(SYS_mlock, PointerTo(locked.begin), BytesOf(locked.count())) != 0) {
    GTEST_SKIP() << "mlock is not allowed here";
  }
  {
    std::lock_guard hold(pager_.tree_lock());
    ASSERT_EQ(pager_->Protect(*vad, PageRange(hidden, PageCount(1)), kNoAccess), 0);
    if (!vad->Load(hidden).mapped()) {
      GTEST_SKIP() << "without UFFDIO_MOVE it is copied and discarded";
    }
    CallFaults::FailNth(CallKind::kProtect, 1, ENOMEM);
    EXPECT_EQ(pager_->Protect(*vad, vad->range, kNoAccess), ENOMEM);
    EXPECT_TRUE(CallFaults::Stop());
  }
  EXPECT_EQ(TryRead(PointerTo(hidden)).signal, SIGSEGV);
  EXPECT_EQ(TryRead(PointerTo(hidden + PageCount(1))).signal, 0);
  const uint64_t refused = pager_.Counters().pinned_pages.value();
  std::lock_guard hold(pager_.tree_lock());
  pager_->TrimPages(*vad, PageRange(hidden, PageCount(1)));
  EXPECT_EQ(pager_.Counters().pinned_pages.value(), refused);
  EXPECT_EQ(TryRead(PointerTo(hidden)).signal, SIGSEGV);
  ASSERT_EQ(pager_->Protect(*vad, vad->range, kReadWrite), 0);
  EXPECT_TRUE(IsFilled(vad));
  EXPECT_TRUE(pager_->CheckConsistency());
}

TEST_P(PageChanges, ALowerMemoryLimitLeavesNothingMoreToLock) {
  const PageCount smallest = Pager::SmallestMemoryLimit(GetParam().shards);
  Vad* vad = ReserveFilled(64);
  {
    std::lock_guard hold(pager_.tree_lock());
    ASSERT_EQ(pager_->LockPages(*vad, Part(vad, 0, 40)), 0);
  }
  ASSERT_EQ(pager_->SetMemoryLimit(smallest + PageCount(60)), 0);
  EXPECT_EQ(pager_->LockableNow(), PageCount(0));
  bool all_locked = false;
  std::lock_guard hold(pager_.tree_lock());
  EXPECT_EQ(pager_->LockPages(*vad, Part(vad, 40, 41)), EAGAIN);
  pager_->UnlockPages(*vad, Part(vad, 0, 40), &all_locked);
  EXPECT_TRUE(all_locked);
  ASSERT_EQ(pager_->SetMemoryLimit(smallest), 0);
  EXPECT_EQ(pager_->LockableNow(), PageCount(0));
  EXPECT_EQ(pager_->LockPages(*vad, Part(vad, 0, 1)), EAGAIN);
  EXPECT_TRUE(IsFilled(vad));
}

// Pages that are out, that may not be written, or that were never touched stay as they are.
TEST_P(PageChanges, OnlyWritablePagesInMemoryAreOpenedForWriting) {
  Vad* vad = ReserveFilled(8);
  ASSERT_TRUE(pager_.PushOut(*vad));
  {
    std::lock_guard hold(pager_.tree_lock());
    ASSERT_EQ(pager_->Protect(*vad, Part(vad, 2, 3), kReadOnly), 0);
  }
  ASSERT_EQ(pager_->BringIn(Part(vad, 1, 4)), 0);
  ASSERT_EQ(vad->Load(Part(vad, 1, 2).begin).state(), PageState::kActiveClean);
  // What was read ahead has arrived.
  std::vector<PageState> before(vad->range.count().value());
  ASSERT_TRUE(Eventually([&] {
    pager_.Turn();
    for (uint64_t i = 0; i < before.size(); ++i) {
      before[i] = vad->Load(vad->range.begin + PageCount(i)).state();
    }
    return std::count(before.begin(), before.end(), PageState::kReading) == 0;
  }));
  // Beyond both ends of the reservation.
  pager_->OpenForWriting(PageRange(vad->range.begin - PageCount(1), vad->range.end + PageCount(9)));
  for (uint64_t i = 0; i < before.size(); ++i) {
    const bool opens = before[i] == PageState::kActiveClean && i != 2;
    const PageState after = vad->Load(vad->range.begin + PageCount(i)).state();
    EXPECT_EQ(after == PageState::kActiveDirty, opens) << i;
  }
  EXPECT_TRUE(IsFilled(vad));
  EXPECT_TRUE(pager_->CheckConsistency());
}

TEST_P(PageChanges, ReservedPagesStaySoWhenContentsAreDiscarded) {
  Vad* vad = ReserveFilled(8);
  std::lock_guard hold(pager_.tree_lock());
  pager_->Decommit(*vad, Part(vad, 2, 5));
  pager_->DiscardPages(*vad, vad->range);
  for (uint64_t i = 0; i < 8; ++i) {
    const bool reserved = i >= 2 && i < 5;
    const PageIndex page = vad->range.begin + PageCount(i);
    EXPECT_EQ(vad->Load(page).committed(), !reserved) << i;
    if (reserved) continue;
    EXPECT_EQ(FirstWord(page), 0u) << i;
  }
  EXPECT_EQ(vad->committed, PageCount(5));
  EXPECT_TRUE(pager_->CheckConsistency());
}

// A call goes on in the next stripe where it has not found what it wants, and only then.
TEST_P(PageChanges, CallsGoOnOverTheBorderOfStripes) {
  Vad* vad = pager_.Reserve(2 * Pager::kStripePages);
  pager_->WatchWrites(*vad);
  const PageIndex low = Border(vad) - PageCount(1);
  const PageIndex high = Border(vad);
  FirstWord(low) = 1;
  FirstWord(high) = 2;
  pager_.Turn();
  std::lock_guard hold(pager_.tree_lock());
  std::vector<PageIndex> found(1);
  PageIndex next;
  ASSERT_EQ(pager_->CollectWritten(*vad, vad->range, AfterCollecting::kKeep, found, &next), 1u);
  EXPECT_EQ(found[0], low);
  EXPECT_EQ(next, high);
  found.resize(3);
  ASSERT_EQ(pager_->CollectWritten(*vad, vad->range, AfterCollecting::kKeep, found, &next), 2u);
  EXPECT_EQ(found[1], high);
  EXPECT_EQ(next, vad->range.end);

  std::vector<Pte> ptes(4);
  const PageRange read = pager_->ReadPtes(*vad, PageRange(low, high + PageCount(1)), ptes);
  EXPECT_EQ(read, PageRange(low, high)) << "of the first stripe, which has something";
  EXPECT_EQ(ptes[0].state(), PageState::kActiveDirty);

  const PageRange both(low, high + PageCount(1));
  ASSERT_EQ(pager_->LockPages(*vad, PageRange(high, PageCount(1))), 0);
  bool all_locked = true;
  pager_->UnlockPages(*vad, both, &all_locked);
  EXPECT_FALSE(all_locked);
  ASSERT_EQ(pager_->LockPages(*vad, both), 0);
  pager_->UnlockPages(*vad, both, &all_locked);
  EXPECT_TRUE(all_locked);
  EXPECT_EQ(FirstWord(low), 1u);
  EXPECT_EQ(FirstWord(high), 2u);
}

INSTANTIATE_TEST_SUITE_P(Roads, PageChanges,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{true, IoEngineKind::kThreads, 2},
                                         Road{false, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
