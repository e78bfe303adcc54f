#include "runtime/base/system_call.h"

#ifdef USERPAGER_SYNC_POINTS

#include <errno.h>

#include <atomic>

namespace userpager {
namespace {

constinit std::atomic<CallKind> failing_kind{CallKind::kNone};
constinit std::atomic<int64_t> calls_left{0};  // before the one that fails
constinit std::atomic<int> failing_error{0};

}  // namespace

void CallFaults::FailNth(CallKind kind, uint64_t n, int error) {
  failing_kind.store(CallKind::kNone);
  calls_left.store(static_cast<int64_t>(n));
  failing_error.store(error);
  failing_kind.store(kind);
}

bool CallFaults::Stop() {
  failing_kind.store(CallKind::kNone);
  return calls_left.load() <= 0;
}

bool CallFaults::Fails(CallKind kind) {
  if (failing_kind.load(std::memory_order_acquire) != kind) return false;
  if (calls_left.fetch_sub(1) != 1) return false;
  errno = failing_error.load();
  return true;
}

}  // namespace userpager

#endif
