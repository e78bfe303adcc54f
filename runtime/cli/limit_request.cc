// ManagedProcess: a request for another memory limit, and its answer.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "runtime/cli/managed_process.h"
#include "runtime/platform/published_page.h"

namespace userpager::cli {
namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(5);
// How long a process that is not stopped may take to begin with a request.
constexpr auto kPatience = std::chrono::seconds(30);

// Keeps two tools from writing their requests over each other. The lock is the kernel's, and ends
// with its file.
bool LockRequests(int file) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  while (fcntl(file, F_OFD_SETLK, &whole) != 0) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return true;
}

uint64_t NewRequestNumber() {
  std::random_device random;
  const uint64_t number = (uint64_t{random()} << 32) | random();
  return number == 0 ? 1 : number;
}

// As much as an untrusted answer has of a line.
std::string LineIn(const LimitAnswer& answer) {
  char text[LimitAnswer::kTextBytes];
  std::memcpy(text, answer.text, sizeof text);
  std::string line(text, strnlen(text, sizeof text));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  }
  return line.empty() ? "it was refused" : line;
}

}  // namespace

std::string ManagedProcess::NobodyAnswers() const {
  return "process " + std::to_string(number_) +
         " could not make the thread that changes its memory limit when it is asked to";
}

bool ManagedProcess::WriteRequest(uint64_t number, uint64_t bytes) {
  // The number last: who sees it sees the bytes that belong to it.
  const auto write = [this](uint64_t value, size_t at) {
    return pwrite(announcement_file_, &value, sizeof value, static_cast<off_t>(at)) ==
           static_cast<ssize_t>(sizeof value);
  };
  return write(bytes, offsetof(Announcement, limit_bytes)) &&
         write(number, offsetof(Announcement, limit_request));
}

std::optional<std::string> ManagedProcess::ChangeLimit(uint64_t bytes) {
  if (!TakesRequests()) return NobodyAnswers();
  if (!LockRequests(announcement_file_)) {
    return "another userpager limit is at work on process " + std::to_string(number_) +
           "; try again";
  }
  const uint64_t request = NewRequestNumber();
  if (!WriteRequest(request, bytes)) {
    return path_ + " cannot be written: " + std::strerror(errno);
  }
  std::optional<std::string> problem = AwaitAnswer(request);
  // Nobody is to find a request there whose asker has gone.
  (void)WriteRequest(0, 0);
  return problem;
}

std::optional<std::string> ManagedProcess::AwaitAnswer(uint64_t request) {
  const LimitAnswer& answer = page().limit_answer;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (answer.answered.load(std::memory_order_acquire) != request) {
    if (!IsAlive()) return "process " + std::to_string(number_) + " has ended";
    // It may have been found a moment before it knew.
    if (!TakesRequests()) return NobodyAnswers();
    PublishedPage::Wake(page().wake);
    std::this_thread::sleep_for(kBetweenLooks);
    if (answer.begun.load(std::memory_order_acquire) == request) continue;
    const bool stopped = IsStopped();
    if (!stopped && std::chrono::steady_clock::now() <= deadline) continue;
    // Withdrawn: who begins with it from now on looks once more, and finds none.
    (void)WriteRequest(0, 0);
    std::this_thread::sleep_for(kBetweenLooks);
    if (answer.begun.load(std::memory_order_acquire) == request) continue;
    return "process " + std::to_string(number_) +
           (stopped ? " is stopped; let it go on (kill -CONT) and try again"
                    : " does not answer");
  }
  if (answer.result.load(std::memory_order_relaxed) == 0) return std::nullopt;
  return LineIn(answer);
}

}  // namespace userpager::cli
