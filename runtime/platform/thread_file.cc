#include "runtime/platform/thread_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/log_line.h"

namespace userpager {

ThreadFile::ThreadFile(uint32_t thread_id, const char* name) {
  LogLine path;
  path << "/proc/self/task/" << thread_id << "/" << name;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t length = read(fd, text_, sizeof text_);
  if (length > 0) length_ = static_cast<size_t>(length);
  close(fd);
}

}  // namespace userpager
