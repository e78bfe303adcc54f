// CapturedLog: what the process writes to standard error, the runtime's lines among it, for a test
// to wait for.
#ifndef USERPAGER_TESTS_SUPPORT_CAPTURED_LOG_H_
#define USERPAGER_TESTS_SUPPORT_CAPTURED_LOG_H_

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace userpager {

// From its construction to its end, when all of it is written to the true standard error.
class CapturedLog {
 public:
  CapturedLog() : file_(memfd_create("log", MFD_CLOEXEC)), before_(dup(STDERR_FILENO)) {
    dup2(file_, STDERR_FILENO);
  }
  ~CapturedLog() {
    dup2(before_, STDERR_FILENO);
    const std::string text = Text();
    (void)!write(STDERR_FILENO, text.data(), text.size());
    close(before_);
    close(file_);
  }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  std::string Text() const {
    struct stat status{};
    fstat(file_, &status);
    std::string text(static_cast<size_t>(status.st_size), '\0');
    const ssize_t got = pread(file_, text.data(), text.size(), 0);
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return text;
  }
  bool Has(std::string_view part) const { return Text().find(part) != std::string::npos; }

 private:
  const int file_;
  const int before_;
};

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_CAPTURED_LOG_H_
