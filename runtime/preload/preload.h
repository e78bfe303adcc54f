// The room preload: libuserpager_preload.so, which makes an unmodified program's memory managed.
// It comes before the C library for everybody in the process and has functions of the C library's
// names: malloc's family (heap/exports.cc), the mmap family (exports_memory.cc), and those that
// close descriptors (exports_descriptors.cc).
//
// Cast:       Preload (start, the fork), LinuxMemory (mmap's family over reservations), Heap
//             (malloc), Reservations and Pager (pages), Descriptors (which are not to be closed).
// Flow:       the library's constructor runs before all others: options from USERPAGER_CONF, the
//             pager starts, then malloc's arenas. From then on Active() is where the exported
//             functions go; before, and for ever in a forked child, they are the kernel's calls.
//             fork: the program's handlers, then jemalloc and the shards hold still; the kernel
//             forks; the child fills its memory (Reservations::FillChild) while its parent waits.
// Invariants: 1. the runtime's own calls of mmap, close and so on go to the kernel: the linker
//             binds them to __wrap_ functions (raw_calls.cc), the program's to the exported ones;
//             2. a forked child has plain memory that holds all that its parent's did.
// Does not:   see system calls that the program makes without the C library.
#ifndef USERPAGER_PRELOAD_PRELOAD_H_
#define USERPAGER_PRELOAD_PRELOAD_H_

#include "runtime/preload/linux_memory.h"

namespace userpager {

class Preload {
 public:
  // Where memory is managed; nullptr while it is not.
  static LinuxMemory* Active();

  // Once, before anything else of the process. Ends the process, with exit status 126 and a line,
  // where the pager cannot be had: a program that was to have less memory must not take more.
  static void Start();

  // The handlers of pthread_atfork, for a fork that does not call them.
  static void BeforeFork();
  static void AfterForkInParent();
  static void AfterForkInChild();
};

}  // namespace userpager

#endif  // USERPAGER_PRELOAD_PRELOAD_H_
