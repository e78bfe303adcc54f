#include "runtime/cli/output_file.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <system_error>

namespace userpager::cli {
namespace {

constexpr int kEndingSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

// The name of what is not whole yet, for the handler.
const char* volatile unfinished = nullptr;

// The process ends by the signal, as it would have without the handler.
void EndBySignal(int number) {
  RemoveUnfinishedOutput();
  signal(number, SIG_DFL);
  raise(number);
}

// While it is there, signals that end the process remove the file.
class Unfinished {
 public:
  explicit Unfinished(const std::string& path) {
    unfinished = path.c_str();
    for (size_t i = 0; i < std::size(kEndingSignals); ++i) {
      struct sigaction action {};
      action.sa_handler = &EndBySignal;
      sigaction(kEndingSignals[i], nullptr, &before_[i]);
      // Who is told to ignore one (nohup) goes on doing so.
      if (before_[i].sa_handler != SIG_IGN) sigaction(kEndingSignals[i], &action, nullptr);
    }
  }
  ~Unfinished() {
    for (size_t i = 0; i < std::size(kEndingSignals); ++i) {
      sigaction(kEndingSignals[i], &before_[i], nullptr);
    }
    unfinished = nullptr;
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;

 private:
  struct sigaction before_[std::size(kEndingSignals)];
};

// "", or why not.
std::string WriteStream(const std::string& path,
                        const std::function<void(std::ostream&)>& write) {
  errno = 0;
  std::ofstream out(path, std::ios::binary);
  if (out) write(out);
  const int failed = errno;
  out.close();
  if (out) return "";
  const int error = failed != 0 ? failed : errno;
  return error == 0 ? "it takes no more" : std::strerror(error);
}

// `mode`: of the file that was there before, or 0.
std::string Replace(const std::string& path, mode_t mode,
                    const std::function<void(std::ostream&)>& write) {
  const std::string part = path + ".part" + std::to_string(getpid());
  const Unfinished guard(part);
  // What only some may read is theirs alone from the beginning.
  if (mode != 0 && std::ofstream(part)) chmod(part.c_str(), mode & 0777);
  std::string why = WriteStream(part, write);
  if (why.empty() && std::rename(part.c_str(), path.c_str()) != 0) why = std::strerror(errno);
  if (!why.empty()) unlink(part.c_str());
  return why;
}

}  // namespace

void RemoveUnfinishedOutput() {
  if (unfinished != nullptr) unlink(unfinished);
}

std::string WriteOutput(const std::string& path,
                        const std::function<void(std::ostream&)>& write) {
  if (path == "-") {
    errno = 0;
    write(std::cout);
    if (std::cout.flush()) return "";
    return errno == 0 ? "it takes no more" : std::strerror(errno);
  }
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return Replace(path, 0, write);
  // A device, a pipe or a folder stays what it is.
  if (!S_ISREG(status.st_mode)) return WriteStream(path, write);
  if (access(path.c_str(), W_OK) != 0) return std::strerror(errno);
  // What a link leads to is replaced, not the link.
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(path, error);
  return error ? error.message() : Replace(whole.string(), status.st_mode, write);
}

}  // namespace userpager::cli
