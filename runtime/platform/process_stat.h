// What /proc/PID/stat says of a process.
#ifndef USERPAGER_PLATFORM_PROCESS_STAT_H_
#define USERPAGER_PLATFORM_PROCESS_STAT_H_

#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

struct ProcessStat {
  char state = '?';          // proc(5): R, S, D, T (stopped), t (by a debugger), Z, X ...
  // When it began, in clock ticks after the boot. No two processes have this and the number.
  uint64_t start_ticks = 0;
};

// ENOENT, ESRCH: there is no such process.
Errno ReadProcessStat(int process, ProcessStat* stat);

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_PROCESS_STAT_H_
