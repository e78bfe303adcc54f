// A stress test's worker: the test program itself, run again in a process of its own. There is one
// pager a process and its options are fixed at start, so each set of options needs a new process;
// and a pager that hangs or dies takes only the worker with it.
//
// Flow: the test calls RunWorker; the worker's main finds kWorkerVariable set and runs the job that
//       it names; RunWorker waits for the end, for a bounded time.
#ifndef USERPAGER_TESTS_STRESS_WORKER_PROCESS_H_
#define USERPAGER_TESTS_STRESS_WORKER_PROCESS_H_

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace userpager::stress {

inline constexpr char kWorkerVariable[] = "USERPAGER_STRESS_WORKER";

// Keeps a hang from being endless; decides about nothing else.
inline constexpr int kWorkerSecondsMax = 280;

// Whether this process may answer page faults at all; if not, `reason` says why.
inline bool CanAnswerFaults(std::string* reason) {
  constexpr int kUserModeOnly = 1;
  long fd = syscall(SYS_userfaultfd, O_CLOEXEC);
  if (fd < 0) fd = syscall(SYS_userfaultfd, O_CLOEXEC | kUserModeOnly);
  if (fd >= 0) {
    close(static_cast<int>(fd));
    return true;
  }
  *reason = std::string("this process gets no userfaultfd: ") + strerror(errno);
  return false;
}

// The environment of this process with `changes` ("NAME=value") in it.
inline std::vector<std::string> EnvironmentWith(const std::vector<std::string>& changes) {
  std::vector<std::string> environment = changes;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string old = *entry;
    const std::string name = old.substr(0, old.find('=') + 1);
    bool changed = false;
    for (const std::string& change : changes) changed = changed || change.rfind(name, 0) == 0;
    if (!changed) environment.push_back(old);
  }
  return environment;
}

inline std::string DescribeExit(int status) {
  if (WIFEXITED(status)) {
    return WEXITSTATUS(status) == 0 ? "" : "it exited with " + std::to_string(WEXITSTATUS(status));
  }
  return std::string("it was killed: ") + strsignal(WTERMSIG(status));
}

inline std::string WaitForWorker(pid_t worker) {
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, worker, 0));
  if (handle < 0) return std::string("pidfd_open: ") + strerror(errno);
  pollfd ended{handle, POLLIN, 0};
  int ready;
  do {
    ready = poll(&ended, 1, kWorkerSecondsMax * 1000);
  } while (ready < 0 && errno == EINTR);
  close(handle);
  if (ready == 0) kill(worker, SIGKILL);
  int status = 0;
  while (waitpid(worker, &status, 0) < 0 && errno == EINTR) {
  }
  if (ready == 0) {
    return "it had not ended after " + std::to_string(kWorkerSecondsMax) + " s and was killed";
  }
  return DescribeExit(status);
}

// Runs `job` in a new process with the pager's options `conf`. Returns "" if it went well, else
// what happened; the worker itself has then written what it found.
inline std::string RunWorker(const std::string& job, const std::string& conf) {
  const std::vector<std::string> environment =
      EnvironmentWith({std::string(kWorkerVariable) + "=" + job, "USERPAGER_CONF=" + conf});
  std::vector<char*> pointers;
  for (const std::string& entry : environment) pointers.push_back(const_cast<char*>(entry.c_str()));
  pointers.push_back(nullptr);
  char program[] = "/proc/self/exe";
  char* arguments[] = {program, nullptr};
  std::fflush(nullptr);
  const pid_t worker = fork();
  if (worker < 0) return std::string("fork: ") + strerror(errno);
  if (worker == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execve(program, arguments, pointers.data());
    _exit(127);
  }
  return WaitForWorker(worker);
}

}  // namespace userpager::stress

#endif  // USERPAGER_TESTS_STRESS_WORKER_PROCESS_H_
