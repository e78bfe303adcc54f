#include "bench/support/memory_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <fstream>

#include "bench/support/machine.h"

namespace userpager::bench {
namespace {

// 0 or an errno: that of the write, as the file systems of cgroups check what is written.
int WriteText(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const ssize_t written = write(fd, text.data(), text.size());
  const int error = written < 0 ? errno : 0;
  close(fd);
  return error;
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

}  // namespace

std::string LimitMemoryCgroup(const std::string& directory, uint64_t bytes) {
  if (directory.empty()) return "there is no memory cgroup (bench/run.sh makes one, as root)";
  const bool version_2 = Exists(directory + "/memory.max");
  // Version 2 has no such file, and needs none: its limit throws out what is too much.
  if (!version_2) WriteText(directory + "/memory.force_empty", "0");
  const std::string limit = directory + (version_2 ? "/memory.max" : "/memory.limit_in_bytes");
  const int error = WriteText(limit, std::to_string(bytes));
  return error == 0 ? "" : limit + " cannot be set: " + strerror(error);
}

void JoinMemoryCgroup(const std::string& directory) {
  const int error = WriteText(directory + "/cgroup.procs", std::to_string(getpid()));
  if (error != 0) Die("entering " + directory, error);
}

std::string NoSwapReason() {
  std::ifstream swaps("/proc/swaps");
  std::string line;
  std::getline(swaps, line);
  if (std::getline(swaps, line)) return "";
  return "no swap is on (bench/run.sh makes a swap file, as root)";
}

}  // namespace userpager::bench
