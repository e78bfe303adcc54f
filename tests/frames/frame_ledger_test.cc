#include "runtime/frames/frame_ledger.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace userpager {
namespace {

TEST(FrameLedger, ChargesUpToTheLimit) {
  FrameLedger ledger;
  ledger.set_limit(PageCount(10));
  EXPECT_EQ(ledger.free().value(), 10u);
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(4), PageCount(0)).value(), 4u);
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(9), PageCount(0)).value(), 6u);
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(1), PageCount(0)).value(), 0u);
  EXPECT_EQ(ledger.free().value(), 0u);
  ledger.Return(PageCount(3));
  EXPECT_EQ(ledger.charged().value(), 7u);
  EXPECT_EQ(ledger.free().value(), 3u);
  EXPECT_EQ(ledger.peak().value(), 10u);
}

TEST(FrameLedger, KeepsFreeWhatIsToStayFree) {
  FrameLedger ledger;
  ledger.set_limit(PageCount(10));
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(10), PageCount(3)).value(), 7u);
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(1), PageCount(3)).value(), 0u);
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(1), PageCount(2)).value(), 1u);
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(5), PageCount(0)).value(), 2u);
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(0), PageCount(0)).value(), 0u);
}

TEST(FrameLedger, MayHaveALimitBelowItsCharge) {
  FrameLedger ledger;
  ledger.set_limit(PageCount(10));
  ASSERT_EQ(ledger.ChargeUpTo(PageCount(8), PageCount(0)).value(), 8u);
  ledger.set_limit(PageCount(5));
  EXPECT_EQ(ledger.free().value(), 0u);
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(1), PageCount(0)).value(), 0u);
  ledger.Return(PageCount(4));
  EXPECT_EQ(ledger.ChargeUpTo(PageCount(4), PageCount(0)).value(), 1u);
}

TEST(FrameLedger, NeverPassesTheLimitFromManyThreads) {
  constexpr unsigned kThreads = 4;
  constexpr uint64_t kLimit = 100;
  FrameLedger ledger;
  ledger.set_limit(PageCount(kLimit));
  std::atomic<uint64_t> held{0};
  std::atomic<uint64_t> over{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 20000; ++i) {
        const PageCount got = ledger.ChargeUpTo(PageCount(1 + (i + t) % 50), PageCount(t));
        over += held.fetch_add(got.value()) + got.value() > kLimit;
        held.fetch_sub(got.value());
        ledger.Return(got);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(over.load(), 0u);
  EXPECT_EQ(ledger.charged().value(), 0u);
  EXPECT_LE(ledger.peak().value(), kLimit);
}

}  // namespace
}  // namespace userpager
