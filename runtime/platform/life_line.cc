#include "runtime/platform/life_line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "runtime/base/system_call.h"
#include "runtime/platform/descriptors.h"

namespace userpager {

Errno LifeLine::Make(int* watched, int* held) {
  int ends[2];
  if (USERPAGER_CALL(kDescriptor, pipe2(ends, O_CLOEXEC)) != 0) return errno;
  *watched = Descriptors::Keep(ends[0]);
  *held = Descriptors::KeepInChildren(Descriptors::Keep(ends[1]));
  return 0;
}

bool LifeLine::HasEnded(int watched) {
  pollfd end{watched, POLLIN, 0};
  return poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0;
}

void LifeLine::AwaitEnd(int watched) {
  pollfd end{watched, POLLIN, 0};
  while (poll(&end, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace userpager
