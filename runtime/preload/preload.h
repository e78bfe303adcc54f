// The room preload: libuserpager_preload.so, which makes an unmodified program's memory managed.
// It comes before the C library for everybody in the process and has functions of the C library's
// names: malloc's family (heap/exports.cc), the mmap family (exports_memory.cc), those that close
// descriptors (exports_descriptors.cc), and _exit (exports_exit.cc).
//
// Cast:       Preload (start, the fork), LinuxMemory (mmap's family over reservations), Heap
//             (malloc), Reservations and Pager (pages), Descriptors (which are not to be closed).
// Flow:       the library's constructor runs before all others: options from USERPAGER_CONF, the
//             pager starts, then malloc's arenas. From then on Active() is where the exported
//             functions go; before, and for ever in a forked child that has plain memory, they are
//             the kernel's calls. fork (fork.cc): the program's handlers, then jemalloc and the
//             shards hold still; the kernel forks; the child pages on its own from there
//             (Runtime::AdoptInChild), or has plain memory (Reservations::FillChild).
// Invariants: 1. the runtime's own calls of mmap, close and so on go to the kernel: the linker
//             binds them to __wrap_ functions (raw_calls.cc), the program's to the exported ones;
//             2. a forked child's memory holds all that its parent's did.
// Does not:   see system calls that the program makes without the C library.
#ifndef USERPAGER_PRELOAD_PRELOAD_H_
#define USERPAGER_PRELOAD_PRELOAD_H_

#include <string_view>

#include "runtime/preload/linux_memory.h"

namespace userpager {

class Preload {
 public:
  // Where memory is managed; nullptr while it is not.
  static LinuxMemory* Active();

  // Once, before anything else of the process. Ends the process (Refuse) where the pager cannot be
  // had: a program that was to have less memory must not take more.
  static void Start();

  // In a forked child that has plain memory.
  static void Deactivate();
  // Whether forked children are to page on their own.
  static bool ChildrenArePaged();
  // Ends the process with exit status 126 and a line.
  [[noreturn]] static void Refuse(std::string_view why);
};

// fork.cc. The handlers of pthread_atfork.
void BeforeFork();
void AfterForkInParent();
void AfterForkInChild();

}  // namespace userpager

#endif  // USERPAGER_PRELOAD_PRELOAD_H_
