#include "runtime/platform/own_thread.h"

#include <errno.h>
#include <signal.h>

#include <cstddef>

#include "runtime/base/system_call.h"

namespace userpager {
namespace {

// The frames of these threads are small, and nothing on them recurses.
constexpr size_t kStackBytes = 256 * 1024;

}  // namespace

Errno StartOwnThread(void* (*main)(void*), void* argument, pthread_t* thread) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // The thread inherits the mask.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const Errno failed =
      USERPAGER_CALL_OF_THREADS(kThread, pthread_create(thread, &attributes, main, argument));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return failed;
}

}  // namespace userpager
