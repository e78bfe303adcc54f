#include "runtime/api/allocation_callers.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <optional>

#include "runtime/api/entry.h"
#include "runtime/api/reservations.h"
#include "runtime/api/runtime.h"
#include "runtime/platform/call_stack.h"

namespace userpager {

void TellCallers(const void* at, uint64_t bytes, const void* caller) {
  Runtime* runtime = Runtime::Get();
  if (runtime == nullptr || !runtime->pager().wants_callers()) return;
  const std::optional<PageRange> range = PagesOfRange(reinterpret_cast<uint64_t>(at), bytes);
  if (!range.has_value()) return;
  const CallStack stack = CallersFrom(caller);
  const auto thread_id = static_cast<uint32_t>(syscall(SYS_gettid));
  (void)RunInside([=, pages = *range] {
    runtime->pager().TellCallers(pages, stack, thread_id);
    return true;
  });
}

}  // namespace userpager
