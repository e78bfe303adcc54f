// FailingDisk: a block device that refuses reads and writes when it is told to, so that what fails
// is the kernel's own I/O: nbdkit's error filter over a file, brought into the file system by
// nbdfuse, with a loop device over it.
//
// Everything it needs ends with the process that made it: nbdfuse is killed with it, the mount is
// in a namespace of its own, the loop device goes with its last descriptor. Needs root, nbdkit,
// nbdfuse (Debian: libnbd-bin) and /dev/fuse.
#ifndef USERPAGER_TESTS_SUPPORT_FAILING_DISK_H_
#define USERPAGER_TESTS_SUPPORT_FAILING_DISK_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "tests/support/loop_device.h"
#include "tests/support/temp_directory.h"

namespace userpager {

class FailingDisk {
 public:
  // While writes are to fail, so many percent of them do, by chance. Before the process has
  // threads, as it gets a mount namespace of its own.
  FailingDisk(uint64_t bytes, unsigned write_percent);
  ~FailingDisk();
  FailingDisk(const FailingDisk&) = delete;
  FailingDisk& operator=(const FailingDisk&) = delete;

  // "" where there is such a disk now, else what is missing.
  const std::string& problem() const { return problem_; }
  const std::string& path() const { return device_->path(); }

  // From the next request on. Every read fails while reads are to.
  void FailWrites(bool on) { Tell("fail-writes", on); }
  void FailReads(bool on) { Tell("fail-reads", on); }
  // Changes one bit of what is on the disk, behind the back of whoever uses it.
  void FlipBit(uint64_t offset_bytes, unsigned bit);

 private:
  void Tell(const std::string& what, bool on);
  void RunServer(const std::string& point, unsigned write_percent);
  bool AwaitFile(const std::string& file);

  TempDirectory directory_;
  std::string problem_;
  std::string point_;
  pid_t server_ = -1;
  std::unique_ptr<LoopDevice> device_;
};

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_FAILING_DISK_H_
