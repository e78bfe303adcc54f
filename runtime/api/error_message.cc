#include "runtime/api/error_message.h"

#include "runtime/api/fork_guard.h"
#include "runtime/api/thread_state.h"
#include "runtime/base/arena.h"

namespace userpager {

void KeepErrorMessage(const LogLine& message) {
  ThreadState& thread = CurrentThread();
  // The thread's stack was taken before, and is given back together with this.
  if (thread.message == nullptr) thread.message = ArenaNew<LogLine>();
  if (thread.message != nullptr) *thread.message = message;
}

const char* ErrorMessage() {
  if (ForkGuard::IsChild()) {
    return ForkGuard::kExplanation;
  }
  LogLine* message = CurrentThread().message;
  return message == nullptr ? "" : message->c_str();
}

}  // namespace userpager
