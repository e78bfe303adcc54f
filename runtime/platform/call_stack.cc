#include "runtime/platform/call_stack.h"

#include <unwind.h>

namespace userpager {
namespace {

// Between the unwinder and `caller` are a few functions of the runtime's own.
constexpr unsigned kMostOwn = 16;

struct Walk {
  uint64_t caller;
  unsigned own = 0;
  CallStack found;
};

_Unwind_Reason_Code Take(_Unwind_Context* context, void* argument) {
  auto& walk = *static_cast<Walk*>(argument);
  const auto at = static_cast<uint64_t>(_Unwind_GetIP(context));
  // Where the stack of a process begins.
  if (at == 0) return _URC_END_OF_STACK;
  if (walk.found.count == 0 && at != walk.caller) {
    return ++walk.own == kMostOwn ? _URC_END_OF_STACK : _URC_NO_REASON;
  }
  walk.found.frames[walk.found.count++] = at;
  return walk.found.count == kTraceFrames ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

CallStack CallersFrom(const void* caller) {
  Walk walk{reinterpret_cast<uint64_t>(caller), 0, {}};
  _Unwind_Backtrace(&Take, &walk);
  if (walk.found.count == 0) walk.found.frames[walk.found.count++] = walk.caller;
  return walk.found;
}

}  // namespace userpager
