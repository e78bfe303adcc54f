// MachineMemory: how much memory this machine has, and how much of it the process's control groups
// (control_group.h) let it use.
#ifndef USERPAGER_API_MACHINE_MEMORY_H_
#define USERPAGER_API_MACHINE_MEMORY_H_

#include <cstdint>

#include "runtime/policy/limit_advisor.h"

namespace userpager {

struct MachineMemory {
  uint64_t total_bytes = 0;    // of the machine; 0 where /proc does not tell
  uint64_t allowed_bytes = 0;  // the smallest of that and all limits of the process's groups

  // `root` is where /proc and the cgroup mount points are looked up: "", or a test's directory.
  // Needs about 20 KiB of stack.
  static MachineMemory Read(const char* root);
};

// The same, and what else memory:auto looks at. Needs about 20 KiB of stack.
MachineLook LookAtMachine(const char* root);

}  // namespace userpager

#endif  // USERPAGER_API_MACHINE_MEMORY_H_
