// What the C library exports of malloc's family, and jemalloc of its own: programs that were built
// for either find it here. operator new and delete are the C++ library's, which call these.
#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "runtime/heap/heap.h"
#include "runtime/heap/jemalloc.h"

#define USERPAGER_EXPORTED extern "C" __attribute__((visibility("default")))
#define USERPAGER_CALLER __builtin_return_address(0)

using userpager::Heap;

namespace {

constexpr size_t kPage = userpager::kPageBytes;

bool IsAlignment(size_t alignment) { return std::has_single_bit(alignment); }

}  // namespace

USERPAGER_EXPORTED void* malloc(size_t bytes) { return Heap::Allocate(bytes, USERPAGER_CALLER); }

USERPAGER_EXPORTED void* calloc(size_t count, size_t bytes) {
  return Heap::AllocateZeros(count, bytes, USERPAGER_CALLER);
}

USERPAGER_EXPORTED void* realloc(void* block, size_t bytes) {
  return Heap::Resize(block, bytes, USERPAGER_CALLER);
}

USERPAGER_EXPORTED void* reallocarray(void* block, size_t count, size_t bytes) {
  size_t all = 0;
  if (__builtin_mul_overflow(count, bytes, &all)) {
    errno = ENOMEM;
    return nullptr;
  }
  return Heap::Resize(block, all, USERPAGER_CALLER);
}

USERPAGER_EXPORTED void free(void* block) { userpager_je_free(block); }
USERPAGER_EXPORTED void cfree(void* block) { userpager_je_free(block); }

USERPAGER_EXPORTED void* memalign(size_t alignment, size_t bytes) {
  return Heap::AllocateAligned(std::bit_ceil(alignment), bytes, USERPAGER_CALLER);
}

USERPAGER_EXPORTED void* aligned_alloc(size_t alignment, size_t bytes) {
  if (!IsAlignment(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  return Heap::AllocateAligned(alignment, bytes, USERPAGER_CALLER);
}

USERPAGER_EXPORTED int posix_memalign(void** block, size_t alignment, size_t bytes) {
  if (!IsAlignment(alignment) || alignment < sizeof(void*)) return EINVAL;
  const int before = errno;
  void* made = Heap::AllocateAligned(alignment, bytes, USERPAGER_CALLER);
  errno = before;
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}

USERPAGER_EXPORTED void* valloc(size_t bytes) {
  return Heap::AllocateAligned(kPage, bytes, USERPAGER_CALLER);
}

USERPAGER_EXPORTED void* pvalloc(size_t bytes) {
  const size_t whole = userpager::RoundUp(std::max<size_t>(bytes, 1), kPage);
  if (whole < bytes) {
    errno = ENOMEM;
    return nullptr;
  }
  return Heap::AllocateAligned(kPage, whole, USERPAGER_CALLER);
}

USERPAGER_EXPORTED size_t malloc_usable_size(void* block) {
  return userpager_je_malloc_usable_size(block);
}

USERPAGER_EXPORTED void* mallocx(size_t bytes, int flags) {
  Heap::Prepare();
  return userpager_je_mallocx(bytes, flags);
}

USERPAGER_EXPORTED void* rallocx(void* block, size_t bytes, int flags) {
  Heap::Prepare();
  return userpager_je_rallocx(block, bytes, flags);
}

USERPAGER_EXPORTED size_t xallocx(void* block, size_t bytes, size_t extra, int flags) {
  return userpager_je_xallocx(block, bytes, extra, flags);
}

USERPAGER_EXPORTED size_t sallocx(const void* block, int flags) {
  return userpager_je_sallocx(block, flags);
}

USERPAGER_EXPORTED void dallocx(void* block, int flags) { userpager_je_dallocx(block, flags); }

USERPAGER_EXPORTED void sdallocx(void* block, size_t bytes, int flags) {
  userpager_je_sdallocx(block, bytes, flags);
}

USERPAGER_EXPORTED size_t nallocx(size_t bytes, int flags) {
  return userpager_je_nallocx(bytes, flags);
}

USERPAGER_EXPORTED int mallctl(const char* name, void* old_value, size_t* old_bytes,
                               void* new_value, size_t new_bytes) {
  return userpager_je_mallctl(name, old_value, old_bytes, new_value, new_bytes);
}

USERPAGER_EXPORTED int mallctlnametomib(const char* name, size_t* mib, size_t* mib_length) {
  return userpager_je_mallctlnametomib(name, mib, mib_length);
}

USERPAGER_EXPORTED int mallctlbymib(const size_t* mib, size_t mib_length, void* old_value,
                                    size_t* old_bytes, void* new_value, size_t new_bytes) {
  return userpager_je_mallctlbymib(mib, mib_length, old_value, old_bytes, new_value, new_bytes);
}

USERPAGER_EXPORTED void malloc_stats_print(void (*write)(void*, const char*), void* argument,
                                           const char* options) {
  userpager_je_malloc_stats_print(write, argument, options);
}
