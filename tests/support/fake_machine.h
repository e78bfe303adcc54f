// FakeMachine: a machine of files, as /proc and the mounts of control groups would show it.
#ifndef USERPAGER_TESTS_SUPPORT_FAKE_MACHINE_H_
#define USERPAGER_TESTS_SUPPORT_FAKE_MACHINE_H_

#include <filesystem>
#include <string>

#include "tests/support/temp_directory.h"

namespace userpager {

class FakeMachine {
 public:
  // Where /proc and the mounts are; for those who take a root.
  const char* root() const { return root_.path().c_str(); }

  void Write(const std::string& path, const std::string& content) {
    const std::filesystem::path full = root_ / path;
    std::filesystem::create_directories(full.parent_path());
    WriteFile(full, content);
  }
  // With the process in `group`, of which the mount shows what is below `shown`.
  void MountVersion2(const std::string& shown = "/", const std::string& group = "/a/b") {
    Write("proc/self/cgroup", "0::" + group + "\n");
    Write("proc/self/mountinfo",
          "22 28 0:21 / /proc rw,nosuid shared:13 - proc proc rw\n"
          "30 23 0:26 " + shown + " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
  }

 private:
  TempDirectory root_;
};

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_FAKE_MACHINE_H_
