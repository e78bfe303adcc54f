// What was read is installed by two threads while memory is freed: with either of them late at any
// step, no store is lost, and a page that comes back torn harms no other.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "tests/support/corrupt_slot.h"
#include "tests/support/gated_pager.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

class InstalledBeside : public GatedPager {
 protected:
  void SetUp() override {
    GatedPager::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (const char* name : {"helper:awake", "helper:offered", "page_in:read_done",
                             "page_out:write_done", "page_out:before_move"}) {
      SyncPoints::Set(name, [](uint64_t) { Dawdle(); });
    }
  }
  void TearDown() override {
    SyncPoints::ClearAll();
    GatedPager::TearDown();
  }
  // Now and then for about as long as several parts take. By the pager's threads.
  static void Dawdle() {
    const uint64_t draw = stress::Mix(TestSeed() + draws_.fetch_add(1));
    if (draw % 4 == 0) usleep(static_cast<useconds_t>(draw / 4 % 300));
  }

  void PrepareOut(uint64_t pages, PageCount limit) {
    ASSERT_EQ((*pager_)->SetMemoryLimit(limit), 0);
    vad_ = pager_->Reserve(pages);
    ASSERT_NE(vad_, nullptr);
    for (uint64_t i = 0; i < pages; ++i) stress::FillPage(WordsOf(At(i)), i, 1);
    ASSERT_TRUE(pager_->PushOut(*vad_));
  }
  PageIndex At(uint64_t i) const { return vad_->range.begin + PageCount(i); }
  bool IsRight(uint64_t i, uint32_t generation) const {
    return stress::FirstWrongWord(WordsOf(At(i)), i, generation) == stress::kWordsInPage;
  }

  Vad* vad_ = nullptr;
  static inline std::atomic<uint64_t> draws_{0};
};

// Threads go through memory side by side, so that their stores meet pages which are installed and
// not booked yet; what they leave behind is parked and written meanwhile.
TEST_P(InstalledBeside, NoStoreIsLost) {
  constexpr uint64_t kPages = 2048;
  constexpr uint32_t kRounds = kInstrumented ? 3 : 8;
  constexpr unsigned kThreads = 3;
  ASSERT_NO_FATAL_FAILURE(PrepareOut(kPages, PageCount(kPages / 2)));
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t, &wrong] {
      for (uint32_t round = 1; round <= kRounds; ++round) {
        constexpr uint64_t kOfThread = kPages / kThreads;
        for (uint64_t k = 0; k < kOfThread; ++k) {
          // The way back meets what has come last.
          const uint64_t i = t + kThreads * (round % 2 == 0 ? kOfThread - 1 - k : k);
          wrong += !IsRight(i, (round - 1) / 2 + 1);
          // Every other round leaves clean pages behind.
          if (round % 2 == 0) stress::FillPage(WordsOf(At(i)), i, round / 2 + 1);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_TRUE(IsSound());
}

// A torn page ends the part that it is in; what is behind it there is installed by itself.
TEST_P(InstalledBeside, TornPagesHarmNoOther) {
  constexpr uint64_t kPages = 1024;
  ASSERT_NO_FATAL_FAILURE(PrepareOut(kPages, PageCount(2 * kPages)));
  std::set<uint64_t> torn;
  for (uint64_t k = 0; k < 24; ++k) torn.insert(stress::Mix(TestSeed() + k) % kPages);
  for (const uint64_t i : torn) {
    ASSERT_EQ(vad_->Load(At(i)).state(), PageState::kPagedOut);
    ASSERT_NO_FATAL_FAILURE(CorruptSlot((*pager_)->page_file(), vad_->Load(At(i)).slot()));
  }
  for (uint64_t i = 0; i < kPages; ++i) {
    const int signal = TryRead(WordsOf(At(i))).signal;
    EXPECT_EQ(signal, torn.contains(i) ? SIGBUS : 0) << i;
    if (signal == 0) {
      EXPECT_TRUE(IsRight(i, 1)) << i;
    }
  }
  EXPECT_TRUE(IsSound());
  EXPECT_EQ(pager_->Counters().lost_pages.value(), torn.size());
}

INSTANTIATE_TEST_SUITE_P(Roads, InstalledBeside,
                         testing::Values(Road{}, Road{.io = IoEngineKind::kThreads},
                                         Road{.move = false}, Road{.encrypt = true},
                                         Road{.faults = FaultDelivery::kSignals}),
                         [](const auto& road) { return road.param.Name(); });

}  // namespace
}  // namespace userpager
