// Write watch at the moments that matter: a store between the look at a page and its reset, stores
// that meet I/O, and neighbours that a fault takes along.
#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class WriteWatch : public GatedPager {
 protected:
  void TearDown() override {
    SyncPoints::ClearAll();
    GatedPager::TearDown();
  }
  Vad* ReserveWatched(uint64_t pages) {
    Vad* vad = pager_->Reserve(pages);
    (*pager_)->WatchWrites(*vad);
    return vad;
  }
  // Numbers of the pages that count as written.
  std::vector<uint64_t> Collect(Vad* vad, AfterCollecting after = AfterCollecting::kForget) {
    std::vector<PageIndex> found(vad->range.count().value());
    PageIndex next;
    std::lock_guard hold(pager_->tree_lock());
    found.resize((*pager_)->CollectWritten(*vad, vad->range, after, found, &next));
    EXPECT_EQ(next, vad->range.end);
    std::vector<uint64_t> pages;
    for (const PageIndex page : found) pages.push_back((page - vad->range.begin).value());
    return pages;
  }
  using Pages = std::vector<uint64_t>;
};

// The page is open to stores then: the store is in the page before it is protected.
TEST_P(WriteWatch, StoreBetweenLookAndReset) {
  Vad* vad = ReserveWatched(4);
  const PageIndex page = vad->range.begin + PageCount(2);
  FirstWord(page) = 1;
  std::atomic<bool> stored{false};
  SyncPoints::Set("write_watch:collected", [&](uint64_t) {
    if (stored.load()) return;
    std::thread([&] {
      FirstWord(page) = 2;
      stored.store(true);
    }).join();
  });
  EXPECT_EQ(Collect(vad), Pages{2});
  EXPECT_TRUE(stored.load());
  EXPECT_EQ(FirstWord(page), 2u) << "whoever was told of the page finds it";
  EXPECT_EQ(Collect(vad), Pages{});
  FirstWord(page) = 3;
  EXPECT_EQ(Collect(vad), Pages{2});
}

// The store comes to a page that was never written: it waits until the look is over, and counts
// for the next.
TEST_P(WriteWatch, FirstStoreDuringTheLook) {
  Vad* vad = ReserveWatched(4);
  const PageIndex page = vad->range.begin + PageCount(1);
  FirstWord(vad->range.begin) = 1;
  EXPECT_EQ(TryRead(PointerTo(page)).value, 0u);
  std::unique_ptr<PendingAccess> store;
  SyncPoints::Set("write_watch:collected", [&](uint64_t) {
    if (store == nullptr) {
      store = std::make_unique<PendingAccess>([page] { return TryWrite(PointerTo(page), 5); });
    }
  });
  EXPECT_EQ(Collect(vad), Pages{0});
  EXPECT_EQ(store->Join().signal, 0);
  EXPECT_EQ(Collect(vad), Pages{1});
}

TEST_P(WriteWatch, NeighboursThatComeAlongAreNotWritten) {
  constexpr uint64_t kPages = 64;
  Vad* vad = ReserveWatched(kPages);
  Pages all;
  for (uint64_t i = 0; i < kPages; ++i) {
    // In order, so that streams are seen and runs become long.
    EXPECT_EQ(FirstWord(vad->range.begin + PageCount(i)), 0u);
    all.push_back(i);
  }
  EXPECT_EQ(Collect(vad), Pages{});
  for (uint64_t i = 0; i < kPages / 2; ++i) FirstWord(vad->range.begin + PageCount(i)) = i + 1;
  EXPECT_EQ(Collect(vad), Pages(all.begin(), all.begin() + kPages / 2));
  for (uint64_t i = 0; i < kPages; ++i) FirstWord(vad->range.begin + PageCount(i)) = i + 1;
  EXPECT_EQ(Collect(vad), all);
  // The same from the page file: the pages come back clean, in runs.
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_EQ(FirstWord(vad->range.begin), 1u);
  for (uint64_t i = 0; i < kPages / 2; ++i) FirstWord(vad->range.begin + PageCount(i)) = 9;
  EXPECT_EQ(Collect(vad), Pages(all.begin(), all.begin() + kPages / 2));
  EXPECT_TRUE(IsSound());
}

TEST_P(WriteWatch, StoreWhileWriting) {
  Vad* vad = ReserveWatched(1);
  Fill(vad->range.begin);
  EXPECT_EQ(Collect(vad), Pages{0});
  ASSERT_TRUE(HoldWriteOf(vad));
  EXPECT_EQ(Collect(vad), Pages{}) << "writing to the page file is no write";
  PendingAccess read = Read(vad->range.begin);
  EXPECT_EQ(read.Join().signal, 0);
  EXPECT_EQ(Collect(vad), Pages{});
  PendingAccess store = Write(vad->range.begin, 18);
  EXPECT_EQ(store.Join().signal, 0);
  EXPECT_EQ(Collect(vad), Pages{0});
  OpenGates();
  EXPECT_TRUE(IsFilledBut(vad->range.begin, 18));
  EXPECT_TRUE(IsSound());
}

TEST_P(WriteWatch, ReadersOfAPageThatIsOnItsWayDoNotWriteIt) {
  Vad* vad = ReserveWatched(1);
  Fill(vad->range.begin);
  EXPECT_EQ(Collect(vad), Pages{0});
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  OpenGates();
  EXPECT_EQ(reader->Join().signal, 0);
  EXPECT_EQ(Collect(vad), Pages{});
  EXPECT_TRUE(IsFilled(vad->range.begin));
}

INSTANTIATE_TEST_SUITE_P(Roads, WriteWatch,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
