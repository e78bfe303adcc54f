#include "runtime/api/machine_processors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

// A machine of files, as /proc and the cgroup mounts would show it.
class FakeMachine {
 public:
  void Write(const std::string& path, const std::string& content) {
    const std::filesystem::path full = root_ / path;
    std::filesystem::create_directories(full.parent_path());
    WriteFile(full, content);
  }
  void MountVersion2() {
    Write("proc/self/cgroup", "0::/a/b\n");
    Write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  }
  void MountVersion1() {
    Write("proc/self/cgroup", "5:cpuset:/\n3:cpu,cpuacct:/a\n");
    Write("proc/self/mountinfo", "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  }
  bool HasQuota() const { return HasProcessorQuota(root_.path().c_str()); }

 private:
  TempDirectory root_;
};

TEST(MachineProcessorsTest, WithoutGroupsThereIsNoQuota) { EXPECT_FALSE(FakeMachine().HasQuota()); }

TEST(MachineProcessorsTest, Version2) {
  FakeMachine machine;
  machine.MountVersion2();
  EXPECT_FALSE(machine.HasQuota());
  machine.Write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_FALSE(machine.HasQuota());
  machine.Write("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  EXPECT_TRUE(machine.HasQuota());
}

TEST(MachineProcessorsTest, Version1) {
  FakeMachine machine;
  machine.MountVersion1();
  EXPECT_FALSE(machine.HasQuota());
  machine.Write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  EXPECT_FALSE(machine.HasQuota());
  machine.Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "20000\n");
  EXPECT_TRUE(machine.HasQuota());
}

}  // namespace
}  // namespace userpager
