#include "bench/support/child_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_format.h"
#include "bench/support/machine.h"
#include "runtime/base/clock.h"

namespace userpager::bench {
namespace {

[[noreturn]] void BecomeChild(const std::vector<std::string>& arguments, const Environment& added,
                              int output) {
  // It may not outlive the one who removes what it leaves.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (dup2(output, STDOUT_FILENO) < 0) Die("dup2 for a child's output", errno);
  for (const auto& [name, value] : added) {
    if (setenv(name.c_str(), value.c_str(), 1) != 0) Die("setenv", errno);
  }
  std::string program = program_invocation_name;
  std::vector<char*> argv = {program.data()};
  std::vector<std::string> words = arguments;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv("/proc/self/exe", argv.data());
  Die("starting a child", errno);
}

// False if the time is over.
bool ReadAll(int from, uint64_t deadline_ns, std::string* text) {
  for (;;) {
    const uint64_t now = NowNanoseconds();
    if (now >= deadline_ns) return false;
    pollfd waiting = {from, POLLIN, 0};
    if (poll(&waiting, 1, static_cast<int>((deadline_ns - now) / 1'000'000) + 1) <= 0) continue;
    char buffer[4096];
    const ssize_t got = read(from, buffer, sizeof(buffer));
    if (got == 0) return true;
    if (got > 0) text->append(buffer, static_cast<size_t>(got));
    if (got < 0 && errno != EINTR) Die("reading a child's output", errno);
  }
}

}  // namespace

ChildResult RunChild(const std::vector<std::string>& arguments, const Environment& added,
                     unsigned seconds_max) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) Die("a pipe for a child's output", errno);
  const pid_t child = fork();
  if (child < 0) Die("making a child", errno);
  if (child == 0) BecomeChild(arguments, added, ends[1]);
  close(ends[1]);
  ChildResult result;
  const uint64_t deadline = NowNanoseconds() + uint64_t{seconds_max} * 1'000'000'000;
  if (!ReadAll(ends[0], deadline, &result.output)) {
    kill(child, SIGKILL);
    result.problem = absl::StrFormat("it was ended after %u seconds", seconds_max);
  }
  close(ends[0]);
  int status = 0;
  rusage usage{};
  while (wait4(child, &status, 0, &usage) < 0) {
    if (errno != EINTR) Die("waiting for a child", errno);
  }
  result.peak_rss_mib = static_cast<double>(usage.ru_maxrss) / 1024;
  if (!result.problem.empty()) return result;
  if (WIFSIGNALED(status)) {
    result.problem = absl::StrFormat("it was killed by signal %d", WTERMSIG(status));
  } else if (WEXITSTATUS(status) != 0) {
    result.problem = absl::StrFormat("it ended with status %d", WEXITSTATUS(status));
  }
  return result;
}

}  // namespace userpager::bench
