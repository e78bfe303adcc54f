// Reading much from the page file: how far readahead begins with it, and how much of what has come
// is done in one turn of the shard's thread.
#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "runtime/platform/thread_place.h"
#include "tests/support/eventually.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class PageIn : public GatedPager {
 protected:
  void TearDown() override {
    SyncPoints::ClearAll();
    GatedPager::TearDown();
  }
  // Pages that are in the page file alone, and room in memory for them.
  void PrepareOut(uint64_t pages, PageCount limit) {
    ASSERT_EQ((*pager_)->SetMemoryLimit(PageCount(limit.value() / 2)), 0);
    vad_ = pager_->Reserve(pages);
    ASSERT_NE(vad_, nullptr);
    for (uint64_t i = 0; i < pages; ++i) stress::FillPage(WordsOf(At(i)), i, 1);
    ASSERT_TRUE(pager_->PushOut(*vad_));
    ASSERT_EQ((*pager_)->SetMemoryLimit(limit), 0);
  }
  PageIndex At(uint64_t i) const { return vad_->range.begin + PageCount(i); }
  bool IsRight(uint64_t i) const {
    return stress::FirstWrongWord(WordsOf(At(i)), i, 1) == stress::kWordsInPage;
  }
  uint64_t BeingRead() const {
    uint64_t count = 0;
    for (PageIndex page = vad_->range.begin; page < vad_->range.end; ++page) {
      count += vad_->Load(page).state() == PageState::kReading;
    }
    return count;
  }
  // One of the page's words, another one for each page.
  static uint64_t WordOf(uint64_t i) { return 1 + i % (stress::kWordsInPage - 1); }
  uint64_t HardFaults() {
    return pager_->Counters().faults[static_cast<unsigned>(FaultKind::kHard)].value();
  }

  Vad* vad_ = nullptr;
};

// A window is begun as far as there are buffers, and the next one begins where it ended: no page is
// left out, to be asked for alone.
TEST_P(PageIn, ReadaheadGoesOnWhereItRanOutOfBuffers) {
  constexpr uint64_t kPages = 1024;
  constexpr PageCount kLimit(4096);
  // The longest, and as many buffers as there are.
  constexpr uint64_t kWindow = kLimit.value() / 32;
  ASSERT_NO_FATAL_FAILURE(PrepareOut(kPages, kLimit));
  const uint64_t faults = HardFaults();
  std::atomic<uint64_t> at{0};
  std::atomic<uint64_t> wrong{0};
  PendingAccess reader([&] {
    for (uint64_t i = 0; i < kPages; ++i) {
      if (i == kPages / 2) gate_->HoldReads();
      at.store(i);
      wrong += !IsRight(i);
    }
    return AccessOutcome();
  });
  EXPECT_TRUE(Eventually([&] {
    return gate_->held_reads() > 0 && vad_->Load(At(at)).state() == PageState::kReading;
  }));
  // Several windows are wanted by now.
  EXPECT_TRUE(Eventually([&] { return BeingRead() > kWindow / 4; }));
  EXPECT_LT(BeingRead(), kWindow);
  EXPECT_FALSE(reader.done());
  OpenGates();
  EXPECT_EQ(reader.Join().signal, 0);
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_LE(HardFaults() - faults, kPages / 64);
  EXPECT_TRUE(IsSound());
}

// Also where there are few buffers: a window is read in parts for which they suffice.
TEST_P(PageIn, ReadaheadIsOfUseUnderEveryLimit) {
  for (const uint64_t limit : {256u, 512u, 1024u, 2048u, 4096u, 8192u}) {
    const uint64_t pages = limit / 4;
    ASSERT_NO_FATAL_FAILURE(PrepareOut(pages, PageCount(limit)));
    const uint64_t faults = HardFaults();
    for (uint64_t i = 0; i < pages; ++i) EXPECT_TRUE(IsRight(i)) << i;
    EXPECT_LE(HardFaults() - faults, pages / 8) << limit;
    pager_->Release(vad_);
  }
  EXPECT_TRUE(IsSound());
}

// Faults need not wait until all is done that has come; and that is done in the next turns, without
// anything else that has to come.
TEST_P(PageIn, ATurnDoesOnlyPartOfMuchThatHasCome) {
  constexpr uint64_t kTurnPages = 128;  // when a turn has done so many, it does no more
  constexpr uint64_t kPages = 7 * kTurnPages / 2;
  // With buffers for all.
  ASSERT_NO_FATAL_FAILURE(PrepareOut(kPages, PageCount(16384)));
  gate_->HoldReads();
  (*pager_)->Prefetch(vad_->range);
  ASSERT_TRUE(Eventually([this] { return BeingRead() == kPages && gate_->at_device() == 0; }));
  unsigned turns = 0;
  unsigned turn = 0;       // by the engine's count
  uint64_t at_begin = 0;   // pages being read then
  uint64_t most_done = 0;  // in a turn, before its last transfer
  SyncPoints::Set("page_in:read_done", [&](uint64_t) {
    const uint64_t left = BeingRead();
    if (turns == 0 || gate_->waits() != turn) {
      ++turns;
      turn = gate_->waits();
      at_begin = left;
    }
    most_done = std::max(most_done, at_begin - left);
  });
  gate_->LetGo();
  pager_->Turn();
  EXPECT_TRUE(Eventually([this] { return BeingRead() == 0; }));
  pager_->Turn();
  SyncPoints::ClearAll();
  EXPECT_LT(most_done, kTurnPages);
  EXPECT_GE(turns, kPages / kTurnPages + 1);
  for (uint64_t i = 0; i < kPages; ++i) EXPECT_TRUE(IsRight(i)) << i;
  EXPECT_TRUE(IsSound());
}

// The helper has installed pages, and the shard has not booked them yet: they are read and stored
// to as soon as they are there, and nothing of that is lost.
TEST_P(PageIn, StoresToPagesThatAreInstalledAndNotBooked) {
  if (CountAllowedCpus() < 2) GTEST_SKIP() << "there is no helper: this process has one CPU";
  constexpr uint64_t kPages = 1024;
  ASSERT_NO_FATAL_FAILURE(PrepareOut(kPages, PageCount(4096)));
  std::vector<uint64_t> stored;  // to which pages
  std::vector<std::unique_ptr<PendingAccess>> stores;
  std::atomic<uint64_t> right{0};
  // In the middle of the first turn that has much to install.
  std::atomic<bool> looked{false};
  SyncPoints::Set("helper:offered", [&](uint64_t) {
    if (looked.load()) return;
    for (uint64_t i = 0; i < kPages; ++i) {
      if (vad_->Load(At(i)).state() != PageState::kReading) continue;
      stored.push_back(i);
      stores.push_back(std::make_unique<PendingAccess>([this, i, &right] {
        right += IsRight(i);
        return TryWrite(WordsOf(At(i)) + WordOf(i), ~i);
      }));
    }
    EXPECT_TRUE(Eventually([&] { return right.load() >= 2; }));
    EXPECT_EQ(BeingRead(), stored.size());
    looked.store(true);
  });
  for (uint64_t i = 0; i < kPages; ++i) ASSERT_EQ(TryRead(WordsOf(At(i))).signal, 0);
  ASSERT_TRUE(looked.load());
  for (const auto& store : stores) EXPECT_EQ(store->Join().signal, 0);
  EXPECT_EQ(right.load(), stores.size());
  ASSERT_TRUE(pager_->PushOut(*vad_));
  for (const uint64_t i : stored) {
    EXPECT_EQ(std::exchange(WordsOf(At(i))[WordOf(i)],
                            stress::ContentWord(stress::ContentKey(i, 1), WordOf(i))),
              ~i);
  }
  for (uint64_t i = 0; i < kPages; ++i) EXPECT_TRUE(IsRight(i)) << i;
  EXPECT_TRUE(IsSound());
}

INSTANTIATE_TEST_SUITE_P(Roads, PageIn,
                         testing::Values(Road{}, Road{.io = IoEngineKind::kThreads},
                                         Road{.move = false}, Road{.encrypt = true}),
                         [](const auto& road) { return road.param.Name(); });

}  // namespace
}  // namespace userpager
