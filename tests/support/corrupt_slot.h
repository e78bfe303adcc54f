// What a disk does that goes bad without a word.
#ifndef USERPAGER_TESTS_SUPPORT_CORRUPT_SLOT_H_
#define USERPAGER_TESTS_SUPPORT_CORRUPT_SLOT_H_

#include <unistd.h>

#include "gtest/gtest.h"
#include "runtime/page_file/page_file.h"

namespace userpager {

// Turns one bit of what the slot holds; done twice, it holds again what it did. A fatal test
// failure where it cannot. Whole pages, as the file may be open for direct I/O.
inline void CorruptSlot(const PageFile& file, SlotIndex slot) {
  const auto at = static_cast<off_t>(file.OffsetOf(slot));
  alignas(kPageBytes) char content[kPageBytes];
  ASSERT_EQ(pread(file.descriptor(), content, kPageBytes, at), ssize_t{kPageBytes});
  content[1000] ^= 0x10;
  ASSERT_EQ(pwrite(file.descriptor(), content, kPageBytes, at), ssize_t{kPageBytes});
}

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_CORRUPT_SLOT_H_
