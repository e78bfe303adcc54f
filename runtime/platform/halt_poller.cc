#include "runtime/platform/halt_poller.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "runtime/base/clock.h"
#include "runtime/platform/own_thread.h"
#include "runtime/platform/thread_place.h"

namespace userpager {
namespace {

// Between two looks at the clock: short beside what is saved, long beside the look.
constexpr unsigned kPauses = 32;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

}  // namespace

Errno HaltPoller::Start() {
  cpu_set_t allowed;
  unsigned count = 1;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 &&
      CPU_COUNT(&allowed) == kMostThreads) {
    count = 0;
    for (int cpu = 0; count < kMostThreads; ++cpu) {
      if (CPU_ISSET(static_cast<size_t>(cpu), &allowed)) cpus_[count++] = cpu;
    }
  }
  stopping_.store(false);
  numbers_.store(0);
  while (thread_count_ < count) {
    const Errno failed = StartOwnThread(ThreadMain, this, &threads_[thread_count_]);
    if (failed != 0) {
      Stop();
      return failed;
    }
    ++thread_count_;
  }
  return 0;
}

void HaltPoller::Stop() {
  if (thread_count_ == 0) return;
  stopping_.store(true);
  Hold(0);
  while (thread_count_ > 0) pthread_join(threads_[--thread_count_], nullptr);
}

void HaltPoller::ForgetInChild() {
  thread_count_ = 0;
  sleepers_.store(0);
}

void HaltPoller::Hold(uint64_t until_ns) {
  if (thread_count_ == 0) return;
  cpu_.store(sched_getcpu(), std::memory_order_relaxed);
  until_ns_.store(until_ns);
  // Either this sees the sleeper, or the sleeper the new moment.
  if (sleepers_.load() == 0) return;
  wakes_.fetch_add(1);
  syscall(SYS_futex, &wakes_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

int HaltPoller::CpuFor(unsigned number) const {
  const int cpu = cpu_.load(std::memory_order_relaxed);
  if (number == 0) return cpu;
  return cpu == cpus_[0] ? cpus_[1] : cpus_[0];
}

void HaltPoller::Sleep() {
  const uint32_t wakes = wakes_.load();
  sleepers_.fetch_add(1);
  if (NowNanoseconds() >= until_ns_.load() && !stopping_.load()) {
    syscall(SYS_futex, &wakes_, FUTEX_WAIT_PRIVATE, wakes, nullptr, nullptr, 0);
  }
  sleepers_.fetch_sub(1);
}

void* HaltPoller::ThreadMain(void* self) {
  static_cast<HaltPoller*>(self)->Run();
  return nullptr;
}

void HaltPoller::Run() {
  prctl(PR_SET_NAME, "userpager-poll");
  const unsigned number = numbers_.fetch_add(1);
  const sched_param none = {};
  // In any other class it would take time from the program.
  if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) return;
  ThreadPlace place;
  place.Init();
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (NowNanoseconds() >= until_ns_.load(std::memory_order_relaxed)) {
      Sleep();
      continue;
    }
    place.BindTo(CpuFor(number));
    for (unsigned i = 0; i < kPauses; ++i) Pause();
  }
}

}  // namespace userpager
