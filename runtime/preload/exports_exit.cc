// The ends of a process that run none of its handlers of exit, as forked children have them. What
// the handlers would take away and the kernel does not is the announcement of its statistics.
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/api/runtime.h"

#define USERPAGER_EXPORTED extern "C" __attribute__((visibility("default")))

USERPAGER_EXPORTED void _exit(int status) {
  userpager::Runtime::Withdraw();
  for (;;) syscall(SYS_exit_group, status);
}

USERPAGER_EXPORTED void _Exit(int status) noexcept { _exit(status); }
