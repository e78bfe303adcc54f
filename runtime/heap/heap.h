// The room heap: the program's malloc on managed memory, by a private jemalloc whose extents come
// from the pager and whose own data does not. jemalloc, because its free touches no page of the
// object: freeing what is out of memory brings nothing in.
//
// Cast:       Heap (which arena serves whom), jemalloc (jemalloc.h), HeapSource (the pages).
// Flow:       until Start, everything comes from jemalloc's arena 0, which is plain memory. From
//             then on each thread is bound at its first call to one of the managed arenas. What the
//             C library and the dynamic linker allocate for themselves stays in arena 0: they touch
//             it inside fork and exit, where no fault may wait. free knows both.
// Invariants: the source is called with jemalloc's locks held, so it calls no malloc.
// Locks:      jemalloc's own. HoldForFork takes them all.
#ifndef USERPAGER_HEAP_HEAP_H_
#define USERPAGER_HEAP_HEAP_H_

#include <cstddef>
#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

// Where managed arenas have their pages. Thread-safe.
struct HeapSource {
  // Zeros, or nullptr. `alignment` is a power of two, at least a page.
  void* (*map)(size_t bytes, size_t alignment);
  // Makes the pages zeros, and gives their memory back.
  bool (*empty)(void* at, size_t bytes);
  // Told of each extent, and of each large block that needs none, when no lock of the allocator is
  // held any more; `caller` as in Heap. nullptr where nobody wants to know.
  void (*tell)(void* at, size_t bytes, const void* caller);
};

class Heap {
 public:
  // Makes the managed arenas. ENOTSUP: this jemalloc has no arenas with their own data elsewhere.
  static Errno Start(const HeapSource& source);

  // As the C library's functions; `caller` is the return address of whoever asks.
  static void* Allocate(size_t bytes, const void* caller);
  static void* AllocateZeros(size_t count, size_t bytes, const void* caller);
  static void* AllocateAligned(size_t alignment, size_t bytes, const void* caller);
  static void* Resize(void* block, size_t bytes, const void* caller);

  // Binds the calling thread, if that is to be done. Before jemalloc's own functions are called.
  // Whether the source is to be told of what comes of it.
  static bool Prepare();

  // Around fork, in the thread that forks.
  static void HoldForFork();
  static void ReleaseInParent();
  static void ReleaseInChild();
};

}  // namespace userpager

#endif  // USERPAGER_HEAP_HEAP_H_
