// What the figures depend on: the kernel, the CPUs, the file system of the page file, the clock.
#ifndef USERPAGER_BENCH_SUPPORT_MACHINE_H_
#define USERPAGER_BENCH_SUPPORT_MACHINE_H_

#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_format.h"
#include "runtime/base/clock.h"

namespace userpager::bench {

// A floor that cannot be measured makes the whole comparison worthless: say why and stop.
[[noreturn]] inline void Die(const std::string& what, int error) {
  std::fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what.c_str(),
               strerror(error));
  std::exit(1);
}

inline std::string KernelName() {
  utsname names;
  if (uname(&names) != 0) return "unknown";
  return absl::StrFormat("%s %s %s", names.sysname, names.release, names.machine);
}

inline bool IsDirectory(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// The file system that the directory is on, by name where it is a common one, else by its number.
inline std::string FileSystemName(const std::string& directory) {
  struct statfs status;
  if (statfs(directory.c_str(), &status) != 0) return strerror(errno);
  switch (static_cast<uint64_t>(status.f_type)) {
    case EXT4_SUPER_MAGIC:
      return "ext2/ext3/ext4";
    case XFS_SUPER_MAGIC:
      return "xfs";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case F2FS_SUPER_MAGIC:
      return "f2fs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlayfs";
    case TMPFS_MAGIC:
      return "tmpfs";
    case NFS_SUPER_MAGIC:
      return "nfs";
    default:
      return absl::StrFormat("type 0x%x", static_cast<uint64_t>(status.f_type));
  }
}

// The CPUs that this thread may run on.
inline cpu_set_t AllowedCpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) Die("sched_getaffinity", errno);
  return cpus;
}

inline cpu_set_t OneCpu(int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<size_t>(cpu), &cpus);
  return cpus;
}

inline void RunThisThreadOn(const cpu_set_t& cpus) {
  const int error = pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
  if (error != 0) Die("pthread_setaffinity_np", error);
}

// What timing nothing at all gives: part of every figure, of floors and of the pager alike.
inline uint64_t ClockCostNanoseconds() {
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t start = NowNanoseconds();
    const uint64_t cost = NowNanoseconds() - start;
    if (cost < least) least = cost;
  }
  return least;
}

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_MACHINE_H_
