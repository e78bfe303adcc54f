#include "tests/support/failing_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "tests/support/eventually.h"

namespace userpager {
namespace {

bool WaitForEnd(pid_t process) {
  return Eventually([&] { return waitpid(process, nullptr, WNOHANG) != 0; });
}

}  // namespace

FailingDisk::FailingDisk(uint64_t bytes, unsigned write_percent) {
  if (geteuid() != 0) {
    problem_ = "a failing disk needs root";
  } else if (access("/dev/fuse", R_OK | W_OK) != 0) {
    problem_ = "a failing disk needs /dev/fuse";
  } else if (access("/usr/bin/nbdfuse", X_OK) != 0 || access("/usr/bin/nbdkit", X_OK) != 0) {
    problem_ = "a failing disk needs nbdkit and nbdfuse (apt-get install nbdkit libnbd-bin)";
  } else {
    problem_ = EnterOwnMounts();
  }
  if (!problem_.empty()) return;
  point_ = directory_ / "mount";
  EXPECT_EQ(mkdir(point_.c_str(), 0700), 0);
  EXPECT_TRUE(MakeSparseFile(directory_ / "image", bytes));
  RunServer(point_, write_percent);
  const std::string file = point_ + "/nbd";
  if (!AwaitFile(file)) {
    problem_ = "nbdfuse does not bring its file; it said: " + ContentOf(directory_ / "log");
    return;
  }
  device_ = std::make_unique<LoopDevice>(file, LoopDevice::Mode::kDirect);
  if (!device_->ok()) problem_ = "no loop device over " + file;
}

void FailingDisk::RunServer(const std::string& point, unsigned write_percent) {
  const std::string file = "file=" + (directory_ / "image");
  const std::string log = directory_ / "log";
  const std::string writes = "error-pwrite-file=" + (directory_ / "fail-writes");
  const std::string reads = "error-pread-file=" + (directory_ / "fail-reads");
  const std::string rate = "error-pwrite-rate=" + std::to_string(write_percent) + "%";
  const pid_t parent = getpid();
  server_ = fork();
  ASSERT_GE(server_, 0);
  if (server_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (output >= 0) {
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
  }
  execl("/usr/bin/nbdfuse", "nbdfuse", point.c_str(), "--command", "/usr/bin/nbdkit", "-s",
        "--filter=error", "file", file.c_str(), "error-pwrite=EIO", rate.c_str(), writes.c_str(),
        "error-pread=EIO", "error-pread-rate=100%", reads.c_str(), nullptr);
  _exit(127);
}

bool FailingDisk::AwaitFile(const std::string& file) {
  bool is_there = false;
  (void)Eventually([&] {
    is_there = access(file.c_str(), F_OK) == 0;
    if (is_there) return true;
    if (waitpid(server_, nullptr, WNOHANG) == 0) return false;
    server_ = -1;
    return true;
  });
  return is_there;
}

FailingDisk::~FailingDisk() {
  device_ = nullptr;
  if (server_ < 0) return;
  // The loop device lets go of the file a moment after its last descriptor.
  EXPECT_EQ(umount2(point_.c_str(), MNT_DETACH), 0) << errno;
  if (WaitForEnd(server_)) return;
  kill(server_, SIGKILL);
  waitpid(server_, nullptr, 0);
  ADD_FAILURE() << "nbdfuse went on without its mount and was killed";
}

void FailingDisk::Tell(const std::string& what, bool on) {
  const std::string file = directory_ / what;
  if (on) {
    WriteFile(file, "");
  } else {
    EXPECT_EQ(unlink(file.c_str()), 0) << file;
  }
}

void FailingDisk::FlipBit(uint64_t offset_bytes, unsigned bit) {
  const int image = open((directory_ / "image").c_str(), O_RDWR | O_CLOEXEC);
  unsigned char byte = 0;
  EXPECT_EQ(pread(image, &byte, 1, static_cast<off_t>(offset_bytes)), 1);
  byte = static_cast<unsigned char>(byte ^ 1u << bit);
  EXPECT_EQ(pwrite(image, &byte, 1, static_cast<off_t>(offset_bytes)), 1);
  close(image);
}

}  // namespace userpager
