#include "runtime/base/sync_point.h"

#ifdef USERPAGER_SYNC_POINTS

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace userpager {
namespace {

using Action = std::function<void(uint64_t)>;

// The map is only looked at while some point is set, so a test that sets none pays one load.
std::atomic<int> set_count{0};
std::mutex mutex;
std::map<std::string, std::shared_ptr<Action>>& Actions() {
  static auto* actions = new std::map<std::string, std::shared_ptr<Action>>;
  return *actions;
}

}  // namespace

void SyncPoints::Set(const char* name, Action action) {
  std::lock_guard hold(mutex);
  Actions()[name] = std::make_shared<Action>(std::move(action));
  set_count.store(static_cast<int>(Actions().size()));
}

void SyncPoints::ClearAll() {
  std::lock_guard hold(mutex);
  Actions().clear();
  set_count.store(0);
}

void SyncPoints::Reach(const char* name, uint64_t value) {
  if (set_count.load(std::memory_order_acquire) == 0) return;
  std::shared_ptr<Action> action;
  {
    std::lock_guard hold(mutex);
    const auto found = Actions().find(name);
    if (found == Actions().end()) return;
    action = found->second;
  }
  (*action)(value);
}

}  // namespace userpager

#endif
