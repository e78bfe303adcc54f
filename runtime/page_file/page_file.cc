#include "runtime/page_file/page_file.h"

#include <errno.h>

#include <algorithm>

namespace userpager {
namespace {

constexpr uint64_t kExtentBytes = 64 * 1024 * 1024;
constexpr SlotIndex kFirstSlot{1};

SlotIndex SlotAt(uint64_t offset_bytes) {
  return SlotIndex(static_cast<uint32_t>(offset_bytes >> kPageShift));
}

}  // namespace

Errno PageFile::Open(const PageFileOptions& options, LogLine* error) {
  if (options.max_bytes < kSmallestBytes) {
    *error << "page file: a maximum of " << options.max_bytes
           << " bytes is too small; give it at least " << kSmallestBytes
           << " with the option page_file_max";
    return EINVAL;
  }
  if (options.max_bytes > kLargestBytes) {
    *error << "page file: a maximum of " << options.max_bytes
           << " bytes is too large; give it at most " << kLargestBytes
           << " with the option page_file_max";
    return EINVAL;
  }
  Errno failed = file_.Open(options.path, kSmallestBytes, error);
  if (failed != 0) return failed;
  failed = Prepare(options.max_bytes, error);
  if (failed != 0) file_.Abandon();
  return failed;
}

// What comes once the file is open.
Errno PageFile::Prepare(uint64_t most_bytes, LogLine* error) {
  const uint64_t max_bytes = RoundDown(std::min(most_bytes, file_.device_bytes()), kPageBytes);
  max_slots_ = PageCount(max_bytes >> kPageShift) - PageCount(1);
  checksums_ = ArenaArray<uint32_t>(max_slots_.value() + 1);
  if (!checksums_.ok() || slots_.Init(max_slots_) != 0) {
    *error << "page file: no memory to keep account of " << max_bytes
           << " bytes; give a smaller page_file_max";
    return ENOMEM;
  }
  // A place without room shows now, not at the first promise.
  const Errno failed = Extend(SlotAt(kSmallestBytes));
  return failed == 0 ? 0 : file_.Explain(failed, error);
}

// Makes the slots up to `end` usable.
Errno PageFile::Extend(SlotIndex end) {
  const Errno failed = file_.Allocate(OffsetOf(slots_.end()), OffsetOf(end));
  if (failed == 0) slots_.Extend(end);
  return failed;
}

Errno PageFile::Grow(PageCount slots) {
  if (usable() >= slots) return 0;
  if (refuses()) return ENOSPC;
  LockHolder hold(growth_lock_);
  // Another thread may have grown it meanwhile.
  if (usable() >= slots) return 0;
  const PageCount missing = slots - usable();
  const SlotIndex end = slots_.end();
  const SlotIndex most = kFirstSlot + max_slots_;
  if (missing > most - end) return ENOSPC;
  const SlotIndex needed = end + missing;
  const SlotIndex wanted =
      end + std::min(most - end, std::max(missing, PagesHolding(kExtentBytes)));
  Errno failed = Extend(wanted);
  if (failed == ENOSPC && needed < wanted) failed = Extend(needed);
  return failed;
}

PageCount PageFile::max_usable() const { return max_slots_ - slots_.bad(); }

}  // namespace userpager
