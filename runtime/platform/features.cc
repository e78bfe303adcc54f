#include "runtime/platform/features.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/base/system_call.h"
#include "runtime/platform/descriptors.h"
#include "runtime/platform/kernel_abi.h"

namespace userpager {
namespace {

int CallUserfaultfd(int flags) {
  const long fd = USERPAGER_CALL(kUserfaultfd, syscall(SYS_userfaultfd, flags));
  return fd < 0 ? -errno : static_cast<int>(fd);
}

// Of KeepUserfaultfdDevice, for this process and its forked children.
constinit int kept_device = -1;

int OpenDevice() {
  return USERPAGER_CALL(kOpen, open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
}

int OpenUserfaultfdDevice() {
  const int device = kept_device >= 0 ? kept_device : OpenDevice();
  if (device < 0) return -errno;
  const int fd = ioctl(device, kernel_abi::kUserfaultfdNew, O_CLOEXEC | O_NONBLOCK);
  const int error = errno;
  if (device != kept_device) close(device);
  return fd < 0 ? -error : fd;
}

// Whether madvise knows the advice, tried on a fresh page of our own.
bool KnowsGuards() {
  void* page = USERPAGER_CALL(kMap, mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (page == MAP_FAILED) return false;
  const bool known = madvise(page, kPageBytes, kernel_abi::kMadvGuardInstall) == 0;
  munmap(page, kPageBytes);
  return known;
}

// process_madvise refuses MADV_DONTNEED before 6.13, also on oneself.
bool KnowsDiscardVector() {
  void* page = USERPAGER_CALL(kMap, mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (page == MAP_FAILED) return false;
  bool known = false;
  const long pid_descriptor =
      USERPAGER_CALL(kDescriptor, syscall(SYS_pidfd_open, getpid(), 0));
  if (pid_descriptor >= 0) {
    const iovec part{page, kPageBytes};
    known = syscall(SYS_process_madvise, pid_descriptor, &part, 1, MADV_DONTNEED, 0) ==
            static_cast<long>(kPageBytes);
    close(static_cast<int>(pid_descriptor));
  }
  munmap(page, kPageBytes);
  return known;
}

}  // namespace

int OpenUserfaultfd(bool* kernel_faults, LogLine* error) {
  *kernel_faults = true;
  const int by_call = CallUserfaultfd(O_CLOEXEC | O_NONBLOCK);
  if (by_call >= 0) return by_call;
  const int by_device = OpenUserfaultfdDevice();
  if (by_device >= 0) return by_device;
  *kernel_faults = false;
  const int user_mode = CallUserfaultfd(O_CLOEXEC | O_NONBLOCK | kernel_abi::kUserModeOnly);
  if (user_mode >= 0) return user_mode;
  if (by_call == -ENOSYS) {
    *error << "cannot answer page faults: this kernel has no userfaultfd (" << ErrnoText{ENOSYS}
           << "); run a Linux kernel of 5.11 or later with CONFIG_USERFAULTFD";
  } else {
    *error << "cannot answer page faults: opening a userfaultfd failed: " << ErrnoText{-user_mode}
           << "; a container's seccomp profile may forbid it: allow the system call userfaultfd"
              " (or give CAP_SYS_PTRACE)";
  }
  return user_mode;
}

void KeepUserfaultfdDevice() {
  if (kept_device < 0) kept_device = Descriptors::KeepInChildren(Descriptors::Keep(OpenDevice()));
}

Errno TryUserfaultfdOfChild(LogLine* error) {
  bool kernel_faults = false;
  const int fd = OpenUserfaultfd(&kernel_faults, error);
  if (fd < 0) return -fd;
  close(fd);
  if (kernel_faults) return 0;
  *error << "the process has given up the right to have page faults of system calls answered";
  return EPERM;
}

Errno ProbeFeatures(PlatformFeatures* features, LogLine* error) {
  const int fd = OpenUserfaultfd(&features->kernel_faults, error);
  if (fd < 0) return -fd;
  uffdio_api api{};
  api.api = UFFD_API;
  const int failed = USERPAGER_CALL(kHandshake, ioctl(fd, UFFDIO_API, &api));
  const int reason = errno;
  close(fd);
  if (failed != 0) {
    *error << "cannot answer page faults: the userfaultfd handshake failed: " << ErrnoText{reason};
    return reason;
  }
  const auto has = [&api](uint64_t feature) { return (api.features & feature) != 0; };
  features->write_protect = has(kernel_abi::kFeatureWriteProtect);
  features->signal = has(kernel_abi::kFeatureSignal);
  features->thread_id = has(kernel_abi::kFeatureThreadId);
  features->exact_address = has(kernel_abi::kFeatureExactAddress);
  features->poison = has(kernel_abi::kFeaturePoison);
  features->move = has(kernel_abi::kFeatureMove);
  features->guard = KnowsGuards();
  features->discard_vector = KnowsDiscardVector();
  features->wide_protect = true;
  if (!features->write_protect) {
    *error << "cannot answer page faults: this kernel's userfaultfd has no write protection;"
              " run Linux 5.7 or later";
    return EOPNOTSUPP;
  }
  return 0;
}

void WithoutFeatures(uint64_t without, PlatformFeatures* features) {
  bool* const switches[] = {&features->move,           &features->poison,
                            &features->guard,          &features->discard_vector,
                            &features->thread_id,      &features->exact_address,
                            &features->wide_protect};
  for (unsigned i = 0; i < sizeof switches / sizeof switches[0]; ++i) {
    if ((without >> i & 1) != 0) *switches[i] = false;
  }
}

}  // namespace userpager
