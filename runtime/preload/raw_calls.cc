// What the runtime and jemalloc mean by mmap and the like: the kernel's. The linker's option --wrap
// binds their calls to these, whatever functions the program finds under the same names.
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" {

void* __wrap_mmap(void* at, size_t bytes, int access, int flags, int descriptor, off_t offset);
int __wrap_munmap(void* at, size_t bytes);
void* __wrap_mremap(void* at, size_t old_bytes, size_t new_bytes, int flags, void* to);
int __wrap_mprotect(void* at, size_t bytes, int access);
int __wrap_madvise(void* at, size_t bytes, int advice);
int __wrap_mincore(void* at, size_t bytes, unsigned char* vector);
int __wrap_mlock(const void* at, size_t bytes);
int __wrap_mlock2(const void* at, size_t bytes, unsigned flags);
int __wrap_munlock(const void* at, size_t bytes);
int __wrap_munlockall();
int __wrap_msync(void* at, size_t bytes, int flags);
int __wrap_close(int descriptor);

void* __wrap_mmap(void* at, size_t bytes, int access, int flags, int descriptor, off_t offset) {
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, at, bytes, access, flags, descriptor, offset));
}

int __wrap_munmap(void* at, size_t bytes) {
  return static_cast<int>(syscall(SYS_munmap, at, bytes));
}

void* __wrap_mremap(void* at, size_t old_bytes, size_t new_bytes, int flags, void* to) {
  return reinterpret_cast<void*>(syscall(SYS_mremap, at, old_bytes, new_bytes, flags, to));
}

int __wrap_mprotect(void* at, size_t bytes, int access) {
  return static_cast<int>(syscall(SYS_mprotect, at, bytes, access));
}

int __wrap_madvise(void* at, size_t bytes, int advice) {
  return static_cast<int>(syscall(SYS_madvise, at, bytes, advice));
}

int __wrap_mincore(void* at, size_t bytes, unsigned char* vector) {
  return static_cast<int>(syscall(SYS_mincore, at, bytes, vector));
}

int __wrap_mlock(const void* at, size_t bytes) {
  return static_cast<int>(syscall(SYS_mlock, at, bytes));
}

int __wrap_mlock2(const void* at, size_t bytes, unsigned flags) {
  return static_cast<int>(syscall(SYS_mlock2, at, bytes, flags));
}

int __wrap_munlockall() { return static_cast<int>(syscall(SYS_munlockall)); }

int __wrap_munlock(const void* at, size_t bytes) {
  return static_cast<int>(syscall(SYS_munlock, at, bytes));
}

int __wrap_msync(void* at, size_t bytes, int flags) {
  return static_cast<int>(syscall(SYS_msync, at, bytes, flags));
}

int __wrap_close(int descriptor) { return static_cast<int>(syscall(SYS_close, descriptor)); }

}  // extern "C"
