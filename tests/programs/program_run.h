// Runs a program, plain or with its memory managed, and says what came of it.
#ifndef USERPAGER_TESTS_PROGRAMS_PROGRAM_RUN_H_
#define USERPAGER_TESTS_PROGRAMS_PROGRAM_RUN_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace userpager::programs {

struct ProgramRun {
  int status = -1;          // the exit status, or 128 + the signal that ended it
  std::string output;       // standard output
  std::string complaints;   // standard error
  // Resident at its peak, by the kernel's count for who waits; at least what the test itself had
  // resident when it started the program.
  uint64_t most_bytes = 0;
};

struct RunOptions {
  std::string memory = {};                    // of the pager; empty: a plain run
  std::string input = {};                     // a file for standard input; empty: /dev/null
  std::vector<std::string> environment = {};  // NAME=value, beside what there is
  std::string configuration = "page_file_max:1G";  // of the pager, beside its memory
};

// The program is looked up in PATH. Waits for its end.
ProgramRun RunProgram(const std::vector<std::string>& command, const RunOptions& options = {});

// Runs this test program once more, and there the test Managed.DISABLED_<name>.
ProgramRun RunManagedTest(const std::string& name, const RunOptions& options);

// A program that runs beside the test. Ended, with SIGKILL, by the destructor at the latest.
class RunningProgram {
 public:
  explicit RunningProgram(const std::vector<std::string>& command,
                          const RunOptions& options = {});
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  pid_t id() const { return id_; }  // 0: it could not be started, or has been waited for
  // The most that was resident until now, by /proc. 0 where it has ended.
  uint64_t MostBytes() const;
  bool HasEnded();
  void Signal(int number) const;
  // Waits for its end. Once.
  ProgramRun Wait();

 private:
  void AwaitEnd(int flags);

  pid_t id_ = 0;
  int output_;
  int complaints_;
  ProgramRun run_;
};

// How large the tests of large programs are: 1, or what USERPAGER_PROGRAMS_SCALE says.
unsigned ProgramsScale();

// Why no program can be run with its memory managed here; empty where it can.
std::string WhyNotManaged();

// Whether such a program is in PATH.
bool IsThere(const std::string& program);

}  // namespace userpager::programs

#endif  // USERPAGER_TESTS_PROGRAMS_PROGRAM_RUN_H_
