#include "runtime/platform/large_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/system_call.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/kernel_abi.h"

namespace userpager {
namespace {

constexpr const char* kSizeFile = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size";
constexpr char kLargePageText[] = "2097152\n";

// The order matters: huge pages are asked for before the first is touched, which mlock does.
Errno FillWithLargePages(void* address, uint64_t bytes) {
  if (USERPAGER_CALL(kAdvise, madvise(address, bytes, MADV_DONTFORK)) != 0) return ENOMEM;
  if (USERPAGER_CALL(kAdvise, madvise(address, bytes, MADV_HUGEPAGE)) != 0) return ENOMEM;
  // The kernel's own call: the sanitizers' mlock does nothing. The range is mapped, so ENOMEM and
  // EPERM both mean RLIMIT_MEMLOCK.
  if (USERPAGER_CALL(kLockMemory, syscall(SYS_mlock, address, bytes)) != 0) {
    return errno == EAGAIN ? ENOMEM : EPERM;
  }
  // Where the kernel has taken small pages it tries again, and says so if there are still some.
  const int failed = USERPAGER_CALL(kAdvise, madvise(address, bytes, kernel_abi::kMadvCollapse));
  return failed == 0 ? 0 : ENOMEM;
}

}  // namespace

bool HasLargePages() {
  // Of no bytes: says whether the kernel knows it.
  if (madvise(nullptr, 0, kernel_abi::kMadvCollapse) != 0) return false;
  const int file = open(kSizeFile, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[sizeof kLargePageText] = {};
  const ssize_t got = read(file, text, sizeof text);
  close(file);
  return got == sizeof kLargePageText - 1 && memcmp(text, kLargePageText, sizeof text - 1) == 0;
}

Errno MapLargePages(PageIndex at, PageCount pages) {
  const uint64_t bytes = BytesOf(pages);
  void* wanted = PointerTo(at);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  void* got =
      USERPAGER_CALL(kMap, mmap(wanted, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0));
  if (got == MAP_FAILED) return errno;
  if (got != wanted) {
    // A kernel before 4.17 takes the address as a hint.
    munmap(got, bytes);
    return EEXIST;
  }
  const Errno error = FillWithLargePages(got, bytes);
  if (error != 0) (void)Unmap(PageRange(at, pages));
  return error;
}

}  // namespace userpager
