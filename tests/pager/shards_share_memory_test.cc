// Several shards under one memory limit: what one of them holds must become free when another needs
// it, also where nobody faults but a request to bring pages in waits.
#include <signal.h>
#include <sys/mman.h>

#include "gtest/gtest.h"
#include "tests/support/guarded_access.h"
#include "tests/support/running_pager.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = 256;
constexpr uint64_t kStripePages = (uint64_t{1} << 30) / kPageBytes;
constexpr uint64_t kHeldPages = 4 * kLimitPages;
constexpr uint64_t kLockedPages = 90;

class ShardsShareMemory : public testing::TestWithParam<Road> {
 protected:
  void SetUp() override {
    if (!pager_.Start(RunningPager::Options(GetParam(), kLimitPages))) GTEST_SKIP() << pager_.why();
    vad_ = pager_.Reserve(3 * kStripePages, kReadWrite, false);
    ASSERT_NE(vad_, nullptr);
    ASSERT_NE(vad_->stripes[0].shard, vad_->stripes[1].shard);
  }

  PageRange Committed(unsigned stripe, uint64_t pages) {
    const PageRange range(vad_->stripes[stripe].range.begin, PageCount(pages));
    EXPECT_EQ(pager_->Commit(*vad_, range, kReadWrite), 0);
    return range;
  }
  static void Fill(PageRange range) {
    for (PageIndex page = range.begin; page < range.end; ++page) FirstWord(page) = page.value();
  }
  static bool IsFilled(PageRange range) {
    for (PageIndex page = range.begin; page < range.end; ++page) {
      if (FirstWord(page) != page.value()) return false;
    }
    return true;
  }

  RunningPager pager_;
  Vad* vad_ = nullptr;
};

TEST_P(ShardsShareMemory, FaultsGetWhatAnIdleShardHolds) {
  ASSERT_EQ(pager_->GrowPageFile(PageCount(3 * kHeldPages)), 0);
  const PageRange first = Committed(0, kHeldPages);
  const PageRange second = Committed(1, kHeldPages);
  Fill(first);
  Fill(second);
  EXPECT_TRUE(IsFilled(first));
  EXPECT_TRUE(IsFilled(second));
  EXPECT_TRUE(pager_->CheckConsistency());
}

TEST_P(ShardsShareMemory, LockedPagesGetWhatAnIdleShardHolds) {
  ASSERT_EQ(pager_->GrowPageFile(PageCount(3 * kHeldPages)), 0);
  const PageRange held = Committed(0, kHeldPages);
  Fill(held);
  const PageRange locked = Committed(1, kLockedPages);
  ASSERT_EQ(pager_->LockPages(*vad_, locked), 0);
  ASSERT_EQ(pager_->BringIn(locked), 0);
  for (PageIndex page = locked.begin; page < locked.end; ++page) {
    EXPECT_TRUE(vad_->Load(page).mapped());
  }
  EXPECT_TRUE(IsFilled(held));
  bool all_locked = false;
  pager_->UnlockPages(*vad_, locked, &all_locked);
  EXPECT_TRUE(all_locked);
}

// What a shard has little of stays with it, whatever an idle one holds: pages that left as soon as
// they came would never be there together, nor for the second fault of a store that is refused.
TEST_P(ShardsShareMemory, AFewPagesStayBesideAnIdleShard) {
  constexpr uint64_t kFewPages = 8;
  constexpr uint64_t kRounds = 300;
  ASSERT_EQ(pager_->GrowPageFile(PageCount(3 * kHeldPages)), 0);
  Fill(Committed(0, kHeldPages));
  const PageRange few = Committed(1, kFewPages);
  const PageRange zeros(few.end, PageCount(kRounds));
  ASSERT_EQ(pager_->Commit(*vad_, zeros, kReadOnly), 0);
  const auto faults = [&] {
    uint64_t sum = 0;
    for (const Counter& kind : pager_.Counters().faults) sum += kind.value();
    return sum;
  };
  const uint64_t faults_before = faults();
  const uint64_t stale_before = pager_.Counters().stale_messages.value();
  for (uint64_t round = 0; round < kRounds; ++round) {
    Fill(few);
    EXPECT_EQ(TryWrite(PointerTo(zeros.begin + PageCount(round)), 1).signal, SIGSEGV);
    EXPECT_TRUE(IsFilled(few));
  }
  // Each round brings one page of zeros, which pushes out no more than one other.
  EXPECT_LE(faults() - faults_before, 4 * kRounds);
  EXPECT_LE(pager_.Counters().stale_messages.value() - stale_before, kRounds);
}

// The program's own mlock is none of the pager's calls, and must not stop it.
TEST_P(ShardsShareMemory, MlockedPagesArePagedRoundAndDecommitted) {
  ASSERT_EQ(pager_->GrowPageFile(PageCount(3 * kHeldPages)), 0);
  const PageRange mlocked = Committed(0, 16);
  Fill(mlocked);
  if (mlock(PointerTo(mlocked.begin), BytesOf(mlocked.count())) != 0) {
    GTEST_SKIP() << "mlock is not allowed here";
  }
  const PageRange other = Committed(2, kHeldPages);
  Fill(other);
  EXPECT_TRUE(IsFilled(mlocked));
  EXPECT_TRUE(IsFilled(other));
  pager_->Decommit(*vad_, mlocked);
  EXPECT_FALSE(vad_->Load(mlocked.begin).committed());
  ASSERT_EQ(munlock(PointerTo(mlocked.begin), BytesOf(mlocked.count())), 0);
}

INSTANTIATE_TEST_SUITE_P(Roads, ShardsShareMemory,
                         testing::Values(Road{true, IoEngineKind::kUring, 2},
                                         Road{false, IoEngineKind::kUring, 2}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
