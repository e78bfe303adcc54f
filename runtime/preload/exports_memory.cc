// The mmap family as the program finds it. Every function is the kernel's where nothing is managed.
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/api/allocation_callers.h"
#include "runtime/preload/preload.h"

#define USERPAGER_EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

using userpager::LinuxMemory;
using userpager::Preload;

uint64_t AddressOf(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

// A system call's result as the C library gives it.
int64_t Told(int64_t result) {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

int ToldInt(int64_t result) { return static_cast<int>(Told(result)); }
void* ToldPointer(int64_t result) { return reinterpret_cast<void*>(Told(result)); }

void* Map(void* at, size_t bytes, int access, int flags, int descriptor, off_t offset,
          const void* caller) {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) {
    return reinterpret_cast<void*>(
        syscall(SYS_mmap, at, bytes, access, flags, descriptor, offset));
  }
  void* mapped =
      ToldPointer(memory->Map({AddressOf(at), bytes, access, flags, descriptor, offset}));
  if (mapped != MAP_FAILED && (flags & MAP_ANONYMOUS) != 0) {
    userpager::TellCallers(mapped, bytes, caller);
  }
  return mapped;
}

}  // namespace

USERPAGER_EXPORTED void* mmap(void* at, size_t bytes, int access, int flags, int descriptor,
                              off_t offset) noexcept {
  return Map(at, bytes, access, flags, descriptor, offset, __builtin_return_address(0));
}

USERPAGER_EXPORTED void* mmap64(void* at, size_t bytes, int access, int flags, int descriptor,
                                off64_t offset) noexcept {
  return Map(at, bytes, access, flags, descriptor, offset, __builtin_return_address(0));
}

USERPAGER_EXPORTED int munmap(void* at, size_t bytes) noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return static_cast<int>(syscall(SYS_munmap, at, bytes));
  return ToldInt(memory->Unmap(AddressOf(at), bytes));
}

USERPAGER_EXPORTED void* mremap(void* at, size_t old_bytes, size_t new_bytes, int flags,
                                ...) noexcept {
  void* to = nullptr;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
    va_list more;
    va_start(more, flags);
    to = va_arg(more, void*);
    va_end(more);
  }
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) {
    return reinterpret_cast<void*>(syscall(SYS_mremap, at, old_bytes, new_bytes, flags, to));
  }
  void* moved =
      ToldPointer(memory->Remap(AddressOf(at), old_bytes, new_bytes, flags, AddressOf(to)));
  if (moved != MAP_FAILED) userpager::TellCallers(moved, new_bytes, __builtin_return_address(0));
  return moved;
}

USERPAGER_EXPORTED int mprotect(void* at, size_t bytes, int access) noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return static_cast<int>(syscall(SYS_mprotect, at, bytes, access));
  return ToldInt(memory->Protect(AddressOf(at), bytes, access));
}

// A key can only be given to memory that is the kernel's.
USERPAGER_EXPORTED int pkey_mprotect(void* at, size_t bytes, int access, int key) noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr || !memory->Touches(AddressOf(at), bytes)) {
    return static_cast<int>(syscall(SYS_pkey_mprotect, at, bytes, access, key));
  }
  return ToldInt(key == -1 ? memory->Protect(AddressOf(at), bytes, access) : -EINVAL);
}

USERPAGER_EXPORTED int madvise(void* at, size_t bytes, int advice) noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return static_cast<int>(syscall(SYS_madvise, at, bytes, advice));
  return ToldInt(memory->Advise(AddressOf(at), bytes, advice));
}

// As the C library: MADV_DONTNEED would lose what POSIX says stays, and the error is the result.
USERPAGER_EXPORTED int posix_madvise(void* at, size_t bytes, int advice) noexcept {
  if (advice == POSIX_MADV_DONTNEED) return 0;
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) {
    return syscall(SYS_madvise, at, bytes, advice) == 0 ? 0 : errno;
  }
  return static_cast<int>(-memory->Advise(AddressOf(at), bytes, advice));
}

USERPAGER_EXPORTED int mincore(void* at, size_t bytes, unsigned char* vector) noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return static_cast<int>(syscall(SYS_mincore, at, bytes, vector));
  return ToldInt(memory->Residency(AddressOf(at), bytes, vector));
}

USERPAGER_EXPORTED int mlock(const void* at, size_t bytes) noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return static_cast<int>(syscall(SYS_mlock, at, bytes));
  if (const int64_t refused = LinuxMemory::MayLock(); refused != 0) return ToldInt(refused);
  return ToldInt(memory->Lock(AddressOf(at), bytes));
}

USERPAGER_EXPORTED int mlock2(const void* at, size_t bytes, unsigned flags) noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr || !memory->Touches(AddressOf(at), bytes)) {
    return static_cast<int>(syscall(SYS_mlock2, at, bytes, flags));
  }
  if (const int64_t refused = LinuxMemory::MayLock(); refused != 0) return ToldInt(refused);
  // With MLOCK_ONFAULT pages may come in later; that they are there now does no harm.
  return ToldInt((flags & ~static_cast<unsigned>(MLOCK_ONFAULT)) != 0
                     ? -EINVAL
                     : memory->Lock(AddressOf(at), bytes));
}

USERPAGER_EXPORTED int munlock(const void* at, size_t bytes) noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return static_cast<int>(syscall(SYS_munlock, at, bytes));
  return ToldInt(memory->Unlock(AddressOf(at), bytes));
}

USERPAGER_EXPORTED int mlockall(int flags) noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return static_cast<int>(syscall(SYS_mlockall, flags));
  return ToldInt(memory->LockAll(flags));
}

USERPAGER_EXPORTED int munlockall() noexcept {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return static_cast<int>(syscall(SYS_munlockall));
  return ToldInt(memory->UnlockAll());
}

USERPAGER_EXPORTED int msync(void* at, size_t bytes, int flags) {
  LinuxMemory* memory = Preload::Active();
  if (memory == nullptr) return static_cast<int>(syscall(SYS_msync, at, bytes, flags));
  return ToldInt(memory->Sync(AddressOf(at), bytes, flags));
}
