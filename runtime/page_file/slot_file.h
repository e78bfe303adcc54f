// SlotFile: one file of slots with what is known of them in memory: the process's own page file, or
// one of an ancestor's, which a forked child reads as long as it has pages there. Slot numbers run
// on from file to file: number `base + i` is slot i of the file.
#ifndef USERPAGER_PAGE_FILE_SLOT_FILE_H_
#define USERPAGER_PAGE_FILE_SLOT_FILE_H_

#include <atomic>
#include <cstdint>

#include "runtime/base/arena.h"
#include "runtime/base/types.h"
#include "runtime/page_file/slot_cipher.h"
#include "runtime/page_file/slot_map.h"
#include "runtime/platform/descriptors.h"

namespace userpager {

struct SlotFile {
  SlotFile() = default;
  explicit SlotFile(SlotGauges& gauges) : slots(gauges) {}

  bool Has(SlotIndex slot) const { return slot.value() >= base; }
  SlotIndex Within(SlotIndex slot) const { return SlotIndex(slot.value() - base); }
  // Of an ancestor's file: the process neither reads it nor keeps its slots any more. From any
  // thread, when none of its slots is in use.
  void LetGo() {
    Descriptors::Close(descriptor.exchange(-1));
    Descriptors::Close(life_line.exchange(-1));
  }

  uint32_t base = 0;
  FileMark mark;  // of what is encrypted
  SlotMap slots;
  ArenaArray<uint32_t> checksums;  // of the content of each slot
  // Of an ancestor's file alone.
  std::atomic<int> descriptor{-1};
  std::atomic<int> life_line{-1};  // LifeLine: the held end
  SlotFile* older = nullptr;       // with smaller numbers
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_SLOT_FILE_H_
