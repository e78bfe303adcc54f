#include "runtime/platform/guard_notice.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "runtime/platform/thread_file.h"

namespace userpager {
namespace {

// The kernel's own codes of a fault are positive, those of kill and its kin 0 to -7 and -60
// (siginfo.h); signals that a process sends may have any other negative one.
constexpr int kGuardNoticeCode = -0x6172;

constexpr unsigned kMostLooks = 4;

}  // namespace

FaultPlace PlaceOfFault(uint32_t thread_id) {
  unsigned placeless = 0;
  for (unsigned look = 0; look < kMostLooks; ++look) {
    // The number of the call; -1 where the thread sleeps outside of any; "running" also for a
    // moment while it goes to sleep.
    const ThreadFile call(thread_id, "syscall");
    const char first = call.text().empty() ? '-' : call.text()[0];
    if (first == '-') return FaultPlace::kProgram;
    if (first != 'r') {
      // The kernel function that the thread sleeps in; 0 where it has woken up meanwhile, or always
      // on a kernel without symbols.
      const ThreadFile place(thread_id, "wchan");
      if (place.text() == kSleepsInFault) return FaultPlace::kSystemCall;
      if (place.text() != "0") return FaultPlace::kGone;
      ++placeless;
    }
    sched_yield();
  }
  return placeless == kMostLooks ? FaultPlace::kSystemCall : FaultPlace::kUnsettled;
}

void SendGuardNotice(uint32_t thread_id, uint64_t address) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_signo = SIGSEGV;
  info.si_code = kGuardNoticeCode;
  info.si_addr = reinterpret_cast<void*>(address);
  // Fails where the thread has ended or is not of this process: then there is nobody to tell.
  (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), thread_id, SIGSEGV, &info);
}

bool IsGuardNotice(const siginfo_t& info) { return info.si_code == kGuardNoticeCode; }

}  // namespace userpager
