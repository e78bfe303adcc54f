// Races made on purpose: a touch of a page at each point where its page is about to change, by way
// of the sync points in the code. An action at a point runs with the shard's mutex held, so it
// starts accesses in other threads and goes on; only those that need no answer are waited for.
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "tests/support/eventually.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class Races : public GatedPager {
 protected:
  void TearDown() override {
    SyncPoints::ClearAll();
    GatedPager::TearDown();
  }
  // Runs `action` when the point is reached for the page, the first time.
  static void Once(const char* point, PageIndex page, std::function<void()> action) {
    auto reached = std::make_shared<bool>(false);
    SyncPoints::Set(point, [page, reached, action = std::move(action)](uint64_t address) {
      if (address != AddressOf(page) || std::exchange(*reached, true)) return;
      action();
    });
  }
};

class RacesWithoutMove : public Races {};
// Threads that answer their own faults.
class RacesInline : public Races {};
// Reads that go through the engine, where a gate holds them.
class RacesOfReads : public Races {};

constexpr unsigned kThreads = 8;

TEST_P(Races, ManyThreadsOnOneFreshPage) {
  Vad* vad = pager_->Reserve(1);
  const PageIndex page = vad->range.begin;
  std::vector<std::unique_ptr<PendingAccess>> accesses;
  std::atomic<bool> all_come{false};
  // The others come while the first one is being answered.
  Once("fault:before_zeros", page, [&] {
    for (unsigned t = 1; t < kThreads; ++t) {
      accesses.push_back(std::make_unique<PendingAccess>([page, t] {
        return TryWrite(WordsOf(page) + t, t);
      }));
    }
    all_come.store(true);
  });
  EXPECT_EQ(TryRead(PointerTo(page)).value, 0u);
  ASSERT_TRUE(Eventually([&] { return all_come.load(); }));
  for (auto& access : accesses) EXPECT_EQ(access->Join().signal, 0);
  for (unsigned t = 1; t < kThreads; ++t) EXPECT_EQ(WordsOf(page)[t], t);
  EXPECT_TRUE(IsSound());
}

TEST_P(RacesOfReads, ManyThreadsOnOnePagedOutPage) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  std::unique_ptr<PendingAccess> first;
  ASSERT_TRUE(pager_->PushOut(*vad));
  const uint64_t hard_before =
      pager_->Counters().faults[static_cast<unsigned>(FaultKind::kHard)].value();
  const uint64_t reads_before = pager_->Counters().file_reads.value();
  ASSERT_TRUE(HoldReadOf(vad, &first));
  std::vector<std::unique_ptr<PendingAccess>> others;
  for (unsigned t = 1; t < kThreads; ++t) {
    others.push_back(std::make_unique<PendingAccess>([page] { return TryRead(PointerTo(page)); }));
  }
  EXPECT_FALSE(first->done());
  OpenGates();
  const uint64_t expected = stress::ContentWord(stress::ContentKey(7, 1), 0);
  EXPECT_EQ(first->Join().value, expected);
  for (auto& other : others) EXPECT_EQ(other->Join().value, expected);
  EXPECT_TRUE(IsFilled(page));
  // One read brought it for all of them.
  EXPECT_EQ(pager_->Counters().faults[static_cast<unsigned>(FaultKind::kHard)].value(),
            hard_before + 1);
  EXPECT_EQ(pager_->Counters().file_reads.value(), reads_before + 1);
}

// A store right before the page is taken away and one right after it both arrive.
TEST_P(Races, StoresAroundPageOut) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  bool before = false;
  std::unique_ptr<PendingAccess> after;
  Once("page_out:before_move", page, [&] {
    // The page is there: this store needs no answer.
    before = Write(page, 1).Join().signal == 0;
  });
  Once("page_out:moved", page, [&] {
    after = std::make_unique<PendingAccess>([page] { return TryWrite(WordsOf(page) + 1, 2); });
  });
  Trim(vad);
  ASSERT_TRUE(before);
  ASSERT_NE(after, nullptr);
  EXPECT_EQ(after->Join().signal, 0);
  EXPECT_EQ(WordsOf(page)[0], 1u);
  EXPECT_EQ(WordsOf(page)[1], 2u);
  EXPECT_GE(pager_->Counters().faults[static_cast<unsigned>(FaultKind::kSoft)].value(), 1u);
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_EQ(WordsOf(page)[0], 1u);
  EXPECT_EQ(WordsOf(page)[1], 2u);
  EXPECT_EQ(WordsOf(page)[2], stress::ContentWord(stress::ContentKey(7, 1), 2));
}

// Without MOVE: the page is write-protected and about to be copied; the store waits for what
// follows.
TEST_P(RacesWithoutMove, StoreToAPageThatIsBeingCopiedAway) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  std::unique_ptr<PendingAccess> store;
  Once("page_out:protected", page, [&] {
    store = std::make_unique<PendingAccess>([page] { return TryWrite(PointerTo(page), 3); });
  });
  Trim(vad);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(store->Join().signal, 0);
  EXPECT_TRUE(IsFilledBut(page, 3));
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(IsFilledBut(page, 3));
}

// A read during page-out gets the page back, with or without what was in it.
TEST_P(Races, ReadDuringPageOut) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  std::unique_ptr<PendingAccess> read;
  Once("page_out:moved", page, [&] {
    read = std::make_unique<PendingAccess>([page] { return TryRead(PointerTo(page)); });
  });
  Trim(vad);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->Join().value, stress::ContentWord(stress::ContentKey(7, 1), 0));
  EXPECT_TRUE(IsFilled(page));
  EXPECT_TRUE(IsSound());
}

// The content is gone, the page is not yet reserved: who touches it now sees no zeros.
TEST_P(Races, TouchDuringDecommit) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  std::vector<std::unique_ptr<PendingAccess>> touches;
  Once("decommit:discarded", page, [&] {
    for (unsigned t = 0; t < kThreads; ++t) {
      touches.push_back(std::make_unique<PendingAccess>([page, t] {
        return t % 2 == 0 ? TryRead(PointerTo(page)) : TryWrite(PointerTo(page), t);
      }));
    }
  });
  Decommit(vad);
  ASSERT_EQ(touches.size(), kThreads);
  for (auto& touch : touches) {
    const AccessOutcome outcome = touch->Join();
    EXPECT_EQ(outcome.signal, SIGSEGV);
    EXPECT_EQ(outcome.address, AddressOf(page));
  }
  Commit(vad);
  EXPECT_EQ(FirstWord(page), 0u);
  EXPECT_TRUE(IsSound());
}

// Where nobody's memory comes by itself while a reservation of so many pages goes and comes: below
// a gigabyte that is free, of which the kernel gives out the highest part first.
PageIndex QuietPlace(RunningPager& pager, uint64_t pages) {
  Vad* vad = pager.Reserve(pages + (uint64_t{1} << 30) / kPageBytes);
  const PageIndex place = vad->range.begin;
  pager.Release(vad);
  return place;
}

// The reservation stands between two others.
TEST_P(Races, TouchDuringRelease) {
  constexpr uint64_t kUnitPages = 16;
  const PageIndex first = QuietPlace(*pager_, 3 * kUnitPages);
  const PageIndex page = first + PageCount(kUnitPages);
  ASSERT_NE(pager_->ReserveAt(first, kUnitPages), nullptr);
  ASSERT_NE(pager_->ReserveAt(page + PageCount(kUnitPages), kUnitPages), nullptr);
  Vad* vad = pager_->ReserveAt(page, kUnitPages);
  ASSERT_NE(vad, nullptr);
  Fill(page);
  std::vector<std::unique_ptr<PendingAccess>> touches;
  Once("release:before_unmap", page, [&] {
    for (unsigned t = 0; t < kThreads; ++t) {
      touches.push_back(
          std::make_unique<PendingAccess>([page] { return TryRead(PointerTo(page)); }));
    }
  });
  pager_->Release(vad);
  ASSERT_EQ(touches.size(), kThreads);
  for (auto& touch : touches) {
    const AccessOutcome outcome = touch->Join();
    EXPECT_EQ(outcome.signal, SIGSEGV);
    EXPECT_EQ(outcome.address, AddressOf(page));
  }
}

// A thread that answers its own faults finds each time that the memory is gone since. It looks
// again each time, and gets the signal of memory that is not there: never the one by which it asks.
TEST_P(RacesInline, ReleasedBetweenTheFaultAndTheLook) {
  constexpr unsigned kReleases = 40;
  const PageIndex page = QuietPlace(*pager_, 16);
  for (unsigned i = 0; i < kReleases; ++i) {
    Vad* vad = pager_->ReserveAt(page, 16);
    ASSERT_NE(vad, nullptr);
    bool released = false;
    Once("inline:before_look", page, [&] {
      pager_->Release(vad);
      released = true;
    });
    const AccessOutcome outcome = TryRead(PointerTo(page));
    ASSERT_TRUE(released);
    EXPECT_EQ(outcome.signal, SIGSEGV);
    EXPECT_EQ(outcome.address, AddressOf(page));
  }
}

// Releases and reservations of one range take turns while threads touch it all the time: each touch
// gives zeros, the value of the present owner, or a violation, and the last owner's page is its
// own.
TEST_P(Races, TouchesWhileTheOwnerChanges) {
  constexpr unsigned kOwners = 100;
  const PageIndex page = QuietPlace(*pager_, 16);
  Vad* vad = pager_->ReserveAt(page, 16);
  ASSERT_NE(vad, nullptr);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        const AccessOutcome outcome = TryRead(PointerTo(page));
        wrong += outcome.signal != 0 ? outcome.signal != SIGSEGV : outcome.value > kOwners;
      }
    });
  }
  for (uint64_t owner = 1; owner <= kOwners; ++owner) {
    FirstWord(page) = owner;
    if (owner % 2 == 0) Trim(vad);
    pager_->Release(vad);
    vad = pager_->ReserveAt(page, 16);
    ASSERT_NE(vad, nullptr);
    wrong += FirstWord(page) != 0;
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Roads, RacesWithoutMove,
                         testing::Values(Road{false, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1,
                                              FaultDelivery::kSignals}),
                         [](const auto& tested) { return tested.param.Name(); });
INSTANTIATE_TEST_SUITE_P(Roads, RacesOfReads,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });
INSTANTIATE_TEST_SUITE_P(Roads, RacesInline,
                         testing::Values(Road{true, IoEngineKind::kUring, 1,
                                              FaultDelivery::kSignals},
                                         Road{false, IoEngineKind::kUring, 1,
                                              FaultDelivery::kSignals}),
                         [](const auto& tested) { return tested.param.Name(); });
INSTANTIATE_TEST_SUITE_P(Roads, Races,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1},
                                         Road{true, IoEngineKind::kUring, 1,
                                              FaultDelivery::kSignals},
                                         Road{false, IoEngineKind::kUring, 1,
                                              FaultDelivery::kSignals}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
