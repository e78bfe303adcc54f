// How many threads wait in the kernel for an answer of a userfaultfd of this process.
#ifndef USERPAGER_TESTS_STRESS_FAULT_WAITERS_H_
#define USERPAGER_TESTS_STRESS_FAULT_WAITERS_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace userpager::stress {

struct FaultWaiters {
  unsigned descriptors = 0;  // userfaultfds that the process has
  uint64_t pending = 0;      // faults whose message nobody has read
  uint64_t total = 0;        // faults whose thread still waits
};

// From /proc/self/fdinfo.
inline FaultWaiters CountFaultWaiters() {
  FaultWaiters waiters;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const std::filesystem::path target = std::filesystem::read_symlink(entry.path(), error);
    if (error || target != "anon_inode:[userfaultfd]") continue;
    ++waiters.descriptors;
    std::ifstream lines("/proc/self/fdinfo/" + entry.path().filename().string());
    std::string label;
    for (uint64_t value; lines >> label;) {
      if (label != "pending:" && label != "total:") continue;
      lines >> value;
      (label == "pending:" ? waiters.pending : waiters.total) += value;
    }
  }
  return waiters;
}

}  // namespace userpager::stress

#endif  // USERPAGER_TESTS_STRESS_FAULT_WAITERS_H_
