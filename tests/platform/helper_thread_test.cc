// A thread and its helper do each part of a work once, and neither waits for the other where that
// has not begun.
#include "runtime/platform/helper_thread.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/sync_point.h"
#include "tests/support/eventually.h"
#include "tests/support/own_threads.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

// Counts what is done, and by whom.
struct Work {
  explicit Work(unsigned count) : times(count) {}

  static void Do(void* work, unsigned part) {
    auto& self = *static_cast<Work*>(work);
    ++self.times.at(part);
    if (std::this_thread::get_id() != self.caller) ++self.by_helper;
  }
  bool IsDoneOnce() const {
    for (const auto& count : times) {
      if (count.load() != 1) return false;
    }
    return true;
  }

  std::vector<std::atomic<unsigned>> times;
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<unsigned> by_helper{0};
};

size_t Helpers() { return ThreadsNamed("userpager-help").size(); }

class HelperThreadTest : public testing::Test {
 protected:
  ~HelperThreadTest() override { SyncPoints::ClearAll(); }

  void Start() {
    ASSERT_EQ(helper_.Start(), 0);
    ASSERT_TRUE(Eventually([] { return Helpers() == 1; }));
  }

  void DoAll(HelperThread::DoPart do_part, void* work, unsigned count) {
    helper_.Begin(do_part, work, count);
    helper_.Finish(count);
  }

  HelperThread helper_;
};

TEST_F(HelperThreadTest, EachPartIsDoneOnce) {
  Start();
  std::mt19937_64 random(TestSeed());
  for (unsigned round = 0; round < 20'000; ++round) {
    Work work(static_cast<unsigned>(random() % 9));
    DoAll(&Work::Do, &work, static_cast<unsigned>(work.times.size()));
    ASSERT_TRUE(work.IsDoneOnce()) << "round " << round;
  }
}

// Whatever the steps, what was asked for is done when Finish returns.
TEST_F(HelperThreadTest, PartsAreFinishedInAnySteps) {
  Start();
  std::mt19937_64 random(TestSeed());
  for (unsigned round = 0; round < 5'000; ++round) {
    const auto count = static_cast<unsigned>(random() % (HelperThread::kMostParts + 1));
    Work work(count);
    helper_.Begin(&Work::Do, &work, count);
    for (unsigned end = 0;;) {
      helper_.Finish(end);
      for (unsigned i = 0; i < end; ++i) ASSERT_EQ(work.times[i].load(), 1u) << i << " of " << end;
      if (end == count) break;
      end = std::min(count, end + 1 + static_cast<unsigned>(random() % 9));
    }
    ASSERT_TRUE(work.IsDoneOnce()) << "round " << round;
  }
}

// The caller is in its part until the helper is in another.
TEST_F(HelperThreadTest, BothWorkAtATime) {
  Start();
  struct Pair {
    static void Do(void* work, unsigned) {
      auto& inside = *static_cast<std::atomic<unsigned>*>(work);
      ++inside;
      EXPECT_TRUE(Eventually([&] { return inside.load() == 2; }));
    }
  };
  std::atomic<unsigned> inside{0};
  DoAll(&Pair::Do, &inside, 2);
  EXPECT_EQ(inside.load(), 2u);
}

// Between Begin and Finish the caller does something else.
TEST_F(HelperThreadTest, TheHelperBeginsAlone) {
  Start();
  Work work(HelperThread::kMostParts);
  helper_.Begin(&Work::Do, &work, HelperThread::kMostParts);
  EXPECT_TRUE(Eventually([&] { return work.IsDoneOnce(); }));
  helper_.Finish(HelperThread::kMostParts);
  EXPECT_TRUE(work.IsDoneOnce());
  EXPECT_EQ(work.by_helper.load(), HelperThread::kMostParts);
}

// The helper is held in the first part, and the caller wants the first two: it does others rather
// than wait.
TEST_F(HelperThreadTest, TheFirstPartsAreFinishedWhileOthersAreNot) {
  Start();
  struct Held {
    static void Do(void* work, unsigned part) {
      auto& self = *static_cast<Held*>(work);
      if (part == 0) {
        self.begun.store(true);
        EXPECT_TRUE(Eventually([&] { return self.let_go.load(); }));
      }
      if (part == 3) self.let_go.store(true);
      Work::Do(&self.work, part);
    }
    Work work{8};
    std::atomic<bool> begun{false};
    std::atomic<bool> let_go{false};
  };
  Held held;
  helper_.Begin(&Held::Do, &held, 8);
  ASSERT_TRUE(Eventually([&] { return held.begun.load(); }));
  helper_.Finish(2);
  EXPECT_EQ(held.work.times[0].load(), 1u);
  EXPECT_EQ(held.work.times[1].load(), 1u);
  helper_.Finish(8);
  EXPECT_TRUE(held.work.IsDoneOnce());
}

// It is stopped on its way to the work, which the caller has done meanwhile; it takes nothing of
// that, and nothing twice of what comes next.
TEST_F(HelperThreadTest, OneThatComesLateFindsNothing) {
  std::atomic<bool> held{true};
  std::atomic<unsigned> awake{0};
  SyncPoints::Set("helper:awake", [&](uint64_t) {
    ++awake;
    EXPECT_TRUE(Eventually([&] { return !held.load(); }));
  });
  Start();
  ASSERT_TRUE(Eventually([&] { return awake.load() == 1; }));
  Work late(8);
  DoAll(&Work::Do, &late, 8);
  EXPECT_TRUE(late.IsDoneOnce());
  EXPECT_EQ(late.by_helper.load(), 0u);
  held.store(false);
  for (unsigned round = 0; round < 1'000; ++round) {
    Work work(8);
    DoAll(&Work::Do, &work, 8);
    ASSERT_TRUE(work.IsDoneOnce());
  }
  EXPECT_TRUE(late.IsDoneOnce());
  helper_.Stop();  // it may be looking at `held`
}

TEST_F(HelperThreadTest, OneThatNeverComesIsSeldomAsked) {
  std::atomic<bool> held{true};
  SyncPoints::Set("helper:awake",
                  [&](uint64_t) { EXPECT_TRUE(Eventually([&] { return !held.load(); })); });
  unsigned offered = 0;
  SyncPoints::Set("helper:offered", [&](uint64_t) { ++offered; });
  Start();
  constexpr unsigned kCalls = 680;
  for (unsigned i = 0; i < kCalls; ++i) {
    Work work(2);
    DoAll(&Work::Do, &work, 2);
    ASSERT_TRUE(work.IsDoneOnce());
  }
  EXPECT_EQ(offered, kCalls / 17);  // four times of 68
  held.store(false);
  helper_.Stop();  // it may be looking at `held`
}

TEST_F(HelperThreadTest, WithoutAThreadTheCallerDoesAll) {
  Work work(5);
  DoAll(&Work::Do, &work, 5);
  EXPECT_TRUE(work.IsDoneOnce());
  Start();
  helper_.Stop();
  EXPECT_TRUE(Eventually([] { return Helpers() == 0; }));
  Work after(5);
  DoAll(&Work::Do, &after, 5);
  EXPECT_TRUE(after.IsDoneOnce());
  EXPECT_EQ(after.by_helper.load(), 0u);
}

TEST_F(HelperThreadTest, AChildHasNoneUntilItStartsOne) {
  Start();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    helper_.ForgetInChild();
    Work alone(4);
    DoAll(&Work::Do, &alone, 4);
    bool good = alone.IsDoneOnce() && alone.by_helper.load() == 0 && helper_.Start() == 0;
    for (unsigned round = 0; round < 1'000; ++round) {
      Work work(4);
      DoAll(&Work::Do, &work, 4);
      good = good && work.IsDoneOnce();
    }
    helper_.Stop();
    _exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace userpager
