#include "runtime/page_file/bit_tree.h"

#include <errno.h>

#include <bit>
#include <utility>

#include "runtime/base/check.h"

namespace userpager {

Errno BitTree::Init(uint64_t size) {
  uint64_t words = size;
  level_count_ = 0;
  do {
    USERPAGER_CHECK(level_count_ < kMostLevels, "a bit tree is asked to hold too many", size);
    words = (words + kWordBits - 1) / kWordBits;
    levels_[level_count_] = ArenaArray<uint64_t>(words);
    if (!levels_[level_count_].ok()) return ENOMEM;
    ++level_count_;
  } while (words > 1);
  return 0;
}

void BitTree::Set(uint64_t number) {
  for (unsigned level = 0; level < level_count_; ++level) {
    uint64_t& word = levels_[level][number / kWordBits];
    const uint64_t before = word;
    word |= uint64_t{1} << (number % kWordBits);
    if (before != 0) return;
    number /= kWordBits;
  }
}

void BitTree::Clear(uint64_t number) {
  for (unsigned level = 0; level < level_count_; ++level) {
    uint64_t& word = levels_[level][number / kWordBits];
    word &= ~(uint64_t{1} << (number % kWordBits));
    if (word != 0) return;
    number /= kWordBits;
  }
}

bool BitTree::Test(uint64_t number) const {
  return (levels_[0][number / kWordBits] >> (number % kWordBits) & 1) != 0;
}

uint64_t BitTree::FindFrom(uint64_t number) const {
  for (unsigned level = 0; level < level_count_; ++level) {
    const uint64_t index = number / kWordBits;
    if (index >= levels_[level].size()) return kNone;
    const uint64_t rest = levels_[level][index] >> (number % kWordBits);
    if (rest != 0) {
      number += static_cast<uint64_t>(std::countr_zero(rest));
      while (level > 0) {
        --level;
        number = number * kWordBits +
                 static_cast<uint64_t>(std::countr_zero(levels_[level][number]));
      }
      return number;
    }
    // Nothing more in this word: the level above knows the next one that is not empty.
    number = index + 1;
  }
  return kNone;
}

}  // namespace userpager
