// What is UringEngine's own: being forbidden, and an older kernel. Its promises as an IoEngine are
// tested in io_engine_test.cc.
#include "runtime/page_file/uring_engine.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/child_process.h"

namespace userpager {
namespace {

class ForbiddenUringTest : public testing::TestWithParam<int> {};

TEST_P(ForbiddenUringTest, OpenReturnsTheReason) {
  const std::string result = InChild([]() -> std::string {
    RefuseSystemCall(SYS_io_uring_setup, GetParam());
    UringEngine engine;
    const Errno error = engine.Open();
    return error == GetParam() ? "" : "got error " + std::to_string(error);
  });
  EXPECT_EQ(result, "");
}

INSTANTIATE_TEST_SUITE_P(Reasons, ForbiddenUringTest, testing::Values(EPERM, EACCES, ENOSYS),
                         [](const auto& error) { return strerrorname_np(error.param); });

// As on kernels before 5.18.
TEST(UringEngine, WorksWithoutTheRegisteredDescriptor) {
  const std::string result = InChild([]() -> std::string {
    RefuseSystemCall(SYS_io_uring_register, EINVAL);
    UringEngine engine;
    if (const Errno error = engine.Open(); error != 0) {
      return error == EPERM || error == ENOSYS || error == EACCES ? "" : "cannot open";
    }
    const int event = eventfd(2, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t value = 0;
    engine.SubmitMessageRead(event, &value, sizeof value, 1);
    IoCompletion completion{};
    if (engine.Wait({&completion, 1}, IoEngine::kNoTimeout) != 1) return "no completion";
    return value == 2 ? "" : "a wrong message";
  });
  EXPECT_EQ(result, "");
}

}  // namespace
}  // namespace userpager
