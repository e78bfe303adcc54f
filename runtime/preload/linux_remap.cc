// LinuxMemory: mremap. Contents go by copying, a megabyte at a time, and the old pages are emptied
// behind it: moving more than memory holds needs no more of it than that.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <optional>

#include "runtime/api/entry.h"
#include "runtime/preload/linux_memory.h"

namespace userpager {
namespace {

constexpr PageCount kCopiedAtOnce{256};
constexpr Protection kReadWrite{BaseProtection::kReadWrite};
constexpr int kKnownFlags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

bool IsAligned(uint64_t address) { return address % kPageBytes == 0; }

}  // namespace

int64_t LinuxMemory::Remap(uint64_t address, uint64_t old_length, uint64_t new_length, int flags,
                           uint64_t new_address) {
  const auto pass_on = [&] {
    void* got = mremap(reinterpret_cast<void*>(address), old_length, new_length, flags,
                       reinterpret_cast<void*>(new_address));
    return got == MAP_FAILED ? -errno : reinterpret_cast<int64_t>(got);
  };
  const std::optional<PageRange> old =
      PagesOfRange(address, std::max<uint64_t>(old_length, 1));
  if (!old.has_value() || !IsAligned(address)) return pass_on();
  const bool to_managed = (flags & MREMAP_FIXED) != 0 && Touches(new_address, new_length);
  if (!Touches(*old)) return to_managed ? -ENOMEM : pass_on();
  const bool fixed = (flags & MREMAP_FIXED) != 0;
  const bool keep = (flags & MREMAP_DONTUNMAP) != 0;
  const std::optional<PageRange> wanted = PagesOfRange(fixed ? new_address : address, new_length);
  if ((flags & ~kKnownFlags) != 0 || !wanted.has_value()) return -EINVAL;
  if ((fixed || keep) && (flags & MREMAP_MAYMOVE) == 0) return -EINVAL;
  if (fixed && (!IsAligned(new_address) || wanted->Overlaps(*old))) return -EINVAL;
  // Private memory cannot be mapped a second time.
  if (old_length == 0 || (keep && wanted->count() != old->count())) return -EINVAL;
  const Errno whole = ForEachPart(*old, PartUse::kLook, {}, [](const Part& part) -> Errno {
    return part.owner == Reservations::Owner::kPager ? 0 : EFAULT;
  });
  if (whole != 0) return -whole;
  PageRange kept = *old;
  if (wanted->count() < kept.count()) {
    kept.end = kept.begin + wanted->count();
    if (const Errno error = UnmapPages(PageRange(kept.end, old->end)); error != 0) return -error;
  }
  if (kept.count() == wanted->count() && !fixed && !keep) return static_cast<int64_t>(address);
  return Grow(kept, wanted->count(), flags, new_address);
}

// In place where it may be and there is room behind; else elsewhere.
int64_t LinuxMemory::Grow(PageRange old, PageCount pages, int flags, uint64_t new_address) {
  const Protection last =
      Use(PageRange(old.end - PageCount(1), old.end), PartUse::kLook).protection;
  const PageCount more = pages - old.count();
  const bool stays = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0;
  if (stays && MapOver(PageRange(old.end, more), last, false) == 0) {
    const Errno error = CopyForkRules(PageRange(old.end - PageCount(1), old.end),
                                      PageRange(old.end, more));
    return error == 0 ? static_cast<int64_t>(AddressOf(old.begin)) : -error;
  }
  if ((flags & MREMAP_MAYMOVE) == 0) return -ENOMEM;
  const int64_t place = PlaceForMove(pages, flags, new_address);
  if (place < 0) return place;
  const PageRange to(PageOf(static_cast<uint64_t>(place)), pages);
  const int64_t moved = MoveTo(old, to, (flags & MREMAP_DONTUNMAP) != 0);
  if (moved < 0 || more == PageCount(0)) return moved;
  const PageIndex end = to.begin + old.count();
  Errno error = ProtectPages(PageRange(end, to.end), last);
  if (error == 0) {
    error = CopyForkRules(PageRange(end - PageCount(1), end), PageRange(end, to.end));
  }
  return error == 0 ? moved : -error;
}

// What a forked child has of the pages of `from` it has of those of `to` as well; those beyond the
// last of `from` are as that one.
Errno LinuxMemory::CopyForkRules(PageRange from, PageRange to) {
  Reservations* reservations = &reservations_;
  const auto copied = RunInside([=]() -> Errno {
    PageRange rest = from;
    PageRange target = to;
    while (!target.empty()) {
      const ForkRules::Run run = reservations->ForkRuleOf(rest);
      const bool is_last = run.range.end == from.end;
      const PageIndex end = is_last ? target.end : target.begin + run.range.count();
      const Errno error = reservations->SetForkRule(PageRange(target.begin, end), run.rule);
      if (error != 0) return error;
      rest.begin = run.range.end;
      target.begin = end;
    }
    return 0;
  });
  return copied.value_or(ENOMEM);
}

int64_t LinuxMemory::PlaceForMove(PageCount pages, int flags, uint64_t new_address) {
  const bool fixed = (flags & MREMAP_FIXED) != 0;
  const int kind = MAP_PRIVATE | MAP_ANONYMOUS | (fixed ? MAP_FIXED : 0);
  return Map({fixed ? new_address : 0, BytesOf(pages), PROT_READ | PROT_WRITE, kind, -1, 0});
}

int64_t LinuxMemory::MoveTo(PageRange from, PageRange to, bool keep_old) {
  Errno error = ForEachPart(from, PartUse::kLook, {}, [&](const Part& part) -> Errno {
    return MovePart(part.range, to.begin + (part.range.begin - from.begin), part.protection);
  });
  if (error == 0) error = CopyForkRules(from, PageRange(to.begin, from.count()));
  if (error != 0) return -error;
  const Errno left = keep_old ? 0 : UnmapPages(from);
  return left != 0 ? -left : static_cast<int64_t>(AddressOf(to.begin));
}

Errno LinuxMemory::ProtectPages(PageRange range, Protection protection) {
  return ForEachPart(range, PartUse::kProtect, protection, [](const Part&) { return 0; });
}

// Pages of one protection and one reservation. They must be readable to be copied; both places have
// their protection again after.
Errno LinuxMemory::MovePart(PageRange from, PageIndex to, Protection protection) {
  Reservations* reservations = &reservations_;
  const PageRange target(to, from.count());
  (void)Unlock(AddressOf(from.begin), BytesOf(from.count()));
  Errno error = protection.AllowsAccess() ? 0 : Use(from, PartUse::kProtect, kReadWrite).error;
  PageIndex next = from.begin;
  while (error == 0 && next < from.end) {
    const auto content = RunInside([=] {
      return reservations->FirstContent(PageRange(next, from.end));
    });
    if (!content.has_value()) return ENOMEM;
    if (content->empty()) break;
    const PageRange part(content->begin, std::min(content->begin + kCopiedAtOnce, content->end));
    memcpy(PointerTo(to + (part.begin - from.begin)), PointerTo(part.begin),
           BytesOf(part.count()));
    error = Use(part, PartUse::kEmpty).error;
    next = part.end;
  }
  if (error == 0 && !protection.AllowsAccess()) {
    error = Use(from, PartUse::kProtect, protection).error;
  }
  if (error == 0 && protection != kReadWrite) {
    error = ProtectPages(target, protection);
  }
  return error;
}

}  // namespace userpager
