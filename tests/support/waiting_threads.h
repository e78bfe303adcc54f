// The threads that wait for their faults to be answered, as the kernel counts them.
#ifndef USERPAGER_TESTS_SUPPORT_WAITING_THREADS_H_
#define USERPAGER_TESTS_SUPPORT_WAITING_THREADS_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace userpager {

// Of all userfaultfds of this process (fs/userfaultfd.c, userfaultfd_show_fdinfo). One that is
// about to wait is counted when it does.
inline uint64_t ThreadsWaiting() {
  uint64_t total = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string what = std::filesystem::read_symlink(entry.path(), gone).string();
    if (what.find("[userfaultfd]") == what.npos) continue;
    std::ifstream info("/proc/self/fdinfo/" + entry.path().filename().string());
    for (std::string word; info >> word;) {
      uint64_t count = 0;
      if (word == "total:" && info >> count) total += count;
    }
  }
  return total;
}

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_WAITING_THREADS_H_
