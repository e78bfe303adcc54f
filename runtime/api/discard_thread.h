// DiscardThread: with discard:on, the thread that gives disk space of the page file back which no
// promise counts on. That waits for the disk, so no thread does it that a fault waits for.
//
// Flow:  it sleeps a second, then gives back one run after the other, as many as that second may
//        have, while there are any.
#ifndef USERPAGER_API_DISCARD_THREAD_H_
#define USERPAGER_API_DISCARD_THREAD_H_

#include "runtime/base/types.h"

namespace userpager {

class Reservations;

class DiscardThread {
 public:
  // Starts the thread, which never ends, as `reservations` never does; in a forked child, its own.
  // Where it cannot be made, a line says so, and nothing is given back.
  void Start(Reservations& reservations);

 private:
  static void* ThreadMain(void* reservations);
};

}  // namespace userpager

#endif  // USERPAGER_API_DISCARD_THREAD_H_
