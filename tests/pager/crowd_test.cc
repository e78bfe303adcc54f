// Where many threads wait for reads at a time, pages are not asked whether they are still used, as
// the thread that asks is what all of them wait for; where one does, they are. And where reads end
// together, the next ones begin one by one.
#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "tests/support/eventually.h"
#include "tests/support/gated_pager.h"
#include "tests/support/seed.h"
#include "tests/support/waiting_threads.h"

namespace userpager {
namespace {

constexpr unsigned kCrowd = 8;

class Crowd : public GatedPager {
 protected:
  // Enough for the buffers of so many reads.
  static constexpr PageCount kLimit{4 * kLimitPages};
  static constexpr uint64_t kPages = 4 * kLimit.value();
  static constexpr uint64_t kReads = kLimit.value();  // each time

  void SetUp() override {
    GatedPager::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    vad_ = ReservePushedOut(kPages, kLimit);
    ASSERT_NE(vad_, nullptr);
    SyncPoints::Set("page_out:moved", [this](uint64_t address) {
      parked_ += vad_->range.Contains(PageOf(address));
    });
  }
  void TearDown() override {
    SyncPoints::ClearAll();
    GatedPager::TearDown();
  }

  PageState StateOf(PageIndex page) const { return vad_->Load(page).state(); }
  // A page that is not in memory.
  PageIndex Next() {
    PageIndex page;
    do {
      page = vad_->range.begin + PageCount(random_() % kPages);
    } while (StateOf(page) != PageState::kPagedOut || page == last_);
    return last_ = page;
  }

  void ReadAlone() {
    for (uint64_t k = 0; k < kReads; ++k) ASSERT_TRUE(IsFilled(Next()));
  }
  // So many threads at a time that no read ends before all of them are under way.
  void ReadTogether() {
    for (uint64_t k = 0; k < kReads; k += kCrowd) {
      pager_->Turn();
      gate_->HoldReads();
      std::vector<std::unique_ptr<PendingAccess>> readers;
      for (unsigned i = 0; i < kCrowd; ++i) {
        readers.push_back(std::make_unique<PendingAccess>(
            [page = Next()] { return TryRead(PointerTo(page)); }));
        ASSERT_TRUE(Eventually([&] { return StateOf(last_) == PageState::kReading; }));
      }
      OpenGates();
      for (const auto& reader : readers) ASSERT_EQ(reader->Join().signal, 0);
    }
  }
  // How often pages have been parked since the last call.
  uint64_t Parked() {
    pager_->Turn();
    return parked_.exchange(0);
  }

  Vad* vad_ = nullptr;
  std::mt19937_64 random_{TestSeed()};
  PageIndex last_;
  std::atomic<uint64_t> parked_{0};
};

TEST_P(Crowd, PagesAreAskedWhereThereIsTime) {
  ASSERT_NO_FATAL_FAILURE(ReadAlone());
  const uint64_t alone = Parked();
  ASSERT_NO_FATAL_FAILURE(ReadTogether());
  const uint64_t together = Parked();
  ASSERT_NO_FATAL_FAILURE(ReadAlone());
  const uint64_t again = Parked();
  EXPECT_LT(8 * together, alone);
  EXPECT_LT(8 * together, again);
  EXPECT_TRUE(IsSound());
}

TEST_P(Crowd, WhatOneAsksForNextIsBegunBeforeAllOthersAreAnswered) {
  // In no equal steps, and in longer ones than those of streams: not even if nobody knew whose
  // faults they are would some be read ahead.
  const auto scattered = [this](uint64_t i) {
    return vad_->range.begin + PageCount(i * kPages / (2 * kCrowd) + i * i);
  };
  pager_->Turn();
  gate_->HoldReads();
  std::vector<std::unique_ptr<PendingAccess>> readers;
  std::vector<PageIndex> seconds;
  for (unsigned i = 0; i < kCrowd; ++i) {
    const PageIndex first = scattered(i);
    seconds.push_back(scattered(kCrowd + i));
    readers.push_back(std::make_unique<PendingAccess>([first, second = seconds.back()] {
      (void)TryRead(PointerTo(first));
      return TryRead(PointerTo(second));
    }));
    ASSERT_TRUE(Eventually([&] { return StateOf(first) == PageState::kReading; }));
  }
  ASSERT_TRUE(Eventually([] { return gate_->held_reads() == kCrowd; }));
  // All have ended. Before each is looked at, whoever was answered before has asked again.
  std::vector<uint64_t> begun;
  bool all_asked = true;
  SyncPoints::Set("page_in:read_done", [&](uint64_t) {
    if (begun.size() == kCrowd) return;
    all_asked &= Eventually([] { return ThreadsWaiting() == kCrowd; });
    begun.push_back(static_cast<uint64_t>(
        std::count_if(seconds.begin(), seconds.end(),
                      [&](PageIndex page) { return StateOf(page) != PageState::kPagedOut; })));
  });
  OpenGates();
  for (const auto& reader : readers) ASSERT_EQ(reader->Join().signal, 0);
  pager_->Turn();
  SyncPoints::ClearAll();
  EXPECT_TRUE(all_asked);
  ASSERT_EQ(begun.size(), kCrowd);
  // What the one before has asked for comes to the pager's thread with the next turn or the one
  // behind it, and begins at the end of that.
  for (unsigned i = 3; i < kCrowd; ++i) EXPECT_GE(begun[i], i - 2) << i;
}

INSTANTIATE_TEST_SUITE_P(Roads, Crowd,
                         testing::Values(Road{}, Road{.io = IoEngineKind::kThreads}),
                         [](const auto& road) { return road.param.Name(); });

}  // namespace
}  // namespace userpager
