#include "runtime/platform/thread_place.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <string_view>

#include "runtime/base/log_line.h"

namespace userpager {

int CpuOfThread(uint32_t thread_id) {
  LogLine path;
  path << "/proc/self/task/" << thread_id << "/stat";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char text[1024];
  const ssize_t length = read(fd, text, sizeof text);
  close(fd);
  if (length <= 0) return -1;
  std::string_view rest(text, static_cast<size_t>(length));
  // The name, field 2, may hold spaces and parentheses; field 3 follows its last parenthesis, and
  // "processor" is field 39.
  const size_t name_end = rest.rfind(')');
  if (name_end == std::string_view::npos) return -1;
  rest.remove_prefix(name_end + 1);
  for (int field = 3; field <= 39; ++field) {
    const size_t space = rest.find(' ');
    if (space == std::string_view::npos) return -1;
    rest.remove_prefix(space + 1);
  }
  int cpu = -1;
  std::from_chars(rest.data(), rest.data() + rest.size(), cpu);
  return cpu;
}

unsigned CountAllowedCpus() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&allowed));
}

void ThreadPlace::Init() {
  // Without the set nothing is ever bound: the scheduler decides.
  if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) CPU_ZERO(&allowed_);
  bound_ = -1;  // in a forked child another thread was
}

void ThreadPlace::BindTo(int cpu) {
  if (cpu == bound_ || cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed_)) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (sched_setaffinity(0, sizeof one, &one) == 0) bound_ = cpu;
}

void ThreadPlace::Release() {
  if (bound_ < 0) return;
  if (sched_setaffinity(0, sizeof allowed_, &allowed_) == 0) bound_ = -1;
}

}  // namespace userpager
