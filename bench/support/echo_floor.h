// EchoFloor: the least that any pager with a handler thread must spend: one userfaultfd, one thread
// that blocks in read, one ioctl that answers. No state, no lock, no accounting.
//
// Cast:  the touching thread (the benchmark's), the handler thread (its own), the home pages, which
//        are touched, and the source pages: what is copied, or what is moved home.
// Flow:  Prepare makes the home pages fault; Touch blocks the touching thread in the kernel; the
//        handler reads the message, answers it, and reads again.
// End:   the last home page is nobody's: the destructor touches it; the handler answers and ends.
#ifndef USERPAGER_BENCH_SUPPORT_ECHO_FLOOR_H_
#define USERPAGER_BENCH_SUPPORT_ECHO_FLOOR_H_

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "bench/support/machine.h"
#include "bench/support/rival.h"
#include "runtime/platform/kernel_abi.h"

namespace userpager::bench {

// The one ioctl that answers: install a copy of a page, move a page in, let a store through.
enum class EchoAnswer : uint8_t { kCopy, kMove, kUnprotect };

// How pages are emptied before they are touched again. The kernel may take emptied page tables back
// with them, so a floor does as the pager does: decommit empties a region, page-out single pages.
enum class Emptying : uint8_t { kWholeRegion, kTouchedPages };

inline void* MapPages(uint64_t pages) {
  void* base = mmap(nullptr, pages * kPageBytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) Die("mmap of a floor's pages", errno);
  if (madvise(base, pages * kPageBytes, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) {
    Die("madvise(MADV_NOHUGEPAGE)", errno);
  }
  return base;
}

// A blocking userfaultfd with the features; -errno where the kernel has not all of them.
inline int OpenBlockingUserfaultfd(uint64_t features) {
  int fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
  if (fd < 0) {
    fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | kernel_abi::kUserModeOnly));
  }
  if (fd < 0) return -errno;
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = features;
  if (ioctl(fd, UFFDIO_API, &api) != 0) {
    const int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

inline bool KernelHasMove() {
  const int fd = OpenBlockingUserfaultfd(kernel_abi::kFeatureMove);
  if (fd < 0) return false;
  close(fd);
  return true;
}

class EchoFloor : public Rival {
 public:
  // `handler_cpus`: where the handler thread may run.
  EchoFloor(std::string name, Role role, EchoAnswer answer, Emptying emptying, uint64_t pages,
            cpu_set_t handler_cpus)
      : Rival(std::move(name), role),
        answer_(answer),
        emptying_(emptying),
        pages_(pages + 1),
        home_(MapPages(pages_)),
        source_(MapPages(pages_)),
        fd_(OpenBlockingUserfaultfd(FeaturesFor(answer))) {
    if (fd_ < 0) Die("opening a userfaultfd for the floor \"" + this->name() + "\"", -fd_);
    Register();
    ArmPage(LastPage());
    handler_ = std::thread([this, handler_cpus] {
      RunThisThreadOn(handler_cpus);
      Serve();
    });
  }
  ~EchoFloor() override {
    *PageAt(home_, LastPage()) = 1;
    handler_.join();
    close(fd_);
    munmap(home_, pages_ * kPageBytes);
    munmap(source_, pages_ * kPageBytes);
  }

  void Prepare(std::span<const uint32_t> pages) override {
    if (emptying_ == Emptying::kWholeRegion) Discard(0, pages_ - 1);
    for (const uint32_t page : pages) {
      if (emptying_ == Emptying::kTouchedPages) Discard(page, 1);
      ArmPage(page);
    }
  }
  uint64_t Touch(uint32_t page) override {
    ++touches_;
    return TimeStore(PageAt(home_, page), 1);
  }
  uint64_t IntendedFaults() override { return touches_; }

 private:
  static uint64_t FeaturesFor(EchoAnswer answer) {
    switch (answer) {
      case EchoAnswer::kCopy:
        return 0;
      case EchoAnswer::kMove:
        return kernel_abi::kFeatureMove;
      case EchoAnswer::kUnprotect:
        return kernel_abi::kFeatureWriteProtect;
    }
    return 0;
  }
  uint32_t LastPage() const { return static_cast<uint32_t>(pages_ - 1); }

  void Register() {
    uffdio_register range{};
    range.range.start = reinterpret_cast<uint64_t>(home_);
    range.range.len = pages_ * kPageBytes;
    range.mode =
        answer_ == EchoAnswer::kUnprotect ? UFFDIO_REGISTER_MODE_WP : UFFDIO_REGISTER_MODE_MISSING;
    if (ioctl(fd_, UFFDIO_REGISTER, &range) != 0) Die("UFFDIO_REGISTER for a floor", errno);
  }

  // Write-protected pages stay where they are: it is their protection that is renewed.
  void Discard(uint32_t first, uint64_t pages) {
    if (answer_ == EchoAnswer::kUnprotect) return;
    void* const from = static_cast<unsigned char*>(home_) + uint64_t{first} * kPageBytes;
    if (madvise(from, pages * kPageBytes, MADV_DONTNEED) != 0) {
      Die("madvise(MADV_DONTNEED)", errno);
    }
  }

  void ArmPage(uint32_t page) {
    if (answer_ == EchoAnswer::kUnprotect) {
      *PageAt(home_, page) = 1;
      if (const int error = WriteProtect(page, UFFDIO_WRITEPROTECT_MODE_WP); error != 0) {
        Die("UFFDIO_WRITEPROTECT for a floor", error);
      }
    } else {
      *PageAt(source_, page) = 1;
    }
  }

  int WriteProtect(uint32_t page, uint64_t mode) {
    uffdio_writeprotect request{};
    request.range = {reinterpret_cast<uint64_t>(PageAt(home_, page)), kPageBytes};
    request.mode = mode;
    return ioctl(fd_, UFFDIO_WRITEPROTECT, &request) == 0 ? 0 : errno;
  }
  int Copy(uint32_t page) {
    uffdio_copy request{};
    request.dst = reinterpret_cast<uint64_t>(PageAt(home_, page));
    request.src = reinterpret_cast<uint64_t>(PageAt(source_, page));
    request.len = kPageBytes;
    return ioctl(fd_, UFFDIO_COPY, &request) == 0 ? 0 : errno;
  }
  int Move(uint32_t page) {
    kernel_abi::UffdioMove request{};
    request.dst = reinterpret_cast<uint64_t>(PageAt(home_, page));
    request.src = reinterpret_cast<uint64_t>(PageAt(source_, page));
    request.len = kPageBytes;
    return ioctl(fd_, kernel_abi::kUffdioMove, &request) == 0 ? 0 : errno;
  }
  int Answer(uint32_t page) {
    switch (answer_) {
      case EchoAnswer::kCopy:
        return Copy(page);
      case EchoAnswer::kMove:
        return Move(page);
      case EchoAnswer::kUnprotect:
        return WriteProtect(page, 0);
    }
    return EINVAL;
  }

  // One thread touches, and waits for its answer: there is never a second message for a page.
  void Serve() {
    for (;;) {
      uffd_msg message;
      const ssize_t got = read(fd_, &message, sizeof(message));
      if (got < 0 && errno == EINTR) continue;
      if (got != static_cast<ssize_t>(sizeof(message))) Die("reading a floor's message", errno);
      const uint64_t offset = message.arg.pagefault.address - reinterpret_cast<uint64_t>(home_);
      const auto page = static_cast<uint32_t>(offset / kPageBytes);
      if (const int error = Answer(page); error != 0) Die("a floor's answer", error);
      if (page == LastPage()) return;
    }
  }

  const EchoAnswer answer_;
  const Emptying emptying_;
  const uint64_t pages_;
  void* const home_;
  void* const source_;
  const int fd_;
  uint64_t touches_ = 0;
  std::thread handler_;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_ECHO_FLOOR_H_
