// Stacks that the program gives to threads. The kernel writes to a thread's descriptor, which the C
// library puts at the top of its stack, when it switches to the thread and when the thread exits:
// nobody brings that page back then, so it stays in memory.
#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>

#include "runtime/preload/preload.h"

namespace {

// The descriptor and the thread-local data of the libraries that are there at the start.
constexpr size_t kDescriptorBytes = 64 * 1024;

}  // namespace

extern "C" __attribute__((visibility("default"))) int pthread_attr_setstack(
    pthread_attr_t* attributes, void* stack, size_t bytes) noexcept {
  static const auto next = reinterpret_cast<int (*)(pthread_attr_t*, void*, size_t)>(
      dlsym(RTLD_NEXT, "pthread_attr_setstack"));
  const int error = next(attributes, stack, bytes);
  userpager::LinuxMemory* memory = userpager::Preload::Active();
  if (error != 0 || memory == nullptr) return error;
  const size_t kept = std::min(bytes, kDescriptorBytes);
  const uint64_t begin = reinterpret_cast<uint64_t>(stack) + bytes - kept;
  if (!memory->Touches(userpager::RoundDown(begin, userpager::kPageBytes), kept)) return 0;
  return static_cast<int>(-memory->LockStack(begin, kept));
}
