#include "runtime/platform/halt_poller.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "tests/support/running_pager.h"

namespace userpager {
namespace {

constexpr uint64_t kLong = 60'000'000'000;

struct PollingThread {
  pid_t id;
  std::string state;  // as proc(5) has it
};

// The threads of this process that HaltPoller has made.
std::vector<PollingThread> PollingThreads() {
  std::vector<PollingThread> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string line;
    std::getline(std::ifstream(entry.path() / "stat"), line);
    const size_t name_end = line.rfind(')');
    if (line.find("(userpager-poll)") == std::string::npos) continue;
    found.push_back({std::stoi(entry.path().filename()), line.substr(name_end + 2, 1)});
  }
  return found;
}

// How many there should be.
size_t ThreadsWanted() {
  cpu_set_t allowed;
  EXPECT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  return CPU_COUNT(&allowed) == 2 ? 2 : 1;
}

bool AllAre(const std::string& state) {
  const std::vector<PollingThread> threads = PollingThreads();
  for (const PollingThread& thread : threads) {
    if (thread.state != state) return false;
  }
  return threads.size() == ThreadsWanted();
}

bool IsBoundToOneCpu(const PollingThread& thread) {
  cpu_set_t bound;
  return sched_getaffinity(thread.id, sizeof bound, &bound) == 0 && CPU_COUNT(&bound) == 1;
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
  for (const PollingThread& thread : PollingThreads()) {
    EXPECT_EQ(sched_getscheduler(thread.id), SCHED_IDLE);
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
