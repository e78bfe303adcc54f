// A program that runs beside the test, which talks with it through pipes.
#ifndef USERPAGER_TESTS_PROGRAMS_TALKING_PROGRAM_H_
#define USERPAGER_TESTS_PROGRAMS_TALKING_PROGRAM_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/programs/program_run.h"

namespace userpager::programs {

class TalkingProgram {
 public:
  // Looked up in PATH. Of the options, `input` is not used: standard input is a pipe.
  explicit TalkingProgram(const std::vector<std::string>& command, const RunOptions& options = {});
  // Kills it, where it still runs.
  ~TalkingProgram();
  TalkingProgram(const TalkingProgram&) = delete;
  TalkingProgram& operator=(const TalkingProgram&) = delete;

  pid_t number() const { return number_; }
  // Waits for the next line of its standard output; "" where it has ended.
  std::string ReadLine();
  // Sends a line to its standard input.
  void WriteLine(const std::string& line);
  // Sends a signal.
  void Signal(int signal) const;
  // Stops it (SIGSTOP), and waits until all of its threads have stopped.
  void Stop() const;
  // Ends its standard input, and waits for its end. Returns as ProgramRun::status.
  int Finish();

 private:
  int Reap();

  pid_t number_ = 0;
  int input_ = -1;
  int output_ = -1;
};

}  // namespace userpager::programs

#endif  // USERPAGER_TESTS_PROGRAMS_TALKING_PROGRAM_H_
