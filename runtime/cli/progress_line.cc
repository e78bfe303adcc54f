#include "runtime/cli/progress_line.h"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "runtime/cli/terminal.h"

namespace userpager::cli {
namespace {

constexpr std::chrono::milliseconds kBetween(100);

}  // namespace

ProgressLine::ProgressLine(std::string what)
    : what_(std::move(what)), is_terminal_(UnderstandsEscapes(STDERR_FILENO)),
      next_(Clock::now() + kBetween) {}

ProgressLine::~ProgressLine() {
  if (shown_) std::cerr << "\r\x1b[K" << std::flush;
}

void ProgressLine::Show(double share) {
  if (!is_terminal_ || Clock::now() < next_) return;
  next_ = Clock::now() + kBetween;
  shown_ = true;
  std::cerr << '\r' << what_ << ": " << static_cast<int>(share * 100) << "%" << std::flush;
}

}  // namespace userpager::cli
