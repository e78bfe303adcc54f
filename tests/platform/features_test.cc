#include "runtime/platform/features.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "gtest/gtest.h"

namespace userpager {
namespace {

// The running kernel's version, as 1000 * major + minor.
int KernelVersion() {
  utsname names{};
  EXPECT_EQ(uname(&names), 0);
  int major = 0;
  int minor = 0;
  EXPECT_EQ(std::sscanf(names.release, "%d.%d", &major, &minor), 2);
  return 1000 * major + minor;
}

class Features : public testing::Test {
 protected:
  void SetUp() override {
    LogLine line;
    const Errno error = ProbeFeatures(&features_, &line);
    if (error == EPERM || error == ENOSYS) GTEST_SKIP() << line.c_str();
    ASSERT_EQ(error, 0) << line.c_str();
  }
  PlatformFeatures features_;
};

TEST_F(Features, ProbeLeavesNoDescriptor) {
  const int before = dup(0);
  close(before);
  PlatformFeatures again;
  LogLine line;
  ASSERT_EQ(ProbeFeatures(&again, &line), 0) << line.c_str();
  const int after = dup(0);
  close(after);
  EXPECT_EQ(after, before);
}

TEST_F(Features, DescriptorIsNonBlockingAndClosedByExec) {
  bool kernel_faults = false;
  LogLine line;
  const int fd = OpenUserfaultfd(&kernel_faults, &line);
  ASSERT_GE(fd, 0) << line.c_str();
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(kernel_faults, features_.kernel_faults);
  close(fd);
}

// What the probe finds on a kernel of the mainline; a distribution's may have had more added.
TEST_F(Features, AreThoseOfTheKernel) {
  const int version = KernelVersion();
  EXPECT_TRUE(features_.write_protect);
  if (version >= 5018) {
    EXPECT_TRUE(features_.exact_address);
    EXPECT_TRUE(features_.thread_id);
  }
  if (version >= 6006) {
    EXPECT_TRUE(features_.poison);
  }
  if (version >= 6008) {
    EXPECT_TRUE(features_.move);
  }
  if (version >= 6013) {
    EXPECT_TRUE(features_.guard);
    EXPECT_TRUE(features_.discard_vector);
  }
  if (geteuid() == 0 && version >= 5011) {
    EXPECT_TRUE(features_.kernel_faults);
  }
}

}  // namespace
}  // namespace userpager
