#include "runtime/pager/read_install.h"

#include "runtime/base/sync_point.h"
#include "runtime/page_file/checksum.h"

namespace userpager {

bool IsIntact(PagePlatform& platform, const PageFile& file, PageIndex memory, SlotIndex slot) {
  return Crc32c(platform.Peek(memory), kPageBytes) == file.checksum(slot);
}

void ReadInstall::Add(const Transfer& transfer, unsigned i, const Stripe& stripe, PageIndex memory,
                      bool writable) {
  Read& read = reads_[read_count_ - 1];
  if (read.part_count > 0) {
    Part& last = parts_[part_count_ - 1];
    if (last.first + last.count == i && last.count < kPartPages && last.writable == writable &&
        last.stripe == &stripe && transfer.pages[i] == transfer.pages[i - 1] + PageCount(1)) {
      ++last.count;
      return;
    }
  }
  if (part_count_ == HelperThread::kMostParts) return;
  parts_[part_count_++] = {&transfer, &stripe, memory, i, 1, writable, false, 0};
  ++read.part_count;
  read.end_part = part_count_;
}

// Up to the first page that is not what was written.
void ReadInstall::Do(void* install, unsigned part) {
  auto& self = *static_cast<ReadInstall*>(install);
  Part& own = self.parts_[part];
  if (own.wakes_first) {
    self.platform_.Wake(PageRange(own.transfer->pages[own.first], PageCount(own.count)));
    USERPAGER_SYNC_POINT("page_in:woken_first", AddressOf(own.transfer->pages[own.first]));
  }
  unsigned intact = 0;
  while (intact < own.count && IsIntact(self.platform_, self.file_, own.memory + PageCount(intact),
                                        own.transfer->slot(own.first + intact))) {
    ++intact;
  }
  if (intact == 0) return;
  const RunResult copied = self.platform_.Copy(
      own.transfer->pages[own.first], self.platform_.Peek(own.memory), PageCount(intact),
      own.writable ? InstallMode::kWritable : InstallMode::kWriteProtected, WakeMode::kWake);
  own.done = static_cast<unsigned>(copied.done.value());
}

}  // namespace userpager
