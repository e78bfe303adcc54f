// LifeLine: how a process learns that a forked child, and every descendant that shares what it has
// of its parent, has let go: by exit, by a kill, by exec, or on purpose. It is a pipe that nobody
// writes to; the kernel tells the watched end when no held end is open any more.
#ifndef USERPAGER_PLATFORM_LIFE_LINE_H_
#define USERPAGER_PLATFORM_LIFE_LINE_H_

#include "runtime/base/types.h"

namespace userpager {

class LifeLine {
 public:
  // Both ends are the runtime's (Descriptors); the held one stays open in forked children, the
  // other does not. Neither passes exec. EMFILE, ENFILE.
  static Errno Make(int* watched, int* held);
  // Whether every held end is closed. Does not wait.
  static bool HasEnded(int watched);
  // Waits until it is so.
  static void AwaitEnd(int watched);
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_LIFE_LINE_H_
