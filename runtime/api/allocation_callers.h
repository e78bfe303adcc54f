// Which code asks for memory, for a recording that wants to know (userpager record --callers).
#ifndef USERPAGER_API_ALLOCATION_CALLERS_H_
#define USERPAGER_API_ALLOCATION_CALLERS_H_

#include <cstdint>

namespace userpager {

// Tells the recording, if one wants to know, who has asked for this memory: `caller` is the return
// address of the exported function that is running. Outside, and with no lock of the allocator's
// held: the stack is unwound (platform/call_stack.h).
void TellCallers(const void* at, uint64_t bytes, const void* caller);

}  // namespace userpager

#endif  // USERPAGER_API_ALLOCATION_CALLERS_H_
