#include "runtime/platform/features.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/child_process.h"

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

// A kernel without the call, and a process that has no right to what a child must have.
TEST(FeaturesOfOthers, WhatIsMissingIsSaidInALine) {
  EXPECT_EQ(InChild([]() -> std::string {
    RefuseSystemCall(SYS_userfaultfd, ENOSYS);
    RefuseSystemCall(SYS_openat, ENOENT, 2, O_RDWR);
    PlatformFeatures features;
    LogLine line;
    if (ProbeFeatures(&features, &line) != ENOSYS) return "it starts";
    return line.text().find("has no userfaultfd") == std::string_view::npos ? line.c_str() : "";
  }), "");
}

TEST_F(Features, AChildNeedsFaultsOfSystemCallsAnswered) {
  LogLine line;
  EXPECT_EQ(TryUserfaultfdOfChild(&line), features_.kernel_faults ? 0 : EPERM) << line.text();
  EXPECT_EQ(InChild([&]() -> std::string {
    // Of userfaultfd, all but the form that is for user mode alone: that has a flag of its own.
    if (setuid(65534) != 0) return "the rights of root cannot be dropped";
    RefuseSystemCall(SYS_openat, EACCES, 2, O_RDWR);
    LogLine why;
    PlatformFeatures features;
    if (ProbeFeatures(&features, &why) != 0 || features.kernel_faults) return "";
    if (TryUserfaultfdOfChild(&why) != EPERM) return "a child would start";
    return why.text().find("given up the right") == std::string_view::npos ? why.c_str() : "";
  }), "");
}

}  // namespace
}  // namespace userpager
