// The threads of this process, as /proc/self/task shows them (proc(5)).
#ifndef USERPAGER_TESTS_SUPPORT_OWN_THREADS_H_
#define USERPAGER_TESTS_SUPPORT_OWN_THREADS_H_

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace userpager {

// The directories of the threads of that name.
inline std::vector<std::filesystem::path> ThreadsNamed(const std::string& name) {
  std::vector<std::filesystem::path> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string its;
    std::getline(std::ifstream(task.path() / "comm"), its);
    if (its == name) found.push_back(task.path());
  }
  return found;
}

// What "status" says behind that label, without the white space before it; "" once it has ended.
inline std::string ThreadStatus(const std::filesystem::path& thread, const std::string& label) {
  std::ifstream status(thread / "status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(label + ":")) continue;
    const size_t value = line.find_first_not_of(" \t", label.size() + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_OWN_THREADS_H_
