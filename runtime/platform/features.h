// What this kernel and this process's rights allow, found out at run time on a probe descriptor and
// never from the version of a header.
#ifndef USERPAGER_PLATFORM_FEATURES_H_
#define USERPAGER_PLATFORM_FEATURES_H_

#include <cstdint>

#include "runtime/base/log_line.h"
#include "runtime/base/types.h"

namespace userpager {

struct PlatformFeatures {
  bool kernel_faults = false;  // system calls may touch pages that are out (CAP_SYS_PTRACE and kin)
  bool write_protect = false;   // synchronous write protection of anonymous memory (5.7)
  bool signal = false;          // faults as SIGBUS instead of messages (4.14)
  bool thread_id = false;       // the message names the faulting thread (4.14)
  bool exact_address = false;   // the message has the unmasked address (5.18)
  bool move = false;            // UFFDIO_MOVE (6.8)
  bool poison = false;          // UFFDIO_POISON (6.6)
  bool guard = false;           // MADV_GUARD_INSTALL (6.13)
  bool discard_vector = false;  // process_madvise(MADV_DONTNEED) on oneself (6.13)
  bool wide_protect = false;    // UFFDIO_WRITEPROTECT over several mappings (6.4): tried, true here
};

// What of the above can be done without; each is a bit of WithoutFeatures. In the order of the
// public header's userpager_feature.
enum class OptionalFeature : uint8_t {
  kMove, kPoison, kGuard, kDiscardVector, kThreadId, kExactAddress, kWideProtect
};

// Switches off the features whose bits are set, as if the kernel had none of them.
void WithoutFeatures(uint64_t without, PlatformFeatures* features);

// Opens a userfaultfd with the widest rights that this process can have: the system call, then
// /dev/userfaultfd, then faults of user mode alone (`*kernel_faults` false). Non-blocking,
// close-on-exec. Returns the descriptor, or -errno with one clear line in `error`.
int OpenUserfaultfd(bool* kernel_faults, LogLine* error);

// Keeps /dev/userfaultfd open, if this process may open it: its forked children can have
// userfaultfds then, whatever rights they give up.
void KeepUserfaultfdDevice();

// 0 where a child that is forked now could open a userfaultfd that also answers the faults of
// system calls; else an errno, with one clear line in `error`.
Errno TryUserfaultfdOfChild(LogLine* error);

// Fills `features`. Fails with one clear line where something that the pager cannot do without
// (userfaultfd, synchronous write protection) is missing.
Errno ProbeFeatures(PlatformFeatures* features, LogLine* error);

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_FEATURES_H_
