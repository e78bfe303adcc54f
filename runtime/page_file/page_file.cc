#include "runtime/page_file/page_file.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/platform/life_line.h"

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
  discards_.store(options.discard, std::memory_order_relaxed);
  Errno failed = file_.Open(options.path, kSmallestBytes, error);
  if (failed == 0 && options.for_children) file_.KeepDirectory();
  if (failed != 0) return failed;
  failed = Prepare(options.max_bytes, error);
  if (failed != 0) file_.Abandon();
  return failed;
}

// What comes once the file is open.
Errno PageFile::Prepare(uint64_t most_bytes, LogLine* error) {
  const uint64_t max_bytes = RoundDown(std::min(most_bytes, file_.device_bytes()), kPageBytes);
  max_slots_ = PageCount(max_bytes >> kPageShift) - PageCount(1);
  if (!PrepareSlots()) {
    *error << "page file: no memory to keep account of " << max_bytes
           << " bytes; give a smaller page_file_max";
    return ENOMEM;
  }
  // A place without room shows now, not at the first promise.
  const Errno failed = Extend(SlotAt(kSmallestBytes));
  return failed == 0 ? 0 : file_.Explain(failed, error);
}

bool PageFile::PrepareSlots() {
  own_->checksums = ArenaArray<uint32_t>(max_slots_.value() + 1);
  return own_->checksums.ok() && own_->slots.Init(max_slots_) == 0;
}

// Makes the slots up to `end`, counted within the file, usable.
Errno PageFile::Extend(SlotIndex end) {
  const uint64_t from = uint64_t{own_->slots.end().value()} << kPageShift;
  const Errno failed = file_.Allocate(from, uint64_t{end.value()} << kPageShift);
  if (failed == 0) own_->slots.Extend(end);
  return failed;
}

Errno PageFile::Grow(PageCount slots) {
  if (usable() >= slots) return 0;
  if (refuses() || slots > max_usable()) return ENOSPC;
  LockHolder hold(growth_lock_);
  // Another thread may have grown it meanwhile.
  if (usable() >= slots) return 0;
  if (const Errno failed = TakeSpaceBack(slots); failed != 0) return failed;
  if (usable() >= slots) return 0;
  const PageCount missing = slots - usable();
  const SlotIndex end = own_->slots.end();
  const SlotIndex most = kFirstSlot + max_slots_;
  if (missing > most - end) return ENOSPC;
  const SlotIndex needed = end + missing;
  const SlotIndex wanted =
      end + std::min(most - end, std::max(missing, PagesHolding(kExtentBytes)));
  Errno failed = Extend(wanted);
  if (failed == ENOSPC && needed < wanted) failed = Extend(needed);
  return failed;
}

// Before the file grows, what it has without disk space gets some, up to an extent more than there
// must be.
Errno PageFile::TakeSpaceBack(PageCount slots) {
  const PageCount wanted = slots + PagesHolding(kExtentBytes);
  while (usable() < wanted && discarded() > PageCount(0)) {
    const SlotRun run =
        own_->slots.FindDiscarded(std::min(wanted - usable(), kMostGivenBack));
    const uint64_t from = uint64_t{run.first.value()} << kPageShift;
    const Errno failed = file_.TakeBack(from, from + BytesOf(run.count));
    if (failed != 0) return usable() >= slots ? 0 : failed;
    own_->slots.Restore(run);
  }
  return 0;
}

bool PageFile::PunchRun(SlotRun run, LogLine* error) {
  const uint64_t from = uint64_t{run.first.value()} << kPageShift;
  const Errno failed = file_.GiveBack(from, from + BytesOf(run.count));
  if (failed == 0) {
    own_->slots.CountDiscarded(run.count);
    return true;
  }
  discards_.store(false, std::memory_order_relaxed);
  // After another failure it is not known what has disk space, and Grow makes sure of it.
  if (failed == EOPNOTSUPP) own_->slots.Restore(run);
  *error << "discard:on: the disk space of free slots of the page file cannot be given back: "
         << ErrnoText{failed} << "; it stays the page file's from now on";
  return false;
}

PageCount PageFile::max_usable() const { return max_slots_ - own_->slots.bad(); }

SlotRun PageFile::AllocateRun(PageCount most) {
  const SlotRun run = own_->slots.AllocateRun(most);
  return run.count.value() == 0 ? run : SlotRun{run.first + PageCount(own_->base), run.count};
}

void PageFile::Free(SlotIndex first, PageCount count) {
  SlotFile& file = FileOf(first);
  file.slots.Free(file.Within(first), count);
  if (&file != own_ && file.slots.used() == PageCount(0)) file.LetGo();
}

void PageFile::Retire(SlotIndex slot) {
  SlotFile& file = FileOf(slot);
  file.slots.Retire(file.Within(slot));
  if (&file != own_ && file.slots.used() == PageCount(0)) file.LetGo();
}

int PageFile::DescriptorOf(SlotIndex slot) const {
  const SlotFile& file = FileOf(slot);
  const int borrowed = file.descriptor.load(std::memory_order_relaxed);
  return borrowed >= 0 ? borrowed : file_.descriptor();
}

Errno PageFile::Lend(SlotLoan* loan) {
  *loan = {};
  EndLoans();
  if (own_->slots.used() == own_->slots.kept()) return 0;
  int watched = -1;
  if (const Errno error = LifeLine::Make(&watched, &loan->held); error != 0) return error;
  if (own_->slots.Lend(watched) != 0) loan->watched = watched;
  return 0;
}

// A file of which the child reads nothing is not kept, nor are its numbers.
void PageFile::BorrowInChild(const SlotLoan& loan) {
  refuses_.store(false, std::memory_order_relaxed);
  new (&growth_lock_) Lock(LockRank::kPageFileGrowth);  // a thread that is not here may hold it
  own_->slots.BecomeBorrowed();
  own_->descriptor.store(Descriptors::KeepInChildren(file_.Detach()));
  own_->life_line.store(loan.held);
  if (loan.held < 0) own_->LetGo();
}

Errno PageFile::OpenInChild(LogLine* error) {
  // What was under way in the parent may have had the last of them.
  if (own_->slots.used() == PageCount(0)) own_->LetGo();
  SlotFile* older = own_;
  uint64_t base = uint64_t{own_->base} + own_->slots.end().value();
  while (older != nullptr && older->descriptor.load() < 0) {
    base = older->base;
    SlotFile* const unused = older;
    older = older->older;
    if (unused != &first_) ArenaDelete(unused);
  }
  if (older == nullptr) base = 0;
  SlotFile* made = gauges_ == nullptr ? ArenaNew<SlotFile>() : ArenaNew<SlotFile>(*gauges_);
  if (made != nullptr && base + max_slots_.value() < UINT32_MAX) {
    made->base = static_cast<uint32_t>(base);
    made->mark = {NowNanoseconds(), static_cast<uint32_t>(getpid())};
    made->older = older;
    own_ = made;
    if (PrepareSlots()) return file_.OpenInChild(error);
  }
  *error << "no memory to keep account of its page file, or too many generations of forks";
  return ENOMEM;
}

}  // namespace userpager
