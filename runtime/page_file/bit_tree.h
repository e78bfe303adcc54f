// BitTree: a set of small numbers as a bitmap with summaries above it (one bit a word of the level
// below), so that the next member is found in a handful of steps however large and however empty
// the set is.
#ifndef USERPAGER_PAGE_FILE_BIT_TREE_H_
#define USERPAGER_PAGE_FILE_BIT_TREE_H_

#include <cstdint>

#include "runtime/base/arena.h"
#include "runtime/base/types.h"

namespace userpager {

// Not thread-safe: its owner's lock protects it.
class BitTree {
 public:
  static constexpr uint64_t kNone = UINT64_MAX;

  // An empty set that can hold the numbers [0, size). `size` > 0. ENOMEM where there is no memory.
  Errno Init(uint64_t size);

  void Set(uint64_t number);
  void Clear(uint64_t number);
  bool Test(uint64_t number) const;
  // The smallest member that is not below `number`, else kNone.
  uint64_t FindFrom(uint64_t number) const;

 private:
  static constexpr unsigned kWordBits = 64;
  static constexpr unsigned kMostLevels = 6;  // 2^36 numbers

  // levels_[0] has a bit for each number; levels_[i + 1] one for each word of levels_[i], set where
  // the word is not 0. The last level in use is one word.
  ArenaArray<uint64_t> levels_[kMostLevels];
  unsigned level_count_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_BIT_TREE_H_
