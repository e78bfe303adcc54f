// How the process ends where no thread of it can go on.
#ifndef USERPAGER_PLATFORM_PROCESS_END_H_
#define USERPAGER_PLATFORM_PROCESS_END_H_

namespace userpager {

// As the kernel ends a process for want of memory: by SIGKILL, so that whoever waits for it sees
// the same, and no handler of the program runs, which might need memory itself. The line that says
// why has been written. From any thread, with any lock held.
[[noreturn]] void KillProcess();

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_PROCESS_END_H_
