// LinuxMemory: mlock and its kin. What is managed is locked by the pager, within the memory limit;
// what is the kernel's, by the kernel.
#include <errno.h>
#include <sys/mman.h>

#include <optional>

#include "runtime/api/entry.h"
#include "runtime/platform/process_map.h"
#include "runtime/preload/linux_memory.h"

namespace userpager {
namespace {

constexpr int kKnownFlags = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;

void* At(PageIndex page) { return PointerTo(page); }
size_t Length(PageRange range) { return BytesOf(range.count()); }
Errno ErrnoOf(int result) { return result == 0 ? 0 : errno; }

// Anonymous memory of the kernel's may be the runtime's own, which is reserved in advance: of that,
// what is there is locked, and what comes when it comes.
Errno LockKernels(PageRange range, bool on_fault) {
  return ErrnoOf(mlock2(At(range.begin), Length(range), on_fault ? MLOCK_ONFAULT : 0));
}

}  // namespace

int64_t LinuxMemory::Lock(uint64_t address, uint64_t length) {
  const uint64_t begin = RoundDown(address, kPageBytes);
  const std::optional<PageRange> range = Managed(begin, length + (address - begin));
  if (!range.has_value()) return -ErrnoOf(mlock(reinterpret_cast<void*>(address), length));
  Reservations* reservations = &reservations_;
  return -ForEachPart(*range, PartUse::kLook, {}, [&](const Part& part) -> Errno {
    if (part.owner == Reservations::Owner::kNobody) return ENOMEM;
    if (part.owner != Reservations::Owner::kPager) {
      return ErrnoOf(mlock(At(part.range.begin), Length(part.range)));
    }
    const DWORD error = RunInside([=, where = part.range] {
                          return reservations->LockPages(AddressOf(where.begin), Length(where));
                        }).value_or(ERROR_NO_SYSTEM_RESOURCES);
    return error == 0 ? 0 : ENOMEM;
  });
}

int64_t LinuxMemory::Unlock(uint64_t address, uint64_t length) {
  const uint64_t begin = RoundDown(address, kPageBytes);
  const std::optional<PageRange> range = Managed(begin, length + (address - begin));
  if (!range.has_value()) return -ErrnoOf(munlock(reinterpret_cast<void*>(address), length));
  Reservations* reservations = &reservations_;
  return -ForEachPart(*range, PartUse::kLook, {}, [&](const Part& part) -> Errno {
    if (part.owner == Reservations::Owner::kNobody) return ENOMEM;
    if (part.owner != Reservations::Owner::kPager) {
      return ErrnoOf(munlock(At(part.range.begin), Length(part.range)));
    }
    if (!part.locked) return 0;
    (void)RunInside([=, where = part.range] {
      return reservations->UnlockPages(AddressOf(where.begin), Length(where));
    });
    return 0;
  });
}

int64_t LinuxMemory::LockStack(uint64_t address, uint64_t length) {
  keeps_stacks_.store(true);
  return Lock(address, length);
}

// As for any process, it is the kernel that says whether this one may lock memory at all.
int64_t LinuxMemory::MayLock() { return -ErrnoOf(mlock(nullptr, 0)); }

int64_t LinuxMemory::LockAll(int flags) {
  if ((flags & ~kKnownFlags) != 0 || (flags & (MCL_CURRENT | MCL_FUTURE)) == 0) return -EINVAL;
  if (const int64_t refused = MayLock(); refused != 0) return refused;
  if ((flags & MCL_CURRENT) != 0) {
    if (const Errno error = LockAllManaged(); error != 0) return -error;
    if (const Errno error = LockAllOthers((flags & MCL_ONFAULT) != 0); error != 0) return -error;
  }
  lock_future_.store((flags & MCL_FUTURE) != 0, std::memory_order_relaxed);
  return 0;
}

// Nothing is locked where not all of it can be.
Errno LinuxMemory::LockAllManaged() {
  Reservations* reservations = &reservations_;
  const PageRange all(PageIndex(1), kEndOfAddressSpace);
  PageCount wanted;
  const auto is_wanted = [](const Part& part) {
    return part.owner == Reservations::Owner::kPager && !part.locked &&
           part.protection.AllowsAccess();
  };
  (void)ForEachPart(all, PartUse::kLook, {}, [&](const Part& part) {
    if (is_wanted(part)) wanted += part.range.count();
    return 0;
  });
  const PageCount most =
      RunInside([=] { return reservations->LockableNow(); }).value_or(PageCount(0));
  if (wanted > most) return ENOMEM;
  return ForEachPart(all, PartUse::kLook, {}, [&](const Part& part) -> Errno {
    if (!is_wanted(part)) return 0;
    return static_cast<Errno>(-Lock(AddressOf(part.range.begin), BytesOf(part.range.count())));
  });
}

// Not the parking areas: between those and the places of pages, the kernel moves nothing where only
// one of the two is locked.
Errno LinuxMemory::LockAllOthers(bool on_fault) {
  ProcessMap map;
  if (const Errno error = map.Open(); error != 0) return error;
  Reservations* reservations = &reservations_;
  ProcessMapping mapping;
  for (PageIndex next(1); map.AtOrAfter(next, &mapping) == 0; next = mapping.range.end) {
    if (mapping.range.begin >= kEndOfAddressSpace) break;
    const bool parking =
        RunInside([=, at = mapping.range.begin] { return reservations->IsParkingPlace(at); })
            .value_or(true);
    if (parking || Touches(mapping.range)) continue;
    const bool access = mapping.readable || mapping.writable || mapping.executable;
    const Errno error =
        LockKernels(mapping.range, on_fault || !mapping.HasFile() || !access);
    // A mapping may have gone meanwhile, or be a file's with nothing behind its last pages.
    if (error != 0 && error != ENOMEM) return error;
  }
  return 0;
}

// A new mapping of a program that has asked for all of them to be locked (MCL_FUTURE).
int64_t LinuxMemory::LockNew(int64_t mapped, const MapRequest& request) {
  const std::optional<PageRange> range =
      Managed(static_cast<uint64_t>(mapped), request.length);
  if (!range.has_value() || request.access == PROT_NONE) return mapped;
  if (Lock(static_cast<uint64_t>(mapped), request.length) == 0) return mapped;
  (void)UnmapPages(*range);
  return -EAGAIN;
}

int64_t LinuxMemory::UnlockAll() {
  lock_future_.store(false, std::memory_order_relaxed);
  (void)ForEachPart(PageRange(PageIndex(1), kEndOfAddressSpace), PartUse::kLook, {},
                    [&](const Part& part) -> Errno {
                      const bool unlock = part.owner == Reservations::Owner::kPager &&
                                          part.locked && !keeps_stacks_.load();
                      if (unlock) {
                        (void)Unlock(AddressOf(part.range.begin), BytesOf(part.range.count()));
                      }
                      return 0;
                    });
  return -ErrnoOf(munlockall());
}

}  // namespace userpager
