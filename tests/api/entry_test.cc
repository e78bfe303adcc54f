#include "runtime/api/entry.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "runtime/api/thread_state.h"
#include "runtime/base/arena.h"
#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/sanitizers.h"

namespace userpager {
namespace {

bool IsOnRuntimeStack() {
  const char here = 0;
  const char* stack = CurrentThread().stack;
  return stack != nullptr && &here >= stack && &here < stack + Entry::kStackBytes;
}

TEST(EntryTest, ResultComesBack) {
  struct Pair {
    uint64_t a;
    uint64_t b;
  };
  const auto pair = RunInside([x = uint64_t{7}] { return Pair{x, x * x}; });
  ASSERT_TRUE(pair.has_value());
  EXPECT_EQ(pair->a, 7u);
  EXPECT_EQ(pair->b, 49u);
}

TEST(EntryTest, RunsOnAStackOfItsOwn) {
  if (kInstrumented) GTEST_SKIP() << "stacks are not switched under this sanitizer";
  EXPECT_TRUE(RunInside([] { return IsOnRuntimeStack(); }).value());
  EXPECT_FALSE(IsOnRuntimeStack());
}

TEST(EntryTest, NestedCallsJustRun) {
  EXPECT_FALSE(Entry::IsInside());
  const auto depth = RunInside([] {
    if (!Entry::IsInside()) return 0;
    const auto inner = RunInside([] { return Entry::IsInside() ? 2 : 1; });
    return Entry::IsInside() ? *inner : 1;
  });
  EXPECT_EQ(depth, 2);
  EXPECT_FALSE(Entry::IsInside());
}

TEST(EntryTest, BlocksAllSignalsButTheSynchronous) {
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  const auto mask = RunInside([] {
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return now;
  });
  for (int signal = 1; signal < 65; ++signal) {
    const bool open = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE ||
                      signal == SIGILL || signal == SIGTRAP || signal == SIGSYS ||
                      signal == SIGKILL || signal == SIGSTOP;
    EXPECT_EQ(sigismember(&*mask, signal) == 1, !open) << strsignal(signal);
  }
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < 65; ++signal) {
    EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal)) << signal;
  }
}

std::atomic<int> handled{0};

// A signal that comes inside is handled when the thread has left.
TEST(EntryTest, SignalsWait) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) { handled.fetch_add(Entry::IsInside() ? 100 : 1); };
  sigaction(SIGUSR1, &action, &before);
  handled.store(0);
  const auto seen_inside = RunInside([] {
    pthread_kill(pthread_self(), SIGUSR1);
    return handled.load();
  });
  EXPECT_EQ(seen_inside, 0);
  EXPECT_EQ(handled.load(), 1);
  sigaction(SIGUSR1, &before, nullptr);
}

TEST(EntryTest, ErrnoStays) {
  errno = ERANGE;
  RunInside([] {
    errno = EIO;
    return true;
  });
  EXPECT_EQ(errno, ERANGE);
}

TEST(EntryTest, CancellationIsHeldOff) {
  std::atomic<bool> left{false};
  std::atomic<bool> ready{false};
  std::atomic<bool> cancelled{false};
  std::atomic<bool>* const flags[] = {&ready, &cancelled};
  std::thread thread([&] {
    RunInside([flags = &flags[0]] {
      flags[0]->store(true);
      while (!flags[1]->load()) std::this_thread::yield();
      pthread_testcancel();
      return true;
    });
    left.store(true);
    // From here on it would take effect. That is the C library's to test: the thread ends as usual.
    int state = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    EXPECT_EQ(state, PTHREAD_CANCEL_ENABLE);
  });
  while (!ready.load()) std::this_thread::yield();
  pthread_cancel(thread.native_handle());
  cancelled.store(true);
  thread.join();
  EXPECT_TRUE(left.load());
}

TEST(EntryTest, StackIsGivenBackWhenTheThreadEnds) {
  // The arena's own first use is not the thread's.
  RunInside([] { return true; });
  const uint64_t before = Arena::bytes_in_use();
  std::thread([] {
    RunInside([] { return true; });
    EXPECT_NE(CurrentThread().stack, nullptr);
  }).join();
  EXPECT_EQ(Arena::bytes_in_use(), before);
}

}  // namespace
}  // namespace userpager

namespace userpager_tests {
namespace {

using ManagedStackTest = VirtualMemoryTest;

constexpr size_t kStackBytes = 16 * kPageBytes;
constexpr size_t kPressureBytes = 2 * kMemoryLimitBytes;

struct Coroutine {
  ucontext_t program;
  ucontext_t own;
  std::byte* pressure;
  size_t done = 0;
  DWORD error = 0;
};
Coroutine* coroutine = nullptr;

// Between its calls the program pushes the stack out of memory; each call is made from the
// paged-out stack, with arguments and results on it.
void CallTheApi() {
  for (int round = 0; round < 4; ++round) {
    swapcontext(&coroutine->own, &coroutine->program);
    auto* memory = static_cast<std::byte*>(
        VirtualAlloc(nullptr, 3 * kP, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    DWORD old = 0;
    MEMORY_BASIC_INFORMATION information = {};
    userpager_stats stats = {};
    stats.struct_bytes = sizeof stats;
    const bool worked = memory != nullptr && VirtualProtect(memory, kP, PAGE_READONLY, &old) &&
                        old == PAGE_READWRITE &&
                        VirtualQuery(memory, &information, sizeof information) != 0 &&
                        information.RegionSize == kP && VirtualLock(memory, kP) &&
                        VirtualUnlock(memory, kP) && userpager_get_stats(&stats) == 0 &&
                        VirtualFree(memory + kP, kP, MEM_DECOMMIT) &&
                        VirtualFree(memory, 0, MEM_RELEASE);
    if (!worked) {
      coroutine->error = GetLastError();
      return;
    }
    ++coroutine->done;
  }
}

TEST_F(ManagedStackTest, ApiFromAPagedOutStack) {
  if (userpager::kInstrumented) GTEST_SKIP() << "stacks are not switched under this sanitizer";
  if (Stats().kernel_mode_faults == 0) {
    GTEST_SKIP() << "swapcontext's system call cannot fault on a paged-out stack: this process has "
                    "no right to answer faults of the kernel";
  }
  Coroutine state = {};
  coroutine = &state;
  std::byte* stack = Commit(kStackBytes);
  state.pressure = Commit(kPressureBytes);
  getcontext(&state.own);
  state.own.uc_stack.ss_sp = stack;
  state.own.uc_stack.ss_size = kStackBytes;
  state.own.uc_link = &state.program;
  makecontext(&state.own, &CallTheApi, 0);
  const uint64_t hard_before = Stats().hard_faults;
  for (int round = 0; round <= 4; ++round) {
    memset(state.pressure, round + 1, kPressureBytes);
    swapcontext(&state.program, &state.own);
  }
  EXPECT_EQ(state.done, 4u) << "last error " << state.error;
  EXPECT_GT(Stats().hard_faults, hard_before) << "the stack was never out";
  Release(stack);
  Release(state.pressure);
}

std::byte* handler_memory = nullptr;
std::atomic<int> handler_calls{0};

// A handler of the program that touches paged-out memory and calls the API itself, again and again,
// while another thread of calls is interrupted by it.
void TouchAndCall(int) {
  const int saved = errno;
  const auto at = static_cast<size_t>(handler_calls.fetch_add(1)) * 64 * kP % kPressureBytes;
  handler_memory[at] = std::byte{1};
  void* page = VirtualAlloc(nullptr, kP, MEM_COMMIT, PAGE_READWRITE);
  if (page != nullptr) VirtualFree(page, 0, MEM_RELEASE);
  errno = saved;
}

TEST_F(ManagedStackTest, HandlersThatInterruptCallsMayCallToo) {
  handler_memory = Commit(kPressureBytes);
  handler_calls.store(0);
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = &TouchAndCall;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR2, &action, &before);
  const pthread_t caller = pthread_self();
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    for (int i = 0; i < 2000 && !stop.load(); ++i) {
      pthread_kill(caller, SIGUSR2);
      usleep(50);
    }
  });
  for (int i = 0; i < 2000; ++i) {
    std::byte* region = Commit(4 * kP);
    region[0] = std::byte{1};
    ASSERT_TRUE(VirtualFree(region, kP, MEM_DECOMMIT));
    Release(region);
  }
  stop.store(true);
  sender.join();
  sigaction(SIGUSR2, &before, nullptr);
  EXPECT_GT(handler_calls.load(), 0);
  Release(handler_memory);
}

}  // namespace
}  // namespace userpager_tests
