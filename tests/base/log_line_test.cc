#include "runtime/base/log_line.h"

#include <errno.h>
#include <unistd.h>

#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace userpager {
namespace {

TEST(LogLine, JoinsTextAndNumbers) {
  LogLine line;
  line << "page " << std::string_view("file: ") << 42u << " of " << -7 << " at " << Hex{255};
  EXPECT_EQ(line.text(), "page file: 42 of -7 at 0xff");
  EXPECT_STREQ(line.c_str(), "page file: 42 of -7 at 0xff");
}

TEST(LogLine, IntegersAreWholeAtTheirLimits) {
  LogLine line;
  line << std::numeric_limits<int64_t>::min() << " " << std::numeric_limits<uint64_t>::max() << " "
       << Hex{~uint64_t{0}} << " " << Hex{0};
  EXPECT_EQ(line.text(), "-9223372036854775808 18446744073709551615 0xffffffffffffffff 0x0");
}

TEST(LogLine, AnErrorHasItsDescriptionAndItsName) {
  LogLine known;
  known << ErrnoText{ENOENT};
  EXPECT_EQ(known.text(), "No such file or directory (ENOENT)");
  LogLine unknown;
  unknown << ErrnoText{99'999};
  EXPECT_EQ(unknown.text(), "error 99999");
}

TEST(LogLine, WhatIsTooLongIsCutAndSaysSo) {
  const std::string full(LogLine::kCapacity, 'x');
  LogLine exact;
  exact << full;
  EXPECT_EQ(exact.text(), full);
  exact << "";
  EXPECT_EQ(exact.text(), full);
  exact << "y";
  EXPECT_EQ(exact.text(), full.substr(3) + "...");
  exact << 12345u;
  EXPECT_EQ(exact.text(), full.substr(3) + "...");
  EXPECT_EQ(std::string(exact.c_str()).size(), LogLine::kCapacity);

  LogLine at_once;
  at_once << "start " << full << full;
  EXPECT_EQ(at_once.text().size(), LogLine::kCapacity);
  EXPECT_EQ(at_once.text().substr(0, 7), "start x");
  EXPECT_EQ(at_once.text().substr(LogLine::kCapacity - 4), "x...");
}

TEST(LogLine, WriteMakesOneLineAndKeepsErrno) {
  LogLine line;
  line << "hello " << 1;
  testing::internal::CaptureStderr();
  errno = ERANGE;
  line.Write();
  const int error_after = errno;
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "userpager: hello 1\n");
  EXPECT_EQ(error_after, ERANGE);
}

TEST(LogLine, AClosedStandardErrorDoesNoHarm) {
  LogLine line;
  line << "nobody reads this";
  const int kept = dup(STDERR_FILENO);
  ASSERT_GE(kept, 0);
  close(STDERR_FILENO);
  errno = ERANGE;
  line.Write();
  const int error_after = errno;
  EXPECT_EQ(dup2(kept, STDERR_FILENO), STDERR_FILENO);
  close(kept);
  EXPECT_EQ(error_after, ERANGE);
}

}  // namespace
}  // namespace userpager
