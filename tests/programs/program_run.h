// Runs a program, plain or with its memory managed, and says what came of it.
#ifndef USERPAGER_TESTS_PROGRAMS_PROGRAM_RUN_H_
#define USERPAGER_TESTS_PROGRAMS_PROGRAM_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

namespace userpager::programs {

struct ProgramRun {
  int status = -1;          // the exit status, or 128 + the signal that ended it
  std::string output;       // standard output
  std::string complaints;   // standard error
  uint64_t most_bytes = 0;  // resident at its peak, by the kernel's count for who waits
};

struct RunOptions {
  std::string memory;                    // of the pager; empty: a plain run
  std::string input;                     // a file for standard input; empty: /dev/null
  std::vector<std::string> environment;  // NAME=value, beside what there is
};

// The program is looked up in PATH. Waits for its end.
ProgramRun RunProgram(const std::vector<std::string>& command, const RunOptions& options = {});

// Whether such a program is in PATH.
bool IsThere(const std::string& program);

}  // namespace userpager::programs

#endif  // USERPAGER_TESTS_PROGRAMS_PROGRAM_RUN_H_
