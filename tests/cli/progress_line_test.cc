// How far work is: told on a terminal, and nowhere else.
#include "runtime/cli/progress_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <string>

#include "tests/support/child_process.h"

namespace userpager::cli {
namespace {

using testing::EndsWith;

// Puts standard error in the place of `file`, in a child alone.
void WriteErrorsTo(int file) { ASSERT_EQ(STDERR_FILENO, dup2(file, STDERR_FILENO)); }

std::string ReadWhatIsThere(int file) {
  std::string text;
  char part[4096];
  for (pollfd ready{file, POLLIN, 0}; poll(&ready, 1, 0) == 1;) {
    const ssize_t got = read(file, part, sizeof part);
    if (got <= 0) break;
    text.append(part, static_cast<size_t>(got));
  }
  return text;
}

TEST(ProgressLine, IsShownOnATerminalAndWiped) {
  EXPECT_EQ("", InChild([]() -> std::string {
    int ours = -1;
    int theirs = -1;
    if (openpty(&ours, &theirs, nullptr, nullptr, nullptr) != 0) return "no terminal";
    WriteErrorsTo(theirs);
    std::string seen;
    {
      ProgressLine line("work");
      // It is shown when a moment has passed.
      while (seen.empty()) {
        line.Show(0.25);
        seen = ReadWhatIsThere(ours);
      }
    }
    EXPECT_EQ("\rwork: 25%", seen);
    EXPECT_THAT(ReadWhatIsThere(ours), EndsWith("\r\x1b[K"));
    return testing::Test::HasFailure() ? "failed" : "";
  }));
}

TEST(ProgressLine, IsNotWrittenToAPipe) {
  EXPECT_EQ("", InChild([]() -> std::string {
    int ends[2];
    if (pipe(ends) != 0) return "no pipe";
    WriteErrorsTo(ends[1]);
    {
      ProgressLine line("work");
      // Longer than a terminal would have had to wait.
      usleep(150'000);
      line.Show(0.5);
    }
    return ReadWhatIsThere(ends[0]);
  }));
}

}  // namespace
}  // namespace userpager::cli
