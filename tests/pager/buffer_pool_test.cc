#include "runtime/pager/buffer_pool.h"

#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

TEST(BufferPool, FollowsTheMemoryLimit) {
  EXPECT_EQ(BufferPool::PagesFor(PageCount(32)).value(), 8u);
  EXPECT_EQ(BufferPool::PagesFor(PageCount(16384)).value(), 512u);
  // Whole huge pages, or none.
  EXPECT_EQ(BufferPool::PagesFor(PageCount(16352)).value(), 511u);
  EXPECT_EQ(BufferPool::PagesFor(PageCount(20000)).value(), 512u);
  EXPECT_EQ(BufferPool::PagesFor(PageCount(1 << 20)).value(), BufferPool::kMostPages);
}

TEST(BufferPool, RunsDoNotOverlapAndComeBack) {
  BufferPool pool;
  ASSERT_EQ(pool.Init(), 0);
  pool.set_pages(PageCount(300));
  std::mt19937_64 random(TestSeed());
  std::vector<BufferPool::Run> runs;
  std::set<unsigned> taken;
  for (unsigned i = 0; i < 20000; ++i) {
    if (random() % 2 == 0 || runs.empty()) {
      const PageCount most(1 + random() % 64);
      const BufferPool::Run run = pool.Take(most);
      EXPECT_LE(run.count, most);
      EXPECT_EQ(run.count.value() == 0, taken.size() == 300);
      for (unsigned k = 0; k < run.count.value(); ++k) {
        EXPECT_LT(run.first + k, 300u);
        EXPECT_TRUE(taken.insert(run.first + k).second);
      }
      if (run.count.value() > 0) runs.push_back(run);
    } else {
      std::swap(runs[random() % runs.size()], runs.back());
      const BufferPool::Run run = runs.back();
      runs.pop_back();
      pool.Give(run);
      for (unsigned k = 0; k < run.count.value(); ++k) taken.erase(run.first + k);
    }
    ASSERT_EQ(pool.free().value(), 300 - taken.size());
  }
  for (const BufferPool::Run run : runs) pool.Give(run);
  EXPECT_TRUE(pool.all_free());
}

TEST(BufferPool, TheLongestGapWhereNoneIsLongEnough) {
  BufferPool pool;
  ASSERT_EQ(pool.Init(), 0);
  pool.set_pages(PageCount(100));
  const BufferPool::Run first = pool.Take(PageCount(10));
  const BufferPool::Run second = pool.Take(PageCount(50));
  pool.Give(first);
  EXPECT_EQ(pool.Take(PageCount(64)).count.value(), 40u);
  EXPECT_EQ(pool.Take(PageCount(64)).count.value(), 10u);
  EXPECT_EQ(pool.Take(PageCount(1)).count.value(), 0u);
  pool.Give(second);
}

TEST(BufferPoolDeathTest, ABufferIsGivenBackOnce) {
  BufferPool pool;
  ASSERT_EQ(pool.Init(), 0);
  pool.set_pages(PageCount(8));
  const BufferPool::Run run = pool.Take(PageCount(2));
  pool.Give(run);
  EXPECT_DEATH(pool.Give(run), "a buffer was given back twice");
}

}  // namespace
}  // namespace userpager
