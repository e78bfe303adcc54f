#include "runtime/api/machine_processors.h"

#include <gtest/gtest.h>

#include "tests/support/fake_machine.h"

namespace userpager {
namespace {

class MachineWithProcessors : public FakeMachine {
 public:
  void MountVersion1() {
    Write("proc/self/cgroup", "5:cpuset:/\n3:cpu,cpuacct:/a\n");
    Write("proc/self/mountinfo", "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  }
  bool HasQuota() const { return HasProcessorQuota(root()); }
};

TEST(MachineProcessorsTest, WithoutGroupsThereIsNoQuota) {
  EXPECT_FALSE(MachineWithProcessors().HasQuota());
}

TEST(MachineProcessorsTest, Version2) {
  MachineWithProcessors machine;
  machine.MountVersion2();
  EXPECT_FALSE(machine.HasQuota());
  machine.Write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_FALSE(machine.HasQuota());
  machine.Write("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  EXPECT_TRUE(machine.HasQuota());
}

TEST(MachineProcessorsTest, Version1) {
  MachineWithProcessors machine;
  machine.MountVersion1();
  EXPECT_FALSE(machine.HasQuota());
  machine.Write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  EXPECT_FALSE(machine.HasQuota());
  machine.Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "20000\n");
  EXPECT_TRUE(machine.HasQuota());
}

}  // namespace
}  // namespace userpager
