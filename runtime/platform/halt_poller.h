// HaltPoller: keeps CPUs from halting for the moments in which somebody waits for the pager.
// On a virtual machine a CPU that has gone idle takes longer to come back than all else that a
// hard fault costs: the interrupt of the disk, the shard's thread and the faulting thread each wait
// for that. The kernel's own remedy (haltpoll) is not up to a program.
//
// Cast:    on a machine of at most two CPUs, a LatencyRequest, and a thread that makes and lifts
//          it. On larger ones, which it would cost too much, and where the process may make none:
//          one thread for each CPU that is kept awake, of the scheduling class SCHED_IDLE: it runs
//          only where nothing else would, and gives way at once.
// Flow:    Hold, by whoever begins to wait; the thread makes the request, or the threads poll the
//          clock, until the moment that it names, and sleep.
// CPUs:    a request is for all. Threads: the CPU that Hold is called on. Where the process has
//          two, the other as well: the interrupt may go there. Where it has more nobody says which
//          one that is.
// Locks:   none; one futex word.
#ifndef USERPAGER_PLATFORM_HALT_POLLER_H_
#define USERPAGER_PLATFORM_HALT_POLLER_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "runtime/base/types.h"
#include "runtime/platform/latency_request.h"

namespace userpager {

class HaltPoller {
 public:
  HaltPoller() = default;
  ~HaltPoller() { Stop(); }
  HaltPoller(const HaltPoller&) = delete;
  HaltPoller& operator=(const HaltPoller&) = delete;

  // Makes the threads. Returns what pthread_create does; none is left running then. `device`: of
  // the LatencyRequest; where it cannot be opened, threads poll.
  Errno Start(const char* device = LatencyRequest::kDevice);
  void Stop();
  // In a forked child, which has no such threads: Start may follow.
  void ForgetInChild();

  // Whether it is done by a request, and no thread polls.
  bool by_request() const { return by_request_; }

  // Keeps CPUs awake until then, on the clock of NowNanoseconds(), or a little longer. From any
  // thread; a system call only where the threads sleep, or are to stop earlier than they were told.
  // Nothing where there are none.
  void Hold(uint64_t until_ns);

 private:
  static constexpr unsigned kMostThreads = 2;

  // Making and lifting a request interrupts all CPUs: one lasts for some reads.
  static constexpr uint64_t kRequestNs = 2'000'000;

  static void* ThreadMain(void* self);
  void Request();
  void Poll();
  // How many CPUs threads can keep awake, and which, where they are all that the process has.
  unsigned CountCpus();
  void Sleep();
  // Which CPU the thread of that number keeps awake.
  int CpuFor(unsigned number) const;

  LatencyRequest request_;
  bool by_request_ = false;  // since Start
  pthread_t threads_[kMostThreads] = {};
  unsigned thread_count_ = 0;
  int cpus_[kMostThreads] = {-1, -1};  // of the process, where it has no more
  std::atomic<unsigned> numbers_{0};   // given to threads
  std::atomic<uint64_t> until_ns_{0};
  std::atomic<int> cpu_{-1};  // that Hold was called on
  std::atomic<uint32_t> wakes_{0};  // the futex word
  std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_HALT_POLLER_H_
