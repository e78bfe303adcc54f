// Where threads run, and where the calling thread is to run.
#ifndef USERPAGER_PLATFORM_THREAD_PLACE_H_
#define USERPAGER_PLATFORM_THREAD_PLACE_H_

#include <sched.h>

#include <cstdint>

namespace userpager {

// The CPU that a thread of this process runs on, or ran on last; -1 where there is no such thread
// (it may have ended, or be of another process). From /proc, proc(5): some microseconds.
int CpuOfThread(uint32_t thread_id);

// How many CPUs the calling thread may run on; 1 where the kernel does not say.
unsigned CountAllowedCpus();

// Binds the calling thread to single CPUs of the set that it was allowed at first.
class ThreadPlace {
 public:
  // By the thread that will move.
  void Init();
  // To one CPU. Does nothing where it is there already, or where the CPU is not allowed.
  void BindTo(int cpu);
  // To all CPUs that were allowed at first.
  void Release();

 private:
  cpu_set_t allowed_{};
  int bound_ = -1;  // -1: to none
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_THREAD_PLACE_H_
