// What is UringEngine's own: being forbidden, an older kernel, and waiting without sleep. Its
// promises as an IoEngine are tested in io_engine_test.cc.
#include "runtime/page_file/uring_engine.h"

#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "runtime/base/clock.h"
#include "runtime/platform/pause.h"
#include "runtime/platform/thread_place.h"
#include "tests/support/child_process.h"
#include "tests/support/eventually.h"
#include "tests/support/own_threads.h"

namespace userpager {
namespace {

class ForbiddenUringTest : public testing::TestWithParam<int> {};

TEST_P(ForbiddenUringTest, OpenReturnsTheReason) {
  const std::string result = InChild([]() -> std::string {
    RefuseSystemCall(SYS_io_uring_setup, GetParam());
    UringEngine engine;
    const Errno error = engine.Open();
    return error == GetParam() ? "" : "got error " + std::to_string(error);
  });
  EXPECT_EQ(result, "");
}

INSTANTIATE_TEST_SUITE_P(Reasons, ForbiddenUringTest, testing::Values(EPERM, EACCES, ENOSYS),
                         [](const auto& error) { return strerrorname_np(error.param); });

// As on kernels before 5.18.
TEST(UringEngine, WorksWithoutTheRegisteredDescriptor) {
  const std::string result = InChild([]() -> std::string {
    RefuseSystemCall(SYS_io_uring_register, EINVAL);
    UringEngine engine;
    if (const Errno error = engine.Open(); error != 0) {
      return error == EPERM || error == ENOSYS || error == EACCES ? "" : "cannot open";
    }
    const int event = eventfd(2, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t value = 0;
    engine.SubmitMessageRead(event, &value, sizeof value, 1);
    IoCompletion completion{};
    if (engine.Wait({&completion, 1}, IoEngine::kNoTimeout) != 1) return "no completion";
    return value == 2 ? "" : "a wrong message";
  });
  EXPECT_EQ(result, "");
}

// How often this thread has slept.
long TimesSlept() {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  return used.ru_nvcsw;
}

constexpr uint64_t kLongNs = 60'000'000'000;
constexpr uint64_t kShortNs = 20'000'000;

class AwakeUringTest : public testing::TestWithParam<IoRing::Mode> {
 protected:
  void SetUp() override {
    if (const Errno error = engine_.Open(); error != 0) {
      GTEST_SKIP() << "no io_uring here: " << strerrorname_np(error);
    }
    engine_.SubmitMessageRead(event_, &value_, sizeof value_, 1);
  }
  void TearDown() override { close(event_); }
  size_t Wait(uint64_t timeout_ns) { return engine_.Wait({&completion_, 1}, timeout_ns); }

  UringEngine engine_{UringEngine::MessageMode::kRead, GetParam()};
  const int event_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t value_ = 0;
  IoCompletion completion_{};
};

// While there is one, the calling thread has its CPU for itself, where it may: what it offers, only
// real-time threads take. Others run on the other CPUs.
class OwnCpu {
 public:
  OwnCpu() {
    place_.Init();
    place_.BindTo(cpu_);
  }
  ~OwnCpu() {
    const sched_param none = {};
    (void)sched_setscheduler(0, SCHED_OTHER, &none);
    place_.Release();
  }
  // Without the right the CPU may be taken now and then.
  void Take() {
    const sched_param lowest = {.sched_priority = 1};
    (void)sched_setscheduler(0, SCHED_FIFO, &lowest);
  }
  // For another thread, which calls it.
  void KeepOff() const {
    cpu_set_t others = allowed_;
    CPU_CLR(static_cast<size_t>(cpu_), &others);
    ASSERT_EQ(sched_setaffinity(0, sizeof others, &others), 0);
  }

 private:
  static cpu_set_t Allowed() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    (void)sched_getaffinity(0, sizeof allowed, &allowed);
    return allowed;
  }

  const cpu_set_t allowed_ = Allowed();
  const int cpu_ = sched_getcpu();
  ThreadPlace place_;
};

TEST_P(AwakeUringTest, SeesWhatComesWithoutSleeping) {
  if (CountAllowedCpus() < 2) GTEST_SKIP() << "needs a CPU for whoever writes";
  OwnCpu cpu;
  const uint64_t end_ns = NowNanoseconds() + kLongNs;
  bool undisturbed = false;
  while (!undisturbed && NowNanoseconds() < end_ns) {
    std::atomic<bool> is_off{false};
    std::atomic<bool> waits{false};
    std::thread writer([&] {
      cpu.KeepOff();
      is_off.store(true);
      while (!waits.load()) std::this_thread::yield();
      const uint64_t write_ns = NowNanoseconds() + kShortNs / 20;
      while (NowNanoseconds() < write_ns) std::this_thread::yield();
      const uint64_t two = 2;
      (void)!write(event_, &two, sizeof two);
    });
    while (!is_off.load()) std::this_thread::yield();
    cpu.Take();
    engine_.StayAwake(end_ns);
    const long slept = TimesSlept();
    waits.store(true);
    EXPECT_EQ(Wait(IoEngine::kNoTimeout), 1u);
    const long slept_after = TimesSlept();
    undisturbed = engine_.StayAwake(0);
    if (undisturbed) {
      EXPECT_EQ(slept_after, slept);
    }
    EXPECT_EQ(value_, 2u);
    writer.join();
    engine_.SubmitMessageRead(event_, &value_, sizeof value_, 1);
  }
  EXPECT_TRUE(undisturbed);
}

TEST_P(AwakeUringTest, SleepsWhenTheTimeIsOver) {
  engine_.StayAwake(NowNanoseconds() + kShortNs);
  const long slept = TimesSlept();
  EXPECT_EQ(Wait(25 * kShortNs), 0u);
  EXPECT_GT(TimesSlept(), slept);
}

// What it has looked for by itself is the kernel's to look for then.
TEST_P(AwakeUringTest, IsWokenByWhatItLookedForBefore) {
  const int other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t other_value = 0;
  engine_.StayAwake(NowNanoseconds() + kShortNs);
  engine_.SubmitMessageRead(other, &other_value, sizeof other_value, 2);
  EXPECT_EQ(Wait(25 * kShortNs), 0u);
  const auto own = std::filesystem::path("/proc/self/task") / std::to_string(gettid());
  std::thread writer([&] {
    EXPECT_TRUE(Eventually([&] { return ThreadStatus(own, "State").starts_with("S"); }));
    (void)eventfd_write(other, 5);
  });
  EXPECT_EQ(Wait(IoEngine::kNoTimeout), 1u);
  EXPECT_EQ(completion_.tag, 2u);
  EXPECT_EQ(other_value, 5u);
  writer.join();
  close(other);
}

// More messages than there is room for, and no time to stay awake any more: none is lost.
TEST_P(AwakeUringTest, KeepsWhatThereIsNoRoomFor) {
  const int events[] = {eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC),
                        eventfd(2, EFD_NONBLOCK | EFD_CLOEXEC)};
  uint64_t values[2] = {};
  engine_.StayAwake(NowNanoseconds() + kLongNs);
  for (unsigned i = 0; i < 2; ++i) engine_.SubmitMessageRead(events[i], &values[i], 8, 10 + i);
  ASSERT_EQ(Wait(IoEngine::kNoTimeout), 1u);
  engine_.StayAwake(0);
  const uint64_t first = completion_.tag;
  ASSERT_EQ(Wait(IoEngine::kNoTimeout), 1u);
  EXPECT_EQ(first + completion_.tag, 21u);
  EXPECT_EQ(values[0], 1u);
  EXPECT_EQ(values[1], 2u);
  EXPECT_EQ(Wait(0), 0u);
  for (const int event : events) close(event);
}

// Whether it is to stay awake for a part of the time or for longer. Looking does not come on top,
// but for what the machine adds now and then.
TEST_P(AwakeUringTest, WaitsNoLongerThanItMay) {
  constexpr uint64_t kTimeoutNs = 10 * kShortNs;
  constexpr unsigned kTries = 10;
  for (const uint64_t awake_ns : {kTimeoutNs / 2, kLongNs}) {
    uint64_t shortest_ns = UINT64_MAX;
    for (unsigned i = 0; i < kTries && shortest_ns >= kTimeoutNs + kTimeoutNs / 4; ++i) {
      const uint64_t begin_ns = NowNanoseconds();
      engine_.StayAwake(begin_ns + awake_ns);
      EXPECT_EQ(Wait(kTimeoutNs), 0u);
      const uint64_t passed_ns = NowNanoseconds() - begin_ns;
      EXPECT_GE(passed_ns, kTimeoutNs);
      shortest_ns = std::min(shortest_ns, passed_ns);
    }
    EXPECT_LT(shortest_ns, kTimeoutNs + kTimeoutNs / 4);
  }
  EXPECT_EQ(Wait(0), 0u);
  const uint64_t one = 1;
  ASSERT_EQ(write(event_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  EXPECT_EQ(Wait(kShortNs), 1u);
}

// A thread that works on the same CPU gets it, and this one does not go on wanting it.
TEST_P(AwakeUringTest, GivesWayToWhoWantsTheCpu) {
  ThreadPlace place;
  place.Init();
  place.BindTo(sched_getcpu());
  std::atomic<bool> works{true};
  std::thread other([&] {  // inherits the place
    while (works.load(std::memory_order_relaxed)) Pause();
  });
  const uint64_t end_ns = NowNanoseconds() + kLongNs;
  while (engine_.StayAwake(end_ns) && NowNanoseconds() < end_ns) EXPECT_EQ(Wait(kShortNs), 0u);
  EXPECT_LT(NowNanoseconds(), end_ns);
  const long slept = TimesSlept();
  EXPECT_EQ(Wait(kShortNs), 0u);
  EXPECT_GT(TimesSlept(), slept);
  works.store(false);
  other.join();
  EXPECT_TRUE(engine_.StayAwake(NowNanoseconds())) << "it is told once";
  place.Release();
}

INSTANTIATE_TEST_SUITE_P(Modes, AwakeUringTest,
                         testing::Values(IoRing::Mode::kDeferred, IoRing::Mode::kPlain),
                         [](const auto& mode) {
                           return mode.param == IoRing::Mode::kPlain ? "Plain" : "Deferred";
                         });

}  // namespace
}  // namespace userpager
