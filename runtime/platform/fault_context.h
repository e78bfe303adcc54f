// What the processor says of an access that raised a signal, out of the context that the kernel
// gives to the signal's handler.
#ifndef USERPAGER_PLATFORM_FAULT_CONTEXT_H_
#define USERPAGER_PLATFORM_FAULT_CONTEXT_H_

#include <ucontext.h>

#include <cstdint>

#include "runtime/base/access_kind.h"

namespace userpager {

// Only of signals that the kernel raised for a fault. Where the processor does not tell, a read.
AccessKind AccessOfFault(const ucontext_t& context);

// Of such signals, whether the page was there and its protection refused the access. Where the
// processor does not tell, it was not.
bool WasPresent(const ucontext_t& context);

// The address of the instruction that was interrupted.
uint64_t InstructionOf(const ucontext_t& context);

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_FAULT_CONTEXT_H_
