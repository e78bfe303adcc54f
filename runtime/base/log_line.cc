#include "runtime/base/log_line.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace userpager {
namespace {

constexpr std::string_view kCut = "...";

}  // namespace

LogLine& LogLine::operator<<(std::string_view text) {
  const size_t room = kCapacity - length_;
  if (text.size() <= room) {
    std::copy(text.begin(), text.end(), buffer_ + length_);
    length_ += text.size();
    return *this;
  }
  std::copy_n(text.begin(), room, buffer_ + length_);
  length_ = kCapacity;
  std::copy(kCut.begin(), kCut.end(), buffer_ + kCapacity - kCut.size());
  return *this;
}

LogLine& LogLine::operator<<(Hex hex) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, hex.value, 16).ptr;
  return *this << "0x" << std::string_view(digits, static_cast<size_t>(end - digits));
}

LogLine& LogLine::operator<<(ErrnoText error) {
  const char* description = strerrordesc_np(error.error);
  const char* name = strerrorname_np(error.error);
  if (description == nullptr || name == nullptr) return *this << "error " << error.error;
  return *this << description << " (" << name << ")";
}

LogLine& LogLine::AppendUnsigned(uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  return *this << std::string_view(digits, static_cast<size_t>(end - digits));
}

LogLine& LogLine::AppendSigned(int64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  return *this << std::string_view(digits, static_cast<size_t>(end - digits));
}

void LogLine::Write() const {
  const int saved_errno = errno;
  constexpr std::string_view kPrefix = "userpager: ";
  const iovec parts[] = {
      {const_cast<char*>(kPrefix.data()), kPrefix.size()},
      {const_cast<char*>(buffer_), length_},
      {const_cast<char*>("\n"), 1},
  };
  // A standard error that is closed or full is no reason to stop a program: nothing can be done.
  [[maybe_unused]] const ssize_t written = writev(STDERR_FILENO, parts, 3);
  errno = saved_errno;
}

}  // namespace userpager
