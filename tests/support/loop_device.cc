#include "tests/support/loop_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

namespace userpager {

LoopDevice::LoopDevice(const std::string& backing, Mode mode) {
  const int file = open(backing.c_str(), O_RDWR | O_CLOEXEC);
  const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  for (unsigned i = 0; i < 10 && file >= 0 && control >= 0 && descriptor_ < 0; ++i) {
    const int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) break;
    path_ = "/dev/loop" + std::to_string(number);
    descriptor_ = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    loop_config config{};
    config.fd = static_cast<uint32_t>(file);
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (mode == Mode::kDirect) config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
    // Another process may have been quicker to take that number.
    if (descriptor_ >= 0 && ioctl(descriptor_, LOOP_CONFIGURE, &config) != 0) {
      close(descriptor_);
      descriptor_ = -1;
    }
  }
  if (control >= 0) close(control);
  if (file >= 0) close(file);
}

LoopDevice::~LoopDevice() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool MakeSparseFile(const std::string& path, uint64_t bytes) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return false;
  const bool made = ftruncate(file, static_cast<off_t>(bytes)) == 0;
  close(file);
  return made;
}

std::string EnterOwnMounts() {
  if (unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return std::string("no mount namespace of our own: ") + strerror(errno);
  }
  return "";
}

}  // namespace userpager
