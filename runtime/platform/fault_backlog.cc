#include "runtime/platform/fault_backlog.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "runtime/base/log_line.h"
#include "runtime/base/system_call.h"
#include "runtime/platform/descriptors.h"

namespace userpager {
namespace {

constexpr std::string_view kUnread = "\npending:";
constexpr std::string_view kAll = "\ntotal:";

// The number of the line that begins with `name`.
bool ReadNumber(std::string_view text, std::string_view name, uint64_t* number) {
  size_t at = text.find(name);
  if (at == std::string_view::npos) return false;
  at = text.find_first_not_of(" \t", at + name.size());
  if (at == std::string_view::npos) return false;
  return std::from_chars(text.data() + at, text.data() + text.size(), *number).ec == std::errc();
}

}  // namespace

FaultBacklog::~FaultBacklog() { Descriptors::Close(file_); }

void FaultBacklog::Open(int userfaultfd) {
  LogLine path;
  path << "/proc/self/fdinfo/" << userfaultfd;
  file_ = Descriptors::Keep(USERPAGER_CALL(kOpen, open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  char buffer[512];
  const std::string_view text = ReadText(buffer, sizeof buffer);
  identity_length_ = std::min(text.substr(0, text.find(kUnread)).size(), sizeof identity_);
  std::copy_n(buffer, identity_length_, identity_);
}

std::string_view FaultBacklog::ReadText(char* buffer, size_t bytes) const {
  const ssize_t got = file_ < 0 ? -1 : pread(file_, buffer, bytes, 0);
  return got < 0 ? std::string_view() : std::string_view(buffer, static_cast<size_t>(got));
}

bool FaultBacklog::Read(FaultCounts* counts) const {
  *counts = {};
  if (identity_length_ == 0) return true;
  char buffer[512];
  const std::string_view text = ReadText(buffer, sizeof buffer);
  if (text.empty() && errno != ENOENT) return true;
  return text.substr(0, identity_length_) == std::string_view(identity_, identity_length_) &&
         ReadNumber(text, kUnread, &counts->unread) && ReadNumber(text, kAll, &counts->all);
}

}  // namespace userpager
