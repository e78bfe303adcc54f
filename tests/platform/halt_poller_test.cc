#include "runtime/platform/halt_poller.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "tests/support/eventually.h"
#include "tests/support/own_threads.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kLong = 60'000'000'000;
constexpr const char* kNoDevice = "/nonexistent";
constexpr int kNoLatency = 0;
constexpr int kAnyLatency = 2'000'000'000;

std::vector<std::filesystem::path> PollingThreads() { return ThreadsNamed("userpager-poll"); }

// A thread that was joined is in /proc for a moment still.
bool NoneIsLeft() {
  return Eventually([] { return PollingThreads().empty(); });
}

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
  ASSERT_EQ(poller.Start(kNoDevice), 0);
  EXPECT_TRUE(Eventually([] { return AllAre("S"); }));
  poller.Hold(NowNanoseconds() + kLong);
  EXPECT_TRUE(Eventually([] { return AllAre("R"); }));
  poller.Hold(NowNanoseconds());
  EXPECT_TRUE(Eventually([] { return AllAre("S"); }));
  poller.Stop();
  EXPECT_TRUE(NoneIsLeft());
}

TEST(HaltPollerTest, RunsWhereNothingElseWould) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start(kNoDevice), 0);
  poller.Hold(NowNanoseconds() + kLong);
  EXPECT_TRUE(Eventually([] { return AllAre("R"); }));
  for (const std::filesystem::path& thread : PollingThreads()) {
    EXPECT_EQ(sched_getscheduler(IdOf(thread)), SCHED_IDLE);
    EXPECT_TRUE(Eventually([&] { return IsBoundToOneCpu(thread); }));
  }
}

TEST(HaltPollerTest, StopsWhileItPolls) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start(kNoDevice), 0);
  poller.Hold(NowNanoseconds() + kLong);
  poller.Stop();
  EXPECT_TRUE(NoneIsLeft());
  ASSERT_EQ(poller.Start(kNoDevice), 0);
  EXPECT_TRUE(Eventually([] { return AllAre("S"); }));
}

// A request that the kernel does not take is given up, and all goes on without.
TEST(HaltPollerTest, ARequestThatFailsIsNotMadeAgain) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start("/dev/full"), 0);
  const auto has_it = [] {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry.path(), gone) == "/dev/full") return true;
    }
    return false;
  };
  if (!has_it()) GTEST_SKIP() << "on so many CPUs nothing is requested";
  poller.Hold(NowNanoseconds() + kLong);
  EXPECT_TRUE(Eventually([&] { return !has_it(); }));
  poller.Hold(NowNanoseconds() + kLong);
  poller.Stop();
  EXPECT_TRUE(NoneIsLeft());
}

TEST(HaltPollerTest, WithoutThreadsNothingIsHeld) {
  HaltPoller poller;
  poller.Hold(NowNanoseconds() + kLong);
  poller.Stop();
  EXPECT_TRUE(NoneIsLeft());
}

// The child has neither the threads nor those of them that slept.
TEST(HaltPollerTest, StartsAnewInAForkedChild) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start(kNoDevice), 0);
  ASSERT_TRUE(Eventually([] { return AllAre("S"); }));
  const pid_t child = fork();
  if (child == 0) {
    poller.ForgetInChild();
    bool good = PollingThreads().empty() && poller.Start(kNoDevice) == 0;
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

// What requests are made, by a file in place of the kernel's: each write is told there.
class HaltRequestTest : public testing::Test {
 protected:
  void SetUp() override {
    if (sysconf(_SC_NPROCESSORS_ONLN) > 2) {
      GTEST_SKIP() << "this machine has more than two CPUs: no request concerns all of them";
    }
    std::ofstream created(file_);
    ASSERT_TRUE(created.good());
  }
  std::vector<int> Asked() const {
    std::ifstream in(file_, std::ios::binary);
    std::vector<int> asked;
    for (int value = 0; in.read(reinterpret_cast<char*>(&value), sizeof value);) {
      asked.push_back(value);
    }
    return asked;
  }
  bool Becomes(const std::vector<int>& asked) {
    return Eventually([&] { return Asked() == asked; });
  }

  TempDirectory directory_;
  const std::string file_ = directory_.path() + "/requests";
};

TEST_F(HaltRequestTest, MadeAndLifted) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start(file_.c_str()), 0);
  // It has its name a moment after it was made.
  EXPECT_TRUE(Eventually([] { return PollingThreads().size() == 1; }));
  EXPECT_TRUE(Asked().empty());
  poller.Hold(NowNanoseconds() + kLong);
  EXPECT_TRUE(Becomes({kNoLatency}));
  // Prolonged: still the same request.
  poller.Hold(NowNanoseconds() + 2 * kLong);
  poller.Hold(NowNanoseconds());
  EXPECT_TRUE(Becomes({kNoLatency, kAnyLatency}));
  // It ends by itself, too.
  poller.Hold(NowNanoseconds() + 500'000'000);
  EXPECT_TRUE(Becomes({kNoLatency, kAnyLatency, kNoLatency, kAnyLatency}));
  poller.Stop();
  EXPECT_TRUE(NoneIsLeft());
}

TEST_F(HaltRequestTest, StopsWhileItIsMade) {
  HaltPoller poller;
  ASSERT_EQ(poller.Start(file_.c_str()), 0);
  poller.Hold(NowNanoseconds() + kLong);
  EXPECT_TRUE(Becomes({kNoLatency}));
  poller.Stop();
  EXPECT_TRUE(NoneIsLeft());
}

// The kernel tells whoever asks what the least of all requests is.
TEST_F(HaltRequestTest, TheKernelKnowsOfIt) {
  const int device = open(LatencyRequest::kDevice, O_RDONLY | O_CLOEXEC);
  if (device < 0) GTEST_SKIP() << LatencyRequest::kDevice << ": " << strerror(errno);
  HaltPoller poller;
  ASSERT_EQ(poller.Start(), 0);
  poller.Hold(NowNanoseconds() + kLong);
  EXPECT_TRUE(Eventually([device] {
    int least = kAnyLatency;
    return pread(device, &least, sizeof least, 0) == sizeof least && least == kNoLatency;
  }));
  close(device);
}

}  // namespace
}  // namespace userpager
