#include "runtime/platform/fault_waiters.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace userpager {
namespace {

constexpr PageIndex kPage{1000};

// Nothing of what came before the wait is forgotten: Await returns at once.
TEST(FaultWaitersTest, WakeBetweenJoinAndAwait) {
  FaultWaiters waiters;
  const FaultTicket ticket = waiters.Join(kPage);
  waiters.Wake(PageRange(kPage, PageCount(1)));
  waiters.Await(ticket);
}

TEST(FaultWaitersTest, AnyRangeWithThePageWakes) {
  FaultWaiters waiters;
  for (const PageRange range :
       {PageRange(kPage - PageCount(9), PageCount(10)), PageRange(kPage, PageCount(70)),
        PageRange(kPage - PageCount(500), PageCount(1000))}) {
    const FaultTicket ticket = waiters.Join(kPage);
    waiters.Wake(range);
    waiters.Await(ticket);
  }
}

// Who joins after a wake waits for the next one.
TEST(FaultWaitersTest, EarlierWakesAreNotCounted) {
  FaultWaiters waiters;
  waiters.Await([&] {
    const FaultTicket ticket = waiters.Join(kPage);
    waiters.Wake(PageRange(kPage, PageCount(1)));
    return ticket;
  }());
  const FaultTicket ticket = waiters.Join(kPage);
  std::atomic<bool> woken{false};
  std::atomic<bool> early{false};
  std::thread waiter([&] {
    waiters.Await(ticket);
    early.store(!woken.load());
  });
  // Another page's wake may or may not be seen; this page's must be.
  woken.store(true);
  waiters.Wake(PageRange(kPage, PageCount(1)));
  waiter.join();
  EXPECT_FALSE(early.load());
}

// Threads take a value in turns that a lock protects: each waits until it is its own. A wake that
// was missed would leave one waiting for ever.
TEST(FaultWaitersTest, NoWakeIsMissed) {
  constexpr unsigned kThreads = 6;
  constexpr unsigned kTurns = 500;
  FaultWaiters waiters;
  std::mutex lock;
  unsigned turn = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned taken = 0; taken < kTurns;) {
        FaultTicket ticket;
        {
          std::lock_guard hold(lock);
          if (turn % kThreads == t) {
            ++turn;
            ++taken;
            waiters.Wake(PageRange(kPage, PageCount(1)));
            continue;
          }
          ticket = waiters.Join(kPage);
        }
        waiters.Await(ticket);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turn, kThreads * kTurns);
}

}  // namespace
}  // namespace userpager
