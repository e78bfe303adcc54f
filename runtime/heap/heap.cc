#include "runtime/heap/heap.h"

#include <errno.h>
#include <link.h>

#include <algorithm>
#include <atomic>
#include <string_view>

#include "runtime/heap/jemalloc.h"

namespace userpager {
namespace {

constexpr unsigned kArenas = 4;
// MALLOCX_ARENA(0) | MALLOCX_TCACHE_NONE: what threads keep for themselves is of managed arenas.
constexpr int kPlainArena = 1 << 20 | 1 << 8;
// What was freed goes back soon: kept, it would be written to the page file.
constexpr ptrdiff_t kDecayMilliseconds = 1000;
// From here on a block has extents of its own, mostly.
constexpr size_t kLargeBlockBytes = size_t{1} << 20;
// One call makes one extent, and perhaps one for jemalloc itself.
constexpr unsigned kMostExtents = 4;

struct CodeRange {
  uintptr_t begin = 0;
  uintptr_t bytes = 0;

  bool Has(const void* address) const {
    return reinterpret_cast<uintptr_t>(address) - begin < bytes;
  }
};

constinit HeapSource the_source{};
constinit unsigned arenas[kArenas] = {};
constinit std::atomic<bool> started{false};
constinit std::atomic<unsigned> next_arena{0};
// Whose own allocations are never managed.
constinit CodeRange c_library;
constinit CodeRange dynamic_linker;
[[gnu::tls_model("initial-exec")]] constinit thread_local bool bound = false;
// Bound, and nothing is to be told: what every call looks at.
[[gnu::tls_model("initial-exec")]] constinit thread_local bool quick = false;

// Extents that the thread's call has made, while they are to be told.
struct NewExtents {
  struct {
    void* at;
    size_t bytes;
  } made[kMostExtents];
  unsigned count = 0;
};
[[gnu::tls_model("initial-exec")]] constinit thread_local NewExtents extents{};

void* MapExtent(userpager_je_extent_hooks*, void* at, size_t bytes, size_t alignment, bool* zero,
                bool* commit, unsigned) {
  if (at != nullptr) return nullptr;
  void* made = the_source.map(bytes, alignment);
  if (made == nullptr) return nullptr;
  if (the_source.tell != nullptr && extents.count < kMostExtents) {
    extents.made[extents.count++] = {made, bytes};
  }
  *zero = true;
  *commit = true;
  return made;
}

bool EmptyExtent(userpager_je_extent_hooks*, void* at, size_t, size_t offset, size_t length,
                 unsigned) {
  return !the_source.empty(static_cast<char*>(at) + offset, length);
}

// Extents are pages: any two that touch are one, any one can be two.
bool Split(userpager_je_extent_hooks*, void*, size_t, size_t, size_t, bool, unsigned) {
  return false;
}
bool Merge(userpager_je_extent_hooks*, void*, size_t, void*, size_t, bool, unsigned) {
  return false;
}

constinit userpager_je_extent_hooks hooks{MapExtent, nullptr, nullptr,     nullptr, nullptr,
                                          nullptr,   EmptyExtent, Split, Merge};

int FindCode(dl_phdr_info* info, size_t, void*) {
  const std::string_view name(info->dlpi_name == nullptr ? "" : info->dlpi_name);
  const bool is_library = name.find("/libc.so.") != name.npos;
  const bool is_linker = name.find("/ld-linux") != name.npos;
  if (!is_library && !is_linker) return 0;
  CodeRange range;
  uintptr_t end = 0;
  range.begin = UINTPTR_MAX;
  for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    range.begin = std::min<uintptr_t>(range.begin, info->dlpi_addr + part.p_vaddr);
    end = std::max<uintptr_t>(end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
  }
  range.bytes = end > range.begin ? end - range.begin : 0;
  (is_library ? c_library : dynamic_linker) = range;
  return 0;
}

Errno MakeArena(unsigned* arena) {
  userpager_je_arena_config config{&hooks, false};
  size_t bytes = sizeof *arena;
  return userpager_je_mallctl("experimental.arenas_create_ext", arena, &bytes, &config,
                              sizeof config);
}

// The names of controls end in the arena's number.
void SetDecay(unsigned arena, const char* name) {
  size_t mib[3];
  size_t length = 3;
  if (userpager_je_mallctlnametomib(name, mib, &length) != 0) return;
  mib[1] = arena;
  ptrdiff_t milliseconds = kDecayMilliseconds;
  (void)userpager_je_mallctlbymib(mib, length, nullptr, nullptr, &milliseconds,
                                  sizeof milliseconds);
}

// Tells the source, which may allocate for itself, what a call has brought.
void* Told(void* block, size_t bytes, const void* caller) {
  const NewExtents made = extents;
  extents.count = 0;
  for (unsigned i = 0; i < made.count; ++i) {
    the_source.tell(made.made[i].at, made.made[i].bytes, caller);
  }
  if (made.count == 0 && block != nullptr && bytes >= kLargeBlockBytes) {
    the_source.tell(block, bytes, caller);
  }
  return block;
}

bool IsForPlainArena(const void* caller) {
  return c_library.Has(caller) || dynamic_linker.Has(caller);
}

}  // namespace

Errno Heap::Start(const HeapSource& source) {
  dl_iterate_phdr(FindCode, nullptr);
  the_source = source;
  for (unsigned& arena : arenas) {
    if (MakeArena(&arena) != 0) return ENOTSUP;
    SetDecay(arena, "arena.0.dirty_decay_ms");
  }
  started.store(true, std::memory_order_release);
  return 0;
}

bool Heap::Prepare() {
  if (quick || !started.load(std::memory_order_acquire)) [[likely]] return false;
  const bool tells = the_source.tell != nullptr;
  if (!bound) {
    bound = true;
    quick = !tells;
    unsigned arena = arenas[next_arena.fetch_add(1, std::memory_order_relaxed) % kArenas];
    (void)userpager_je_mallctl("thread.arena", nullptr, nullptr, &arena, sizeof arena);
  }
  extents.count = 0;
  return tells;
}

void* Heap::Allocate(size_t bytes, const void* caller) {
  if (IsForPlainArena(caller)) {
    void* block = userpager_je_mallocx(std::max<size_t>(bytes, 1), kPlainArena);
    if (block == nullptr) errno = ENOMEM;
    return block;
  }
  if (!Prepare()) [[likely]] return userpager_je_malloc(bytes);
  return Told(userpager_je_malloc(bytes), bytes, caller);
}

void* Heap::AllocateZeros(size_t count, size_t bytes, const void* caller) {
  if (IsForPlainArena(caller)) {
    constexpr int kZero = 0x40;  // MALLOCX_ZERO
    size_t all = 0;
    void* block = __builtin_mul_overflow(count, bytes, &all)
                      ? nullptr
                      : userpager_je_mallocx(std::max<size_t>(all, 1), kPlainArena | kZero);
    if (block == nullptr) errno = ENOMEM;
    return block;
  }
  if (!Prepare()) [[likely]] return userpager_je_calloc(count, bytes);
  return Told(userpager_je_calloc(count, bytes), count * bytes, caller);
}

void* Heap::AllocateAligned(size_t alignment, size_t bytes, const void* caller) {
  if (IsForPlainArena(caller)) {
    // MALLOCX_LG_ALIGN
    const int shift = std::max(0, __builtin_ctzl(alignment));
    return userpager_je_mallocx(std::max<size_t>(bytes, 1), kPlainArena | shift);
  }
  if (!Prepare()) [[likely]] return userpager_je_memalign(alignment, bytes);
  return Told(userpager_je_memalign(alignment, bytes), bytes, caller);
}

void* Heap::Resize(void* block, size_t bytes, const void* caller) {
  if (!IsForPlainArena(caller)) {
    if (!Prepare()) [[likely]] return userpager_je_realloc(block, bytes);
    return Told(userpager_je_realloc(block, bytes), bytes, caller);
  }
  if (block == nullptr) return Allocate(bytes, caller);
  if (bytes == 0) {
    userpager_je_free(block);
    return nullptr;
  }
  void* moved = userpager_je_rallocx(block, bytes, kPlainArena);
  if (moved == nullptr) errno = ENOMEM;
  return moved;
}

void Heap::HoldForFork() { je_jemalloc_prefork(); }
void Heap::ReleaseInParent() { je_jemalloc_postfork_parent(); }
void Heap::ReleaseInChild() { je_jemalloc_postfork_child(); }

}  // namespace userpager

// jemalloc would register its own handlers, which must run in another order (HoldForFork).
extern "C" __attribute__((visibility("hidden"))) int userpager_je_atfork(void (*)(void),
                                                                          void (*)(void),
                                                                          void (*)(void)) {
  return 0;
}
