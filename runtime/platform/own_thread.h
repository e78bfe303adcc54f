// A thread of the runtime's own.
#ifndef USERPAGER_PLATFORM_OWN_THREAD_H_
#define USERPAGER_PLATFORM_OWN_THREAD_H_

#include <pthread.h>

#include "runtime/base/types.h"

namespace userpager {

// Makes one, with a small stack, and all signals blocked, as they are the program's. Returns what
// pthread_create does.
Errno StartOwnThread(void* (*main)(void*), void* argument, pthread_t* thread);

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_OWN_THREAD_H_
