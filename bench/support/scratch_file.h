// ScratchFile: an unnamed file for a benchmark's data. It goes with the process, however that ends.
#ifndef USERPAGER_BENCH_SUPPORT_SCRATCH_FILE_H_
#define USERPAGER_BENCH_SUPPORT_SCRATCH_FILE_H_

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "bench/support/machine.h"

namespace userpager::bench {

class ScratchFile {
 public:
  // kDirect: past the page cache, where the file system can do that; direct() says whether.
  enum class Cache : uint8_t { kDirect, kCached };

  ScratchFile(const std::string& directory, Cache cache) : direct_(cache == Cache::kDirect) {
    if (direct_) fd_ = Open(directory, O_DIRECT);
    if (!direct_ || fd_ == -EINVAL) {
      direct_ = false;  // tmpfs and some others have no direct I/O
      fd_ = Open(directory, 0);
    }
    if (fd_ < 0) Die("making a file in " + directory, -fd_);
  }
  ~ScratchFile() { close(fd_); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  int fd() const { return fd_; }
  bool direct() const { return direct_; }

  // Takes the disk space now: the first write of a block is then not the one that looks for it.
  void Allocate(uint64_t bytes) {
    const int error = posix_fallocate(fd_, 0, static_cast<off_t>(bytes));
    if (error != 0) Die("taking disk space for a file", error);
  }
  void Sync() {
    if (fdatasync(fd_) != 0) Die("writing a file to the disk", errno);
  }

 private:
  static int Open(const std::string& directory, int flags) {
    const int unnamed = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);
    if (unnamed >= 0) return unnamed;
    if (errno != EOPNOTSUPP && errno != EISDIR) return -errno;
    std::string name = directory + "/userpager_bench.XXXXXX";
    const int named = mkostemp(name.data(), O_CLOEXEC | flags);
    if (named < 0) return -errno;
    unlink(name.c_str());
    return named;
  }

  bool direct_;
  int fd_ = -1;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_SCRATCH_FILE_H_
