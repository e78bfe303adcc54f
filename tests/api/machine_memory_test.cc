#include "runtime/api/machine_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "tests/support/fake_machine.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kTotal = 8192 * kMiB;

class MachineWithMemory : public FakeMachine {
 public:
  MachineWithMemory() {
    Write("proc/meminfo", "MemFree: 12 kB\nMemTotal:        8388608 kB\nMemAvailable: 1 kB\n");
  }
  MachineMemory Read() const { return MachineMemory::Read(root()); }
  MachineLook Look() const { return LookAtMachine(root()); }
};

TEST(MachineMemoryTest, WithoutGroupsAllIsAllowed) {
  const MachineWithMemory machine;
  EXPECT_EQ(machine.Read().total_bytes, kTotal);
  EXPECT_EQ(machine.Read().allowed_bytes, kTotal);
}

TEST(MachineMemoryTest, WithoutProcNothingIsKnown) {
  const TempDirectory empty;
  EXPECT_EQ(MachineMemory::Read(empty.path().c_str()).total_bytes, 0u);
}

TEST(MachineMemoryTest, OwnGroupOfVersion2) {
  MachineWithMemory machine;
  machine.MountVersion2();
  machine.Write("sys/fs/cgroup/a/b/memory.max", "1073741824\n");
  machine.Write("sys/fs/cgroup/a/memory.max", "max\n");
  EXPECT_EQ(machine.Read().allowed_bytes, 1024 * kMiB);
}

TEST(MachineMemoryTest, SmallestOfAllAncestorsCounts) {
  MachineWithMemory machine;
  machine.MountVersion2();
  machine.Write("sys/fs/cgroup/a/b/memory.max", "1073741824\n");
  machine.Write("sys/fs/cgroup/a/memory.max", "536870912\n");
  EXPECT_EQ(machine.Read().allowed_bytes, 512 * kMiB);
  machine.Write("sys/fs/cgroup/memory.max", "268435456\n");
  EXPECT_EQ(machine.Read().allowed_bytes, 256 * kMiB);
}

TEST(MachineMemoryTest, LimitAboveTheMachineIsNone) {
  MachineWithMemory machine;
  machine.MountVersion2();
  machine.Write("sys/fs/cgroup/a/b/memory.max", "9223372036854771712\n");
  EXPECT_EQ(machine.Read().allowed_bytes, kTotal);
  EXPECT_EQ(machine.Read().total_bytes, kTotal);
}

TEST(MachineMemoryTest, NamespaceShowsItsOwnRoot) {
  MachineWithMemory machine;
  machine.MountVersion2("/", "/");
  machine.Write("sys/fs/cgroup/memory.max", "134217728\n");
  EXPECT_EQ(machine.Read().allowed_bytes, 128 * kMiB);
  machine.MountVersion2("/", "/../outside");
  EXPECT_EQ(machine.Read().allowed_bytes, 128 * kMiB);
}

TEST(MachineMemoryTest, MountOfAPartOfTheTree) {
  MachineWithMemory machine;
  machine.MountVersion2("/docker/x", "/docker/x/job");
  machine.Write("sys/fs/cgroup/job/memory.max", "134217728\n");
  EXPECT_EQ(machine.Read().allowed_bytes, 128 * kMiB);
  machine.MountVersion2("/docker/x", "/somewhere/else");
  machine.Write("sys/fs/cgroup/memory.max", "67108864\n");
  EXPECT_EQ(machine.Read().allowed_bytes, 64 * kMiB);
}

TEST(MachineMemoryTest, Version1) {
  MachineWithMemory machine;
  machine.Write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:hugetlb,memory:/y/z\n0::/\n");
  machine.Write("proc/self/mountinfo",
                "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                "32 30 0:28 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n");
  machine.Write("sys/fs/cgroup/memory/y/z/memory.limit_in_bytes", "9223372036854771712\n");
  machine.Write("sys/fs/cgroup/memory/y/memory.limit_in_bytes", "402653184\n");
  machine.Write("sys/fs/cgroup/cpu/x/memory.limit_in_bytes", "4096\n");
  EXPECT_EQ(machine.Read().allowed_bytes, 384 * kMiB);
}

// The mount that matters may come after many and very long lines.
TEST(MachineMemoryTest, LongMountTables) {
  MachineWithMemory machine;
  machine.MountVersion2();
  std::string table;
  for (int i = 0; i < 500; ++i) {
    table += std::to_string(i) + " 1 0:5 / /mnt/" + std::string(200, 'm') + " rw - ext4 d rw\n";
  }
  table += "9 1 0:6 / /overlay rw - overlay overlay rw,lowerdir=" + std::string(20'000, 'l') + "\n";
  table += "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n";
  machine.Write("proc/self/mountinfo", table);
  machine.Write("sys/fs/cgroup/a/b/memory.max", "1073741824\n");
  EXPECT_EQ(machine.Read().allowed_bytes, 1024 * kMiB);
}

TEST(MachineMemoryTest, FileWithoutLineEnd) {
  MachineWithMemory machine;
  machine.MountVersion2();
  machine.Write("sys/fs/cgroup/a/b/memory.max", "1073741824");
  EXPECT_EQ(machine.Read().allowed_bytes, 1024 * kMiB);
}

TEST(MachineMemoryTest, ThisMachine) {
  const MachineMemory memory = MachineMemory::Read("");
  const auto pages = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES));
  const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  EXPECT_EQ(memory.total_bytes, pages * page_bytes);
  EXPECT_GT(memory.allowed_bytes, 0u);
  EXPECT_LE(memory.allowed_bytes, memory.total_bytes);
}

TEST(MachineMemoryTest, PressureOfTheGroupComesBeforeTheMachines) {
  MachineWithMemory machine;
  machine.MountVersion2();
  EXPECT_FALSE(machine.Look().knows_stalls);
  machine.Write("proc/pressure/memory",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=17\nfull avg10=0.00 total=5\n");
  EXPECT_TRUE(machine.Look().knows_stalls);
  EXPECT_EQ(machine.Look().stall_us, 17u);
  machine.Write("sys/fs/cgroup/a/b/memory.pressure", "some avg10=1.00 total=99\n");
  machine.Write("sys/fs/cgroup/a/b/memory.max", "1048576\n");
  EXPECT_EQ(machine.Look().stall_us, 99u);
  EXPECT_EQ(machine.Look().allowed_bytes, kMiB);
  EXPECT_EQ(machine.Look().total_bytes, kTotal);
  EXPECT_EQ(machine.Look().available_bytes, 1024u);
  machine.Write("sys/fs/cgroup/a/b/memory.pressure", "nothing of the kind\n");
  EXPECT_EQ(machine.Look().stall_us, 17u);
}

}  // namespace
}  // namespace userpager
