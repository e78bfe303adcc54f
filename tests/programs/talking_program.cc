#include "tests/programs/talking_program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tests/programs/spawn_texts.h"

namespace userpager::programs {
TalkingProgram::TalkingProgram(const std::vector<std::string>& command,
                               const RunOptions& options) {
  SpawnTexts texts(command, options);
  int to[2];
  int from[2];
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) return;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, to[0], 0);
  posix_spawn_file_actions_adddup2(&files, from[1], 1);
  if (posix_spawnp(&number_, texts.program(), &files, nullptr, texts.arguments(),
                   texts.environment()) != 0) {
    number_ = 0;
  }
  posix_spawn_file_actions_destroy(&files);
  close(to[0]);
  close(from[1]);
  input_ = to[1];
  output_ = from[0];
}

TalkingProgram::~TalkingProgram() {
  if (number_ > 0) {
    kill(number_, SIGKILL);
    Reap();
  }
  if (input_ >= 0) close(input_);
  if (output_ >= 0) close(output_);
}

std::string TalkingProgram::ReadLine() {
  std::string line;
  for (char c; read(output_, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

void TalkingProgram::WriteLine(const std::string& line) {
  const std::string text = line + "\n";
  // A program that has ended shows in what it answers.
  [[maybe_unused]] const ssize_t written = write(input_, text.data(), text.size());
}

void TalkingProgram::Signal(int signal) const { kill(number_, signal); }

void TalkingProgram::Stop() const {
  Signal(SIGSTOP);
  siginfo_t stopped;
  while (waitid(P_PID, static_cast<id_t>(number_), &stopped, WSTOPPED) < 0 && errno == EINTR) {
  }
}

int TalkingProgram::Finish() {
  close(input_);
  input_ = -1;
  return Reap();
}

int TalkingProgram::Reap() {
  int status = 0;
  while (waitpid(number_, &status, 0) < 0 && errno == EINTR) {
  }
  number_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace userpager::programs
