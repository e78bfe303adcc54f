// The private jemalloc: its public functions, which the build renames so that they are nobody
// else's. See jemalloc(3), 5.3.0.
#ifndef USERPAGER_HEAP_JEMALLOC_H_
#define USERPAGER_HEAP_JEMALLOC_H_

#include <cstddef>

extern "C" {

struct userpager_je_extent_hooks {
  void* (*alloc)(userpager_je_extent_hooks* hooks, void* at, size_t bytes, size_t alignment,
                 bool* zero, bool* commit, unsigned arena);
  bool (*dalloc)(userpager_je_extent_hooks*, void*, size_t, bool, unsigned);
  void (*destroy)(userpager_je_extent_hooks*, void*, size_t, bool, unsigned);
  bool (*commit)(userpager_je_extent_hooks*, void*, size_t, size_t, size_t, unsigned);
  bool (*decommit)(userpager_je_extent_hooks*, void*, size_t, size_t, size_t, unsigned);
  bool (*purge_lazy)(userpager_je_extent_hooks*, void*, size_t, size_t, size_t, unsigned);
  bool (*purge_forced)(userpager_je_extent_hooks*, void* at, size_t bytes, size_t offset,
                       size_t length, unsigned arena);
  bool (*split)(userpager_je_extent_hooks*, void*, size_t, size_t, size_t, bool, unsigned);
  bool (*merge)(userpager_je_extent_hooks*, void*, size_t, void*, size_t, bool, unsigned);
};

// Of the control experimental.arenas_create_ext.
struct userpager_je_arena_config {
  userpager_je_extent_hooks* extent_hooks;
  bool metadata_use_hooks;
};

void* userpager_je_malloc(size_t bytes);
void* userpager_je_calloc(size_t count, size_t bytes);
void* userpager_je_realloc(void* block, size_t bytes);
void userpager_je_free(void* block);
void* userpager_je_memalign(size_t alignment, size_t bytes);
size_t userpager_je_malloc_usable_size(void* block);
void* userpager_je_mallocx(size_t bytes, int flags);
void* userpager_je_rallocx(void* block, size_t bytes, int flags);
size_t userpager_je_xallocx(void* block, size_t bytes, size_t extra, int flags);
size_t userpager_je_sallocx(const void* block, int flags);
void userpager_je_dallocx(void* block, int flags);
void userpager_je_sdallocx(void* block, size_t bytes, int flags);
size_t userpager_je_nallocx(size_t bytes, int flags);
int userpager_je_mallctl(const char* name, void* old_value, size_t* old_bytes, void* new_value,
                         size_t new_bytes);
int userpager_je_mallctlnametomib(const char* name, size_t* mib, size_t* mib_length);
int userpager_je_mallctlbymib(const size_t* mib, size_t mib_length, void* old_value,
                              size_t* old_bytes, void* new_value, size_t new_bytes);
void userpager_je_malloc_stats_print(void (*write)(void*, const char*), void* argument,
                                     const char* options);

// Around fork.
void je_jemalloc_prefork(void);
void je_jemalloc_postfork_parent(void);
void je_jemalloc_postfork_child(void);

}  // extern "C"

#endif  // USERPAGER_HEAP_JEMALLOC_H_
