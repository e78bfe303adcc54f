// CallStack: who called a function of the runtime, and who called them.
#ifndef USERPAGER_PLATFORM_CALL_STACK_H_
#define USERPAGER_PLATFORM_CALL_STACK_H_

#include <cstdint>

#include "runtime/observe/trace_format.h"

namespace userpager {

struct CallStack {
  uint32_t count = 0;
  uint64_t frames[kTraceFrames];  // return addresses, the innermost first
};

// The callers from `caller` on, which is the return address of a function that is running on this
// stack. They are found by what compilers write for exceptions (.eh_frame); the stack ends before
// code that has none of that, and is `caller` alone where the way does not lead to it.
//
// Calls no malloc, and takes no lock where the C library has _dl_find_object (glibc 2.35); else
// that of the list of loaded modules. It reads the stack, which may be managed memory. So: not with
// a lock held, be it the runtime's or the allocator's.
CallStack CallersFrom(const void* caller);

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_CALL_STACK_H_
