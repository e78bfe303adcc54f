// ProgressLine: how far long work is, on one line of the terminal that standard error is: shown
// after a moment, and wiped when the work is done. Where standard error is no terminal, nothing.
#ifndef USERPAGER_CLI_PROGRESS_LINE_H_
#define USERPAGER_CLI_PROGRESS_LINE_H_

#include <chrono>
#include <string>

namespace userpager::cli {

class ProgressLine {
 public:
  explicit ProgressLine(std::string what);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // `share`: of the work, from 0 to 1.
  void Show(double share);

 private:
  using Clock = std::chrono::steady_clock;

  const std::string what_;
  const bool is_terminal_;
  Clock::time_point next_;
  bool shown_ = false;
};

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_PROGRESS_LINE_H_
