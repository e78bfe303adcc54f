#include "runtime/base/lock.h"

#include <iterator>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace userpager {
namespace {

TEST(Lock, KeepsThreadsApart) {
  Lock lock(LockRank::kLeaf);
  constexpr unsigned kThreads = 4;
  constexpr unsigned kSteps = 10'000;
  unsigned count = 0;
  bool inside = false;
  bool met = false;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&lock, &count, &inside, &met] {
      for (unsigned step = 0; step < kSteps; ++step) {
        LockHolder hold(lock);
        met = met || inside;
        inside = true;
        ++count;
        inside = false;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kSteps);
  EXPECT_FALSE(met);
}

TEST(Lock, TryAcquireTellsWhetherItIsFree) {
  Lock lock(LockRank::kShard);
  {
    LockHolder hold(lock);
    lock.AssertHeld();
    bool refused = false;
    std::thread other([&lock, &refused] {
      if (lock.TryAcquire()) {
        lock.Release();
      } else {
        refused = true;
      }
    });
    other.join();
    EXPECT_TRUE(refused);
  }
  if (lock.TryAcquire()) {
    lock.AssertHeld();
    lock.Release();
  } else {
    ADD_FAILURE() << "a lock that nobody holds was not to be had";
  }
}

TEST(Lock, AllRanksCanBeHeldInTheirOrder) {
  Lock lifecycle(LockRank::kLifecycle);
  Lock growth(LockRank::kPageFileGrowth);
  Lock tree(LockRank::kVadTree);
  Lock shard(LockRank::kShard);
  Lock file(LockRank::kPageFile);
  Lock leaf(LockRank::kLeaf);
  LockHolder hold_lifecycle(lifecycle);
  LockHolder hold_growth(growth);
  LockHolder hold_tree(tree);
  LockHolder hold_shard(shard);
  LockHolder hold_file(file);
  LockHolder hold_leaf(leaf);
  lifecycle.AssertHeld();
  leaf.AssertHeld();
}

// A wrong order is what these tests are about, so the analysis of it is off.
#define USERPAGER_TEST_WRONG_ORDER ABSL_NO_THREAD_SAFETY_ANALYSIS

void TakeInOrder(LockRank first, LockRank second) USERPAGER_TEST_WRONG_ORDER {
  Lock one(first);
  Lock two(second);
  one.Acquire();
  two.Acquire();
  two.Release();
  one.Release();
}

void TryInOrder(LockRank first, LockRank second) USERPAGER_TEST_WRONG_ORDER {
  Lock one(first);
  Lock two(second);
  one.Acquire();
  if (two.TryAcquire()) two.Release();
  one.Release();
}

void ReleaseInTheWrongOrder() USERPAGER_TEST_WRONG_ORDER {
  Lock one(LockRank::kVadTree);
  Lock two(LockRank::kShard);
  one.Acquire();
  two.Acquire();
  one.Release();
}

void AssertHeldWithoutTheLock() USERPAGER_TEST_WRONG_ORDER {
  const Lock lock(LockRank::kShard);
  lock.AssertHeld();
}

class LockDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
#ifdef NDEBUG
    GTEST_SKIP() << "SKIPPED: lock ranks are only checked in builds without NDEBUG";
#endif
  }
};

TEST_F(LockDeathTest, EveryWrongOrderAborts) {
  constexpr LockRank kRanks[] = {LockRank::kLifecycle, LockRank::kPageFileGrowth,
                                 LockRank::kVadTree,   LockRank::kShard,
                                 LockRank::kPageFile,  LockRank::kLeaf};
  for (size_t i = 0; i + 1 < std::size(kRanks); ++i) {
    TakeInOrder(kRanks[i], kRanks[i + 1]);
    EXPECT_DEATH(TakeInOrder(kRanks[i + 1], kRanks[i]), "against the order of lock_rank.h");
  }
}

TEST_F(LockDeathTest, TwoLocksOfOneRankAbort) {
  EXPECT_DEATH(TakeInOrder(LockRank::kShard, LockRank::kShard), "against the order");
}

TEST_F(LockDeathTest, AWrongOrderByTryAcquireAborts) {
  TryInOrder(LockRank::kVadTree, LockRank::kShard);
  EXPECT_DEATH(TryInOrder(LockRank::kShard, LockRank::kVadTree), "against the order");
}

TEST_F(LockDeathTest, ReleasingOutOfOrderAborts) {
  EXPECT_DEATH(ReleaseInTheWrongOrder(), "another order than the reverse");
}

TEST_F(LockDeathTest, AssertHeldAbortsWithoutTheLock) {
  EXPECT_DEATH(AssertHeldWithoutTheLock(), "called without its lock");
}

}  // namespace
}  // namespace userpager
