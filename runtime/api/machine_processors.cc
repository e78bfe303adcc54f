#include "runtime/api/machine_processors.h"

#include "runtime/api/control_group.h"

namespace userpager {

bool HasProcessorQuota(const char* root) {
  bool found = false;
  // "max" and -1 mean that there is none.
  const auto look = [&](std::string_view line) { found |= NumberIn(line).has_value(); };
  ForEachGroup(root, GroupVersion::kTwo, "cpu", "cpu.max", look);
  ForEachGroup(root, GroupVersion::kOne, "cpu", "cpu.cfs_quota_us", look);
  return found;
}

}  // namespace userpager
