#include "runtime/address_space/commit_charge.h"

#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

using Token = CommitCharge::Token;

TEST(CommitCharge, ATokenHandsBackWhatWasNotKept) {
  CommitCharge charge;
  charge.set_limit(PageCount(10));
  {
    const Token token = charge.Charge(PageCount(7));
    EXPECT_TRUE(token.granted());
    EXPECT_EQ(charge.charged(), PageCount(7));
  }
  EXPECT_EQ(charge.charged(), PageCount(0));
  EXPECT_EQ(charge.peak(), PageCount(7));
  {
    Token token = charge.Charge(PageCount(4));
    token.Keep();
    EXPECT_TRUE(token.granted());
  }
  EXPECT_EQ(charge.charged(), PageCount(4));
  charge.Return(PageCount(3));
  EXPECT_EQ(charge.charged(), PageCount(1));
  EXPECT_EQ(charge.peak(), PageCount(7));
}

TEST(CommitCharge, TheLimitIsExactAndAllOrNothing) {
  CommitCharge charge;
  charge.set_limit(PageCount(10));
  EXPECT_FALSE(charge.Charge(PageCount(11)).granted());
  EXPECT_FALSE(charge.Charge(PageCount(~uint64_t{0})).granted());
  const Token all = charge.Charge(PageCount(10));
  EXPECT_TRUE(all.granted());
  EXPECT_FALSE(charge.Charge(PageCount(1)).granted());
  EXPECT_FALSE(charge.Charge(PageCount(~uint64_t{0})).granted());
  EXPECT_EQ(charge.charged(), PageCount(10));
  EXPECT_EQ(charge.peak(), PageCount(10));
}

TEST(CommitCharge, ALimitBelowTheChargeGrantsNothingMore) {
  CommitCharge charge;
  charge.set_limit(PageCount(10));
  Token token = charge.Charge(PageCount(8));
  token.Keep();
  charge.set_limit(PageCount(5));
  EXPECT_EQ(charge.limit(), PageCount(5));
  EXPECT_EQ(charge.charged(), PageCount(8));
  EXPECT_FALSE(charge.Charge(PageCount(1)).granted());
  EXPECT_TRUE(charge.Charge(PageCount(0)).granted());
  charge.Return(PageCount(4));
  EXPECT_TRUE(charge.Charge(PageCount(1)).granted());
  EXPECT_FALSE(charge.Charge(PageCount(2)).granted());
}

TEST(CommitCharge, MovingATokenMovesItsPages) {
  CommitCharge charge;
  charge.set_limit(PageCount(100));
  Token first = charge.Charge(PageCount(10));
  Token second(std::move(first));
  EXPECT_TRUE(second.granted());
  EXPECT_EQ(charge.charged(), PageCount(10));
  Token third = charge.Charge(PageCount(5));
  third = std::move(second);  // what `third` held goes back
  EXPECT_EQ(charge.charged(), PageCount(10));
  third = Token();
  EXPECT_FALSE(third.granted());
  EXPECT_EQ(charge.charged(), PageCount(0));
}

TEST(CommitCharge, ThreadsNeverPassTheLimit) {
  static constexpr uint64_t kLimit = 50;
  const uint64_t seed = TestSeed();
  CommitCharge charge;
  charge.set_limit(PageCount(kLimit));
  std::atomic<uint64_t> granted{0};
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&charge, &granted, seed, i] {
      std::mt19937_64 random(seed + i);
      for (unsigned step = 0; step < 20'000; ++step) {
        const PageCount pages(random() % 30);
        Token token = charge.Charge(pages);
        if (!token.granted()) continue;
        granted.fetch_add(1);
        EXPECT_LE(charge.charged().value(), kLimit);
        if (random() % 2 == 0) continue;
        token.Keep();
        charge.Return(pages);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(granted.load(), 0u);
  EXPECT_EQ(charge.charged(), PageCount(0));
  EXPECT_LE(charge.peak().value(), kLimit);
}

TEST(CommitChargeDeathTest, WrongUseStopsTheProgram) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  CommitCharge charge;
  EXPECT_DEATH(charge.Return(PageCount(1)), "more commit charge was returned");
  EXPECT_DEATH(Token().Keep(), "not granted");
}

}  // namespace
}  // namespace userpager
