#include "runtime/platform/halt_poller.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "runtime/base/clock.h"
#include "runtime/platform/own_thread.h"
#include "runtime/platform/pause.h"
#include "runtime/platform/thread_place.h"

namespace userpager {
namespace {

// Between two looks at the clock: short beside what is saved, long beside the look.
constexpr unsigned kPauses = 32;
constexpr uint64_t kSecondNs = 1'000'000'000;

}  // namespace

Errno HaltPoller::Start(const char* device) {
  unsigned count = CountCpus();
  by_request_ = sysconf(_SC_NPROCESSORS_ONLN) <= kMostThreads && request_.Open(device);
  if (by_request_) count = 1;
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

unsigned HaltPoller::CountCpus() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) != kMostThreads) {
    return 1;
  }
  unsigned count = 0;
  for (int cpu = 0; count < kMostThreads; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &allowed)) cpus_[count++] = cpu;
  }
  return count;
}

void HaltPoller::Stop() {
  stopping_.store(true);
  Hold(0);
  while (thread_count_ > 0) pthread_join(threads_[--thread_count_], nullptr);
  request_.Close();
}

void HaltPoller::ForgetInChild() {
  thread_count_ = 0;
  sleepers_.store(0);
  request_.ForgetInChild();
}

void HaltPoller::Hold(uint64_t until_ns) {
  if (thread_count_ == 0) return;
  cpu_.store(sched_getcpu(), std::memory_order_relaxed);
  const uint64_t before_ns = until_ns_.exchange(until_ns);
  // Either this sees the sleeper, or the sleeper the new moment.
  if (sleepers_.load() == 0 && until_ns >= before_ns) return;
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
  auto* const poller = static_cast<HaltPoller*>(self);
  prctl(PR_SET_NAME, "userpager-poll");
  poller->by_request_ ? poller->Request() : poller->Poll();
  return nullptr;
}

void HaltPoller::Request() {
  while (!stopping_.load()) {
    const uint32_t wakes = wakes_.load();
    const uint64_t now_ns = NowNanoseconds();
    const uint64_t until_ns = until_ns_.load();
    if (now_ns >= until_ns) {
      request_.Lift();
      Sleep();
      continue;
    }
    request_.Make();
    const uint64_t left_ns = std::max(until_ns - now_ns, kRequestNs);
    const timespec left = {static_cast<time_t>(left_ns / kSecondNs),
                           static_cast<long>(left_ns % kSecondNs)};
    syscall(SYS_futex, &wakes_, FUTEX_WAIT_PRIVATE, wakes, &left, nullptr, 0);
  }
}

void HaltPoller::Poll() {
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
