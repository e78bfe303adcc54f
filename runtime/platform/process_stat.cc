#include "runtime/platform/process_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <string_view>

#include "runtime/base/log_line.h"

namespace userpager {
namespace {

constexpr int kStateField = 3;
constexpr int kStartField = 22;

}  // namespace

Errno ReadProcessStat(int process, ProcessStat* stat) {
  LogLine path;
  path << "/proc/" << process << "/stat";
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno;
  char text[1024];
  const ssize_t length = read(file, text, sizeof text);
  const Errno failed = length < 0 ? errno : 0;
  close(file);
  if (length <= 0) return failed == 0 ? ESRCH : failed;
  std::string_view rest(text, static_cast<size_t>(length));
  // The name, field 2, may hold spaces and parentheses; field 3 follows its last parenthesis.
  const size_t name_end = rest.rfind(") ");
  if (name_end == rest.npos || name_end + 2 >= rest.size()) return EINVAL;
  rest.remove_prefix(name_end + 2);
  stat->state = rest[0];
  for (int field = kStateField; field < kStartField; ++field) {
    const size_t space = rest.find(' ');
    if (space == rest.npos) return EINVAL;
    rest.remove_prefix(space + 1);
  }
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), stat->start_ticks);
  return parsed.ec == std::errc() ? 0 : EINVAL;
}

}  // namespace userpager
