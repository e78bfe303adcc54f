#include "runtime/platform/halt_poller.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "tests/support/eventually.h"
#include "tests/support/own_threads.h"

namespace userpager {
namespace {

constexpr uint64_t kLong = 60'000'000'000;

std::vector<std::filesystem::path> PollingThreads() { return ThreadsNamed("userpager-poll"); }

pid_t IdOf(const std::filesystem::path& thread) { return std::stoi(thread.filename()); }

// How many there should be.
size_t ThreadsWanted() {
  cpu_set_t allowed;
  EXPECT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  return CPU_COUNT(&allowed) == 2 ? 2 : 1;
}

bool AllAre(const std::string& state) {
  const std::vector<std::filesystem::path> threads = PollingThreads();
  for (const std::filesystem::path& thread : threads) {
    if (ThreadStatus(thread, "State").substr(0, 1) != state) return false;
  }
  return threads.size() == ThreadsWanted();
}

bool IsBoundToOneCpu(const std::filesystem::path& thread) {
  cpu_set_t bound;
  return sched_getaffinity(IdOf(thread), sizeof bound, &bound) == 0 && CPU_COUNT(&bound) == 1;
}

TEST(HaltPollerTest, SleepsUntilItIsAskedTo) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start(), 0);
  EXPECT_TRUE(Eventually([] { return AllAre("S"); }));
  poller.Hold(NowNanoseconds() + kLong);
  EXPECT_TRUE(Eventually([] { return AllAre("R"); }));
  poller.Hold(NowNanoseconds());
  EXPECT_TRUE(Eventually([] { return AllAre("S"); }));
  poller.Stop();
  EXPECT_TRUE(PollingThreads().empty());
}

TEST(HaltPollerTest, RunsWhereNothingElseWould) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start(), 0);
  poller.Hold(NowNanoseconds() + kLong);
  EXPECT_TRUE(Eventually([] { return AllAre("R"); }));
  for (const std::filesystem::path& thread : PollingThreads()) {
    EXPECT_EQ(sched_getscheduler(IdOf(thread)), SCHED_IDLE);
    EXPECT_TRUE(Eventually([&] { return IsBoundToOneCpu(thread); }));
  }
}

TEST(HaltPollerTest, StopsWhileItPolls) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start(), 0);
  poller.Hold(NowNanoseconds() + kLong);
  poller.Stop();
  EXPECT_TRUE(PollingThreads().empty());
  ASSERT_EQ(poller.Start(), 0);
  EXPECT_TRUE(Eventually([] { return AllAre("S"); }));
}

TEST(HaltPollerTest, WithoutThreadsNothingIsHeld) {
  HaltPoller poller;
  poller.Hold(NowNanoseconds() + kLong);
  poller.Stop();
  EXPECT_TRUE(PollingThreads().empty());
}

// The child has neither the threads nor those of them that slept.
TEST(HaltPollerTest, StartsAnewInAForkedChild) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start(), 0);
  ASSERT_TRUE(Eventually([] { return AllAre("S"); }));
  const pid_t child = fork();
  if (child == 0) {
    poller.ForgetInChild();
    bool good = PollingThreads().empty() && poller.Start() == 0;
    good = good && Eventually([] { return AllAre("S"); });
    poller.Hold(NowNanoseconds() + kLong);
    good = good && Eventually([] { return AllAre("R"); });
    poller.Stop();
    _exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace userpager
