#include "runtime/page_file/slot_map.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/platform/descriptors.h"
#include "runtime/platform/life_line.h"
#include "tests/support/seed.h"

namespace userpager {

// Reaches into a map in order to break it.
class SlotMapTestPeer {
 public:
  static uint64_t& Free(SlotMap& map) ABSL_NO_THREAD_SAFETY_ANALYSIS { return map.free_[1]; }
  static uint64_t& Bad(SlotMap& map) ABSL_NO_THREAD_SAFETY_ANALYSIS { return map.bad_[1]; }
  static uint64_t& Kept(SlotMap& map) ABSL_NO_THREAD_SAFETY_ANALYSIS { return map.kept_[1]; }
  static uint64_t& Discarded(SlotMap& map) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return map.discarded_[1];
  }
  static BitTree& WithFree(SlotMap& map) ABSL_NO_THREAD_SAFETY_ANALYSIS { return map.with_free_; }
  static BitTree& AllFree(SlotMap& map) ABSL_NO_THREAD_SAFETY_ANALYSIS { return map.all_free_; }
  static SlotGauges& Gauges(SlotMap& map) { return *map.gauges_; }
  static std::atomic<uint64_t>& KeptCount(SlotMap& map) { return map.kept_count_; }
  static std::atomic<uint64_t>& DiscardedCount(SlotMap& map) { return map.discarded_count_; }
};

namespace {

constexpr uint32_t kCluster = 64;

SlotIndex Slot(uint64_t value) { return SlotIndex(static_cast<uint32_t>(value)); }

// The same as plain sets, with the promises of AllocateRun checked against them.
class Model {
 public:
  explicit Model(SlotMap* map) : map_(map) {}

  void Extend(uint32_t end) {
    map_->Extend(Slot(end));
    for (; end_ < end; ++end_) free_.insert(end_);
  }

  void Allocate(uint64_t most) {
    const bool whole_cluster = HasWholeCluster();
    const SlotRun run = map_->AllocateRun(PageCount(most));
    ASSERT_EQ(run.count == PageCount(0), free_.empty());
    ASSERT_LE(run.count.value(), most);
    ASSERT_GE(run.count.value(), whole_cluster ? std::min<uint64_t>(most, kCluster) : 0);
    for (uint64_t i = 0; i < run.count.value(); ++i) {
      const uint32_t slot = (run.first + PageCount(i)).value();
      ASSERT_EQ(free_.erase(slot), 1u) << "slot " << slot << " was not free";
      used_.push_back(slot);
    }
  }

  // Frees a run of neighbours that begins at a random used slot.
  void Free(std::mt19937_64* random) {
    if (used_.empty()) return;
    std::sort(used_.begin(), used_.end());
    const size_t at = (*random)() % used_.size();
    const size_t most = 1 + (*random)() % 200;
    size_t count = 1;
    while (count < most && at + count < used_.size() && used_[at + count] == used_[at] + count) {
      ++count;
    }
    map_->Free(Slot(used_[at]), PageCount(count));
    const auto first = used_.begin() + static_cast<std::ptrdiff_t>(at);
    free_.insert(first, first + static_cast<std::ptrdiff_t>(count));
    used_.erase(first, first + static_cast<std::ptrdiff_t>(count));
  }

  void Retire(std::mt19937_64* random) {
    if (used_.empty()) return;
    const size_t at = (*random)() % used_.size();
    map_->Retire(Slot(used_[at]));
    used_.erase(used_.begin() + static_cast<std::ptrdiff_t>(at));
    ++bad_;
  }

  // Slots whose disk space is to be given back come from whole clusters that are free.
  void Discard(uint64_t most) {
    const bool whole_cluster = HasWholeCluster();
    const SlotRun run = map_->Discard(PageCount(most));
    ASSERT_EQ(run.count > PageCount(0), whole_cluster && most >= kCluster);
    ASSERT_LE(run.count.value(), most);
    ASSERT_EQ(run.count.value() % kCluster, 0u);
    ASSERT_EQ(run.first.value() % kCluster, 0u);
    for (uint64_t i = 0; i < run.count.value(); ++i) {
      const uint32_t slot = (run.first + PageCount(i)).value();
      ASSERT_EQ(free_.erase(slot), 1u) << "slot " << slot << " was not free";
      discarded_.insert(slot);
    }
  }

  void Restore(uint64_t most) {
    const SlotRun run = map_->FindDiscarded(PageCount(most));
    ASSERT_EQ(run.count == PageCount(0), discarded_.empty());
    if (discarded_.empty()) return;
    ASSERT_EQ(run.first.value(), *discarded_.begin());
    ASSERT_LE(run.count.value(), most);
    for (uint64_t i = 0; i < run.count.value(); ++i) {
      const uint32_t slot = (run.first + PageCount(i)).value();
      ASSERT_EQ(discarded_.erase(slot), 1u);
      free_.insert(slot);
    }
    map_->Restore(run);
  }

  void Compare() const {
    ASSERT_TRUE(map_->CheckConsistency());
    ASSERT_EQ(map_->end().value(), end_);
    ASSERT_EQ(map_->used().value(), used_.size());
    ASSERT_EQ(map_->usable().value(), used_.size() + free_.size());
    ASSERT_EQ(map_->bad().value(), bad_);
    ASSERT_EQ(map_->discarded().value(), discarded_.size());
  }

  uint32_t end() const { return end_; }

 private:
  bool HasWholeCluster() const {
    for (uint32_t first = kCluster; first + kCluster <= end_; first += kCluster) {
      const auto begin = free_.lower_bound(first);
      const auto end = free_.lower_bound(first + kCluster);
      if (std::distance(begin, end) == kCluster) return true;
    }
    return false;
  }

  SlotMap* map_;
  uint32_t end_ = 1;
  uint64_t bad_ = 0;
  std::set<uint32_t> free_;
  std::vector<uint32_t> used_;
  std::set<uint32_t> discarded_;
};

TEST(SlotMap, AgreesWithAModelUnderRandomOperations) {
  std::mt19937_64 random(TestSeed());
  constexpr uint32_t kSlots = 3000;
  SlotMap map;
  ASSERT_EQ(map.Init(PageCount(kSlots)), 0);
  Model model(&map);
  for (unsigned step = 0; step < 6000; ++step) {
    SCOPED_TRACE(step);
    // Whole phases lean towards taking, so that the map is all but full again and again.
    const uint64_t dice = random() % 100;
    const uint64_t taking = step / 500 % 2 == 0 ? 80 : 35;
    if (dice == 99 && model.end() <= kSlots) {
      model.Extend(static_cast<uint32_t>(model.end() + random() % (kSlots + 2 - model.end())));
    } else if (dice == 98 && step % 4 == 0) {
      model.Retire(&random);
    } else if (dice == 97) {
      model.Discard(random() % 400);
    } else if (dice == 96) {
      model.Restore(1 + random() % 100);
    } else if (dice < taking) {
      model.Allocate(1 + random() % (dice % 2 == 0 ? 8 : 300));
    } else {
      model.Free(&random);
    }
    if (step % 16 == 0) model.Compare();
    if (HasFatalFailure()) return;
  }
}

TEST(SlotMap, FreshMapGivesRunsThatFollowEachOther) {
  SlotMap map;
  ASSERT_EQ(map.Init(PageCount(10'000)), 0);
  EXPECT_EQ(map.AllocateRun(PageCount(1)).count, PageCount(0)) << "nothing exists before Extend";
  map.Extend(Slot(10'001));
  uint32_t next = 1;
  for (const uint32_t most : {64u, 64u, 16u, 48u, 512u, 1u, 1u, 63u}) {
    const SlotRun run = map.AllocateRun(PageCount(most));
    EXPECT_EQ(run.first.value(), next);
    EXPECT_EQ(run.count.value(), most);
    next += most;
  }
}

TEST(SlotMap, PrefersAWholeClusterToHoles) {
  SlotMap map;
  ASSERT_EQ(map.Init(PageCount(1023)), 0);
  map.Extend(Slot(1024));
  ASSERT_EQ(map.AllocateRun(PageCount(1023)).count, PageCount(1023));
  for (uint32_t slot = 1; slot < 640; slot += 2) map.Free(Slot(slot), PageCount(1));
  map.Free(Slot(640), PageCount(64));
  const SlotRun run = map.AllocateRun(PageCount(64));
  EXPECT_EQ(run.first.value(), 640u);
  EXPECT_EQ(run.count.value(), 64u);
  EXPECT_EQ(map.AllocateRun(PageCount(64)).count.value(), 1u) << "only holes are left";
}

TEST(SlotMap, GivesTheLastFreeSlotOfALargeMap) {
  constexpr uint32_t kSlots = 4'000'000;
  std::mt19937_64 random(TestSeed());
  SlotMap map;
  ASSERT_EQ(map.Init(PageCount(kSlots)), 0);
  map.Extend(Slot(kSlots + 1));
  ASSERT_EQ(map.AllocateRun(PageCount(kSlots)).count, PageCount(kSlots));
  for (unsigned i = 0; i < 10'000; ++i) {
    ASSERT_EQ(map.AllocateRun(PageCount(64)).count, PageCount(0)) << "the map is full";
    const SlotIndex freed = Slot(1 + random() % kSlots);
    map.Free(freed, PageCount(1));
    const SlotRun run = map.AllocateRun(PageCount(64));
    ASSERT_EQ(run.first, freed);
    ASSERT_EQ(run.count, PageCount(1));
  }
  EXPECT_TRUE(map.CheckConsistency());
}

TEST(SlotMap, RetiredSlotsNeverComeBack) {
  SlotMap map;
  ASSERT_EQ(map.Init(PageCount(200)), 0);
  map.Extend(Slot(201));
  const SlotRun run = map.AllocateRun(PageCount(100));
  for (uint64_t i = 0; i < 100; i += 3) map.Retire(run.first + PageCount(i));
  for (uint64_t i = 0; i < 100; ++i) {
    if (i % 3 != 0) map.Free(run.first + PageCount(i), PageCount(1));
  }
  EXPECT_EQ(map.usable().value(), 200u - 34u);
  EXPECT_EQ(map.bad().value(), 34u);
  std::set<uint32_t> given;
  for (unsigned i = 0; i < 200 && map.used() < map.usable(); ++i) {
    const SlotRun next = map.AllocateRun(PageCount(7));
    for (uint64_t k = 0; k < next.count.value(); ++k) {
      given.insert((next.first + PageCount(k)).value());
    }
  }
  EXPECT_EQ(given.size(), 200u - 34u);
  for (uint64_t i = 0; i < 100; i += 3) {
    EXPECT_FALSE(given.contains((run.first + PageCount(i)).value()));
  }
}

TEST(SlotMap, ThreadsNeverGetTheSameSlot) {
  constexpr uint32_t kSlots = 2000;
  const uint64_t seed = TestSeed();
  SlotMap map;
  ASSERT_EQ(map.Init(PageCount(kSlots)), 0);
  map.Extend(Slot(kSlots + 1));
  std::vector<std::atomic<int>> owners(kSlots + 1);
  std::atomic<int> clashes{0};
  std::vector<std::thread> threads;
  const auto free_run = [&](const SlotRun& run) {
    for (uint64_t k = 0; k < run.count.value(); ++k) {
      owners[(run.first + PageCount(k)).value()].fetch_sub(1);
    }
    map.Free(run.first, run.count);
  };
  for (unsigned id = 0; id < 4; ++id) {
    threads.emplace_back([&, id] {
      std::mt19937_64 random(seed + id);
      std::vector<SlotRun> mine;
      for (unsigned i = 0; i < 5000; ++i) {
        if (mine.size() < 20 && random() % 2 == 0) {
          const SlotRun run = map.AllocateRun(PageCount(1 + random() % 64));
          for (uint64_t k = 0; k < run.count.value(); ++k) {
            clashes += owners[(run.first + PageCount(k)).value()].fetch_add(1);
          }
          if (run.count > PageCount(0)) mine.push_back(run);
        } else if (!mine.empty()) {
          std::swap(mine[random() % mine.size()], mine.back());
          free_run(mine.back());
          mine.pop_back();
        }
      }
      for (const SlotRun& run : mine) free_run(run);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(clashes.load(), 0);
  EXPECT_EQ(map.used(), PageCount(0));
  EXPECT_TRUE(map.CheckConsistency());
}

// The test of the test: a map that is broken on purpose is found to be. Slots 64 to 127 are the
// second word of each bitmap; of them 64 to 95 are in use, and lent.
class BrokenSlotMap : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(map_.Init(PageCount(500)), 0);
    map_.Extend(Slot(401));
    ASSERT_EQ(map_.AllocateRun(PageCount(95)).count, PageCount(95));
    ASSERT_EQ(map_.Discard(PageCount(kCluster)).first, Slot(128));
    int watched = -1;
    ASSERT_EQ(LifeLine::Make(&watched, &held_), 0);
    ASSERT_EQ(map_.Lend(watched), 0);
    ASSERT_TRUE(map_.CheckConsistency());
  }
  void TearDown() override {
    Descriptors::Close(held_);
    map_.EndLoans();
  }
  template <typename Word>
  void ExpectBrokenBy(Word& word, uint64_t wrong) {
    const uint64_t right = word;
    word = wrong;
    EXPECT_FALSE(map_.CheckConsistency());
    word = right;
    EXPECT_TRUE(map_.CheckConsistency());
  }

  static constexpr uint64_t kFree = ~uint64_t{0} << 32;
  SlotMap map_;
  int held_ = -1;
};

TEST_F(BrokenSlotMap, IsFoundInconsistent) {
  ASSERT_EQ(SlotMapTestPeer::Free(map_), kFree);
  ExpectBrokenBy(SlotMapTestPeer::Bad(map_), uint64_t{1} << 40);
  ExpectBrokenBy(SlotMapTestPeer::Free(map_), 0);
  ExpectBrokenBy(SlotMapTestPeer::Free(map_), ~uint64_t{0});
  // Kept, and free as well; kept although nobody borrows it; discarded, and free as well.
  ExpectBrokenBy(SlotMapTestPeer::Kept(map_), uint64_t{1} << 40);
  ASSERT_EQ(map_.AllocateRun(PageCount(1)).first, Slot(96));
  ExpectBrokenBy(SlotMapTestPeer::Kept(map_), uint64_t{1} << 32);
  ExpectBrokenBy(SlotMapTestPeer::Discarded(map_), uint64_t{1} << 40);
  SlotGauges& gauges = SlotMapTestPeer::Gauges(map_);
  ExpectBrokenBy(gauges.bad, 1);
  ExpectBrokenBy(gauges.usable, 1);
  ExpectBrokenBy(gauges.used, 1);
  ExpectBrokenBy(SlotMapTestPeer::KeptCount(map_), 1);
  ExpectBrokenBy(SlotMapTestPeer::DiscardedCount(map_), 1);
}

TEST_F(BrokenSlotMap, ItsSummariesAndItsEndAreCompared) {
  SlotMapTestPeer::WithFree(map_).Set(0);  // all of the first cluster are in use
  EXPECT_FALSE(map_.CheckConsistency());
  SlotMapTestPeer::WithFree(map_).Clear(0);
  SlotMapTestPeer::AllFree(map_).Set(0);
  EXPECT_FALSE(map_.CheckConsistency());
  SlotMapTestPeer::AllFree(map_).Clear(0);
  EXPECT_TRUE(map_.CheckConsistency());
  // Slots that do not exist are free in no map: here those behind the last of another.
  SlotMap small;
  ASSERT_EQ(small.Init(PageCount(500)), 0);
  small.Extend(Slot(70));
  SlotMapTestPeer::Free(small) |= uint64_t{1} << 40;
  EXPECT_FALSE(small.CheckConsistency());
}

TEST(SlotMap, NoSlotsAreGivenWhereNoneAreAskedFor) {
  SlotMap map;
  ASSERT_EQ(map.Init(PageCount(100)), 0);
  map.Extend(Slot(101));
  EXPECT_EQ(map.AllocateRun(PageCount(0)).count, PageCount(0));
  EXPECT_EQ(map.used(), PageCount(0));
}

class SlotMapDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    ASSERT_EQ(map_.Init(PageCount(500)), 0);
    map_.Extend(Slot(401));
    ASSERT_EQ(map_.AllocateRun(PageCount(100)).first, Slot(1));
  }

  SlotMap map_;
};

TEST_F(SlotMapDeathTest, MisuseStopsTheProgram) {
  map_.Free(Slot(50), PageCount(1));
  map_.Retire(Slot(60));
  EXPECT_DEATH(map_.Free(Slot(50), PageCount(1)), "freed that is not in use");
  EXPECT_DEATH(map_.Free(Slot(45), PageCount(10)), "freed that is not in use");
  EXPECT_DEATH(map_.Free(Slot(60), PageCount(1)), "freed that is not in use");
  EXPECT_DEATH(map_.Free(Slot(0), PageCount(1)), "freed that does not exist");
  EXPECT_DEATH(map_.Free(Slot(400), PageCount(2)), "freed that does not exist");
  EXPECT_DEATH(map_.Free(Slot(450), PageCount(1)), "freed that does not exist");
  EXPECT_DEATH(map_.Retire(Slot(50)), "retired that is not in use");
  EXPECT_DEATH(map_.Retire(Slot(60)), "retired that is not in use");
  EXPECT_DEATH(map_.Retire(Slot(401)), "retired that does not exist");
  EXPECT_DEATH(map_.Extend(Slot(400)), "extended beyond its room, or shrunk");
  EXPECT_DEATH(map_.Extend(Slot(600)), "extended beyond its room, or shrunk");
}

}  // namespace
}  // namespace userpager
