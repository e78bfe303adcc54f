#include "runtime/preload/linux_memory.h"

#include <errno.h>
#include <sys/mman.h>

#include <optional>

#include "runtime/api/entry.h"

namespace userpager {
namespace {

constexpr uint64_t kPageMask = kPageBytes - 1;
// Below, nobody may map anything: 0 stands for anywhere.
constexpr uint64_t kLowestAddress = 65536;
// How often a place that was found may turn out to be taken by another thread meanwhile.
constexpr unsigned kMaxTries = 16;

bool IsPrivateAnonymous(int flags) {
  constexpr int kKernels = MAP_STACK | MAP_GROWSDOWN | MAP_HUGETLB | MAP_LOCKED | MAP_32BIT;
  return (flags & MAP_TYPE) == MAP_PRIVATE && (flags & MAP_ANONYMOUS) != 0 &&
         (flags & kKernels) == 0;
}

bool IsFixed(int flags) { return (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0; }

// On the processors that there are, what may be written or executed may be read.
std::optional<Protection> ProtectionOf(int access) {
  if ((access & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) != 0) return std::nullopt;
  const bool write = (access & PROT_WRITE) != 0;
  if ((access & PROT_EXEC) != 0) {
    return Protection{write ? BaseProtection::kExecuteReadWrite : BaseProtection::kExecuteRead};
  }
  if (write) return Protection{BaseProtection::kReadWrite};
  return Protection{access == PROT_NONE ? BaseProtection::kNoAccess : BaseProtection::kReadOnly};
}

// The pages of [address, address + length), or nullopt where that is not in the address space. The
// address is a multiple of a page.
std::optional<PageRange> PagesOf(uint64_t address, uint64_t length) {
  if (length == 0) return PageRange(PageOf(address), PageOf(address));
  return PagesOfRange(address, length);
}

void* At(PageIndex page) { return PointerTo(page); }
size_t Length(PageRange range) { return BytesOf(range.count()); }
Errno ErrnoOf(int result) { return result == 0 ? 0 : errno; }

int64_t KernelMap(const LinuxMemory::MapRequest& r) {
  void* got = mmap(reinterpret_cast<void*>(r.address), r.length, r.access, r.flags, r.descriptor,
                   r.offset);
  return got == MAP_FAILED ? -errno : reinterpret_cast<int64_t>(got);
}

}  // namespace

LinuxMemory::Part LinuxMemory::Use(PageRange range, PartUse use, Protection protection) {
  Reservations* reservations = &reservations_;
  return RunInside([=] { return reservations->UsePart(range, use, protection); })
      .value_or(Part{ENOMEM, Reservations::Owner::kKernel, range, {}, false});
}

bool LinuxMemory::Touches(PageRange range) {
  if (range.empty()) return false;
  const Part part = Use(range, PartUse::kLook);
  return part.owner != Reservations::Owner::kKernel || part.range != range;
}

bool LinuxMemory::Touches(uint64_t address, uint64_t length) {
  const std::optional<PageRange> range = PagesOf(address, length);
  return range.has_value() && Touches(*range);
}

std::optional<PageRange> LinuxMemory::Managed(uint64_t address, uint64_t length) {
  if ((address & kPageMask) != 0) return std::nullopt;
  const std::optional<PageRange> range = PagesOf(address, length);
  return range.has_value() && Touches(*range) ? range : std::nullopt;
}

int64_t LinuxMemory::Map(const MapRequest& request) {
  const bool lock = lock_future_.load(std::memory_order_relaxed);
  if (IsPrivateAnonymous(request.flags)) {
    const int64_t mapped = MapManaged(request);
    return lock && mapped > 0 ? LockNew(mapped, request) : mapped;
  }
  MapRequest asked = request;
  if (lock) asked.flags |= MAP_LOCKED;
  return IsFixed(asked.flags) ? MapForeign(asked) : KernelMap(asked);
}

int64_t LinuxMemory::MapManaged(const MapRequest& request) {
  const std::optional<Protection> protection = ProtectionOf(request.access);
  const uint64_t length = RoundUp(request.length, kPageBytes);
  if (request.length == 0 || !protection.has_value()) return -EINVAL;
  if (length < request.length) return -ENOMEM;
  if (IsFixed(request.flags)) {
    if ((request.address & kPageMask) != 0) return -EINVAL;
    if (request.address < kLowestAddress) return KernelMap(request);
    const std::optional<PageRange> range = PagesOf(request.address, length);
    if (!range.has_value()) return -ENOMEM;
    const bool replace = (request.flags & MAP_FIXED_NOREPLACE) == 0;
    const Errno error = MapOver(*range, *protection, replace);
    return error == 0 ? static_cast<int64_t>(request.address) : -error;
  }
  const uint64_t hint = RoundDown(request.address, kPageBytes);
  const std::optional<PageRange> wanted = PagesOf(hint, length);
  if (hint >= kLowestAddress && wanted.has_value() && MapOver(*wanted, *protection, false) == 0) {
    return static_cast<int64_t>(hint);
  }
  Reservations* reservations = &reservations_;
  const PageCount pages(length >> kPageShift);
  const auto made = RunInside(
      [=, p = *protection] { return reservations->MapAnywhere(pages, p); });
  if (!made.has_value() || made->error != 0) return -ENOMEM;
  return static_cast<int64_t>(made->address);
}

// Without `replace`, nothing is mapped in the range. What was mapped there is gone after an error.
Errno LinuxMemory::MapOver(PageRange range, Protection protection, bool replace) {
  using Owner = Reservations::Owner;
  Reservations* reservations = &reservations_;
  if (!replace) {
    const Errno taken =
        ForEachPart(range, PartUse::kLook, {}, [](const Part& part) -> Errno {
          return part.owner == Owner::kPager || part.owner == Owner::kProgram ? EEXIST : 0;
        });
    if (taken != 0) return taken;
  }
  PageIndex mapped = range.begin;
  unsigned tries = 0;
  while (mapped < range.end) {
    Part part = Use(PageRange(mapped, range.end), PartUse::kEmpty);
    if (part.error == EINVAL && part.locked) {
      (void)Unlock(AddressOf(part.range.begin), Length(part.range));
      part = Use(PageRange(mapped, range.end), PartUse::kEmpty);
    }
    if (part.owner == Owner::kProgram) part = Use(part.range, PartUse::kTakeBack);
    Errno error = part.error;
    if (error == 0) {
      error = RunInside([=, where = part.range, in_vad = part.owner != Owner::kKernel] {
                return in_vad ? reservations->MapReserved(where, protection)
                              : reservations->MapExactly(where, protection, replace);
              }).value_or(ENOMEM);
    }
    const bool changed = error == EAGAIN || (error == EEXIST && replace);
    if (changed && ++tries < kMaxTries) continue;
    if (error != 0) {
      if (mapped > range.begin) (void)UnmapPages(PageRange(range.begin, mapped));
      return error == EAGAIN ? ENOMEM : error;
    }
    mapped = part.range.end;
  }
  return 0;
}

// A mapping of the kernel's at a fixed place, which may be managed.
int64_t LinuxMemory::MapForeign(const MapRequest& request) {
  const std::optional<PageRange> range = Managed(request.address, request.length);
  if (!range.has_value()) return KernelMap(request);
  // The kernel looks at a request before it unmaps what was there, and so does this: by trying it
  // elsewhere.
  MapRequest probe = request;
  probe.address = 0;
  probe.flags &= ~(MAP_FIXED | MAP_FIXED_NOREPLACE);
  const int64_t tried = KernelMap(probe);
  if (tried < 0) return tried;
  munmap(reinterpret_cast<void*>(tried), request.length);
  if ((request.flags & MAP_FIXED_NOREPLACE) != 0) {
    const Errno taken =
        ForEachPart(*range, PartUse::kLook, {}, [](const Part& part) -> Errno {
          return part.owner == Reservations::Owner::kPager ? EEXIST : 0;
        });
    if (taken != 0) return -taken;
  }
  if (const Errno error = GiveUp(*range); error != 0) return -error;
  MapRequest fixed = request;
  fixed.flags = (fixed.flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED;
  const int64_t mapped = KernelMap(fixed);
  if (mapped < 0) (void)UnmapPages(*range);
  return mapped;
}

// Unmaps what is managed of the range and leaves its places to the kernel.
Errno LinuxMemory::GiveUp(PageRange range) {
  while (!range.empty()) {
    // A reservation with nothing left in it goes altogether, and its place is the kernel's.
    (void)Use(range, PartUse::kRemove);
    const Part part = Use(range, PartUse::kGiveUp);
    if (part.error != 0) return part.error;
    range.begin = part.range.end;
  }
  return 0;
}

int64_t LinuxMemory::Unmap(uint64_t address, uint64_t length) {
  const std::optional<PageRange> range = Managed(address, length);
  if (!range.has_value()) return -ErrnoOf(munmap(reinterpret_cast<void*>(address), length));
  return -UnmapPages(*range);
}

Errno LinuxMemory::UnmapPages(PageRange range) {
  return ForEachPart(range, PartUse::kRemove, {}, [](const Part& part) -> Errno {
    if (part.owner != Reservations::Owner::kKernel) return 0;
    return ErrnoOf(munmap(At(part.range.begin), Length(part.range)));
  });
}

int64_t LinuxMemory::Protect(uint64_t address, uint64_t length, int access) {
  const std::optional<PageRange> range = Managed(address, length);
  if (!range.has_value()) {
    return -ErrnoOf(mprotect(reinterpret_cast<void*>(address), length, access));
  }
  const std::optional<Protection> protection = ProtectionOf(access);
  if (!protection.has_value()) return -EINVAL;
  return -ForEachPart(*range, PartUse::kProtect, *protection, [&](const Part& part) -> Errno {
    switch (part.owner) {
      case Reservations::Owner::kPager: return 0;
      case Reservations::Owner::kNobody: return ENOMEM;
      case Reservations::Owner::kKernel:
      case Reservations::Owner::kProgram: break;
    }
    return ErrnoOf(mprotect(At(part.range.begin), Length(part.range), access));
  });
}

// Pages out, their room, and what a forked child has of them; the rest is advice that needs
// nothing.
int64_t LinuxMemory::Advise(uint64_t address, uint64_t length, int advice) {
  const std::optional<PageRange> range = Managed(address, length);
  if (!range.has_value()) {
    return -ErrnoOf(madvise(reinterpret_cast<void*>(address), length, advice));
  }
  PartUse use = PartUse::kLook;
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_FREE: use = PartUse::kEmpty; break;
    case MADV_PAGEOUT: use = PartUse::kTrim; break;
    case MADV_DONTFORK: use = PartUse::kNotInChild; break;
    case MADV_DOFORK: use = PartUse::kInChild; break;
    case MADV_WIPEONFORK: use = PartUse::kEmptyInChild; break;
    case MADV_KEEPONFORK: use = PartUse::kKeepInChild; break;
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_COLD:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE: break;
    default: return -EINVAL;
  }
  Errno hole = 0;
  const Errno error = ForEachPart(*range, use, {}, [&](const Part& part) -> Errno {
    if (part.owner == Reservations::Owner::kPager) return 0;
    if (part.owner == Reservations::Owner::kNobody) {
      hole = ENOMEM;
      return 0;
    }
    if (madvise(At(part.range.begin), Length(part.range), advice) == 0) return 0;
    if (errno != ENOMEM) return errno;
    hole = ENOMEM;
    return 0;
  });
  return error != 0 ? -error : -hole;
}

int64_t LinuxMemory::Residency(uint64_t address, uint64_t length, unsigned char* vector) {
  const std::optional<PageRange> range = Managed(address, length);
  if (!range.has_value()) {
    return -ErrnoOf(mincore(reinterpret_cast<void*>(address), length, vector));
  }
  Reservations* reservations = &reservations_;
  return -ForEachPart(*range, PartUse::kLook, {}, [&](const Part& part) -> Errno {
    unsigned char* first = vector + (part.range.begin - range->begin).value();
    if (part.owner == Reservations::Owner::kNobody) return ENOMEM;
    if (part.owner != Reservations::Owner::kPager) {
      return ErrnoOf(mincore(At(part.range.begin), Length(part.range), first));
    }
    for (PageIndex page = part.range.begin; page < part.range.end; ++page) {
      const bool there =
          RunInside([=] { return reservations->IsInMemory(page); }).value_or(false);
      first[(page - part.range.begin).value()] = there ? 1 : 0;
    }
    return 0;
  });
}

int64_t LinuxMemory::Sync(uint64_t address, uint64_t length, int flags) {
  const std::optional<PageRange> range = Managed(address, length);
  if (!range.has_value()) return -ErrnoOf(msync(reinterpret_cast<void*>(address), length, flags));
  return -ForEachPart(*range, PartUse::kLook, {}, [&](const Part& part) -> Errno {
    if (part.owner == Reservations::Owner::kNobody) return ENOMEM;
    if (part.owner == Reservations::Owner::kPager) return 0;
    return ErrnoOf(msync(At(part.range.begin), Length(part.range), flags));
  });
}

}  // namespace userpager
