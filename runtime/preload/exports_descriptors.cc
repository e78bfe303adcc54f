// What closes descriptors, or takes their numbers: the runtime's are as if they were not open.
#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/platform/descriptors.h"

#define USERPAGER_EXPORTED extern "C" __attribute__((visibility("default")))

// The C library's close under its other name: a point where threads may be cancelled.
extern "C" int __close(int descriptor);

namespace {

using userpager::Descriptors;

int Refuse() {
  errno = EBADF;
  return -1;
}

// Closes all from `first` to `last` but the runtime's, by one call for each gap between those.
int CloseRange(unsigned first, unsigned last, unsigned flags) {
  while (first <= last) {
    const int kept =
        first > INT_MAX ? -1 : Descriptors::Next(static_cast<int>(first));
    const bool in_range = kept >= 0 && static_cast<unsigned>(kept) <= last;
    if (!in_range || static_cast<unsigned>(kept) > first) {
      const unsigned end = in_range ? static_cast<unsigned>(kept) - 1 : last;
      if (syscall(SYS_close_range, first, end, flags) != 0) return -1;
    }
    if (!in_range) return 0;
    first = static_cast<unsigned>(kept) + 1;
  }
  return 0;
}

}  // namespace

USERPAGER_EXPORTED int close(int descriptor) {
  return Descriptors::Has(descriptor) ? Refuse() : __close(descriptor);
}

USERPAGER_EXPORTED int close_range(unsigned first, unsigned last, int flags) noexcept {
  if (first > last) {
    errno = EINVAL;
    return -1;
  }
  return CloseRange(first, last, static_cast<unsigned>(flags));
}

USERPAGER_EXPORTED void closefrom(int lowest) noexcept {
  (void)CloseRange(static_cast<unsigned>(std::max(lowest, 0)), UINT_MAX, 0);
}

USERPAGER_EXPORTED int dup2(int from, int to) noexcept {
  if (Descriptors::Has(from) || Descriptors::Has(to)) return Refuse();
  // dup3 refuses what dup2 answers by looking whether the descriptor is open.
  if (from == to) return syscall(SYS_fcntl, from, 1 /* F_GETFD */) < 0 ? -1 : to;
  return static_cast<int>(syscall(SYS_dup3, from, to, 0));
}

USERPAGER_EXPORTED int dup3(int from, int to, int flags) noexcept {
  if (Descriptors::Has(from) || Descriptors::Has(to)) return Refuse();
  return static_cast<int>(syscall(SYS_dup3, from, to, flags));
}
