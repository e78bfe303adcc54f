#include "runtime/platform/address_map.h"

#include <errno.h>
#include <sys/mman.h>

#include <atomic>

#include "runtime/base/system_call.h"

namespace userpager {
namespace {

// The kernel places mappings from the top downwards; the next reservation usually fits right below
// the last. A wrong guess costs one more system call.
constinit std::atomic<uint64_t> next_guess{0};
constinit std::atomic<bool> children_inherit{false};

constexpr int kPlainMapping = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

// A fork's child has no pager of these pages: without them it gets SIGSEGV, with them zeros.
// Huge pages would appear without a charge.
Errno SetProperties(void* address, uint64_t bytes) {
  for (const int advice : {MADV_DONTFORK, MADV_NOHUGEPAGE}) {
    if (advice == MADV_DONTFORK && ChildrenInherit()) continue;
    // EINVAL: a kernel built without huge pages does not know the second, and needs it not.
    if (USERPAGER_CALL(kAdvise, madvise(address, bytes, advice)) != 0 &&
        !(advice == MADV_NOHUGEPAGE && errno == EINVAL)) {
      return errno;
    }
  }
  return 0;
}

// As SetProperties, of what was just mapped.
Errno SetPropertiesOrUnmap(void* address, uint64_t bytes) {
  const Errno error = SetProperties(address, bytes);
  if (error != 0) munmap(address, bytes);
  return error;
}

Errno MapAt(uint64_t address, uint64_t bytes) {
  void* wanted = reinterpret_cast<void*>(address);
  void* got = USERPAGER_CALL(
      kMap, mmap(wanted, bytes, PROT_NONE, kPlainMapping | MAP_FIXED_NOREPLACE, -1, 0));
  if (got == MAP_FAILED) return errno;
  if (got == wanted) return 0;
  // A kernel before 4.17 takes the address as a hint.
  munmap(got, bytes);
  return EEXIST;
}

// Any multiple of 64 KiB: takes more than is needed and gives the edges back.
Errno MapAnywhere(uint64_t bytes, uint64_t* address) {
  const uint64_t slack = kGranularityBytes - kPageBytes;
  if (bytes + slack < bytes) return ENOMEM;
  void* got =
      USERPAGER_CALL(kMap, mmap(nullptr, bytes + slack, PROT_NONE, kPlainMapping, -1, 0));
  if (got == MAP_FAILED) return errno;
  const uint64_t begin = reinterpret_cast<uint64_t>(got);
  // The highest that fits, so that the next one fits right below.
  const uint64_t aligned = RoundDown(begin + slack, kGranularityBytes);
  if (aligned > begin) munmap(got, aligned - begin);
  const uint64_t end = aligned + bytes;
  if (begin + bytes + slack > end) {
    munmap(reinterpret_cast<void*>(end), begin + bytes + slack - end);
  }
  *address = aligned;
  return 0;
}

}  // namespace

void LetChildrenInherit() { children_inherit.store(true, std::memory_order_relaxed); }

bool ChildrenInherit() { return children_inherit.load(std::memory_order_relaxed); }

Errno SetAccessExactly(PageRange range, bool access, bool write, bool execute) {
  const int bits =
      (access ? PROT_READ : 0) | (write ? PROT_WRITE : 0) | (execute ? PROT_EXEC : 0);
  return mprotect(PointerTo(range.begin), BytesOf(range.count()), bits) == 0 ? 0 : errno;
}

Errno MapReservation(PageIndex at, PageCount pages, PageIndex* mapped) {
  const uint64_t bytes = BytesOf(pages);
  uint64_t address = AddressOf(at);
  if (address != 0) {
    if (const Errno error = MapAt(address, bytes); error != 0) return error;
  } else {
    const uint64_t guess = next_guess.load(std::memory_order_relaxed);
    address = guess > bytes ? RoundDown(guess - bytes, kGranularityBytes) : 0;
    if (address == 0 || MapAt(address, bytes) != 0) {
      if (const Errno error = MapAnywhere(bytes, &address); error != 0) return error;
    }
    next_guess.store(address, std::memory_order_relaxed);
  }
  *mapped = PageOf(address);
  return SetPropertiesOrUnmap(PointerTo(*mapped), bytes);
}

Errno AdoptReservation(PageRange range) {
  return SetProperties(PointerTo(range.begin), BytesOf(range.count()));
}

Errno HoldAddressSpace(PageRange range) {
  void* got = USERPAGER_CALL(kMap, mmap(PointerTo(range.begin), BytesOf(range.count()), PROT_NONE,
                                        kPlainMapping | MAP_FIXED, -1, 0));
  return got == MAP_FAILED ? errno : 0;
}

Errno MapEmptied(PageRange range) {
  if (const Errno error = HoldAddressSpace(range); error != 0) return error;
  return madvise(PointerTo(range.begin), BytesOf(range.count()), MADV_WIPEONFORK) == 0 ? 0
                                                                                       : errno;
}

Errno MapOwn(PageCount pages, bool executable, PageIndex* mapped) {
  const int access = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
  void* got = USERPAGER_CALL(kMap, mmap(nullptr, BytesOf(pages), access, kPlainMapping, -1, 0));
  if (got == MAP_FAILED) return errno;
  // As metadata: never in a core file.
  (void)madvise(got, BytesOf(pages), MADV_DONTDUMP);
  *mapped = PageOf(got);
  return SetPropertiesOrUnmap(got, BytesOf(pages));
}

void AllowHugePages(PageRange range, bool on) {
  (void)madvise(PointerTo(range.begin), BytesOf(range.count()),
                on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

Errno Unmap(PageRange range) {
  const int failed =
      USERPAGER_CALL(kUnmap, munmap(PointerTo(range.begin), BytesOf(range.count())));
  return failed == 0 ? 0 : errno;
}

}  // namespace userpager
