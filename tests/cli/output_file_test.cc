// Results: whole, or as they were before.
#include "runtime/cli/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temp_directory.h"

namespace userpager::cli {
namespace {

namespace fs = std::filesystem;

void WriteNew(std::ostream& out) { out << "new"; }

class OutputFileTest : public testing::Test {
 protected:
  const TempDirectory folder_;
  const std::string path_ = folder_ / "result";
};

TEST_F(OutputFileTest, IsWrittenWhole) {
  EXPECT_EQ("", WriteOutput(path_, WriteNew));
  EXPECT_EQ("new", ContentOf(path_));
  EXPECT_EQ(1u, folder_.entries());
}

TEST_F(OutputFileTest, KeepsItsRightsAndItsLink) {
  std::ofstream(path_) << "old and long";
  ASSERT_EQ(0, chmod(path_.c_str(), 0600));
  const std::string link = folder_ / "link";
  fs::create_symlink("result", link);
  EXPECT_EQ("", WriteOutput(link, WriteNew));
  EXPECT_EQ("new", ContentOf(path_));
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(fs::perms::owner_read | fs::perms::owner_write, fs::status(path_).permissions());
}

TEST_F(OutputFileTest, WhatCannotBeWrittenIsAsBefore) {
  std::ofstream(path_) << "old";
  const auto fail = [](std::ostream& out) {
    out << "half";
    out.setstate(std::ios::badbit);
  };
  EXPECT_NE("", WriteOutput(path_, fail));
  EXPECT_EQ("old", ContentOf(path_));
  EXPECT_NE("", WriteOutput(folder_ / "another", fail));
  EXPECT_EQ(1u, folder_.entries());
  EXPECT_THAT(WriteOutput(folder_ / "no/such", WriteNew), testing::HasSubstr("No such file"));
  EXPECT_THAT(WriteOutput(folder_.path(), WriteNew), testing::HasSubstr("Is a directory"));
  EXPECT_THAT(WriteOutput("/dev/full", WriteNew), testing::HasSubstr("No space left"));
}

TEST_F(OutputFileTest, ASignalLeavesNothingBehind) {
  std::ofstream(path_) << "old";
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const pid_t child = fork();
    if (child == 0) {
      (void)WriteOutput(path_, [number](std::ostream& out) {
        out << "half" << std::flush;
        raise(number);
      });
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    EXPECT_TRUE(WIFSIGNALED(status)) << number;
    EXPECT_EQ(number, WTERMSIG(status));
    EXPECT_EQ("old", ContentOf(path_));
    EXPECT_EQ(1u, folder_.entries());
  }
}

}  // namespace
}  // namespace userpager::cli
