// RangeMap<T>: disjoint ranges of pages, each with a T* that the map does not own. The one
// structure behind both the VadTree and a shard's index of stripes.
//
// It is a B+-tree with nodes of 512 bytes from the metadata arena: the first thing that every fault
// does is a look-up here, and a look-up costs the cache lines that it reads and the branches that
// it mispredicts. range_map_core.h has the tree, range_map_node.h the nodes and the search.
//
// Not thread-safe: the caller's lock covers it (kVadTree, or the shard's). Const functions may run
// beside each other. No function throws, allocates with malloc, or touches the T behind a pointer.
#ifndef USERPAGER_ADDRESS_SPACE_RANGE_MAP_H_
#define USERPAGER_ADDRESS_SPACE_RANGE_MAP_H_

#include <cstddef>

#include "runtime/address_space/range_map_core.h"
#include "runtime/base/types.h"

namespace userpager {

template <typename T>
class RangeMap {
 public:
  // `value` is nullptr where there is no such entry.
  struct Entry {
    PageRange range;
    T* value = nullptr;
  };

  RangeMap() = default;
  RangeMap(const RangeMap&) = delete;
  RangeMap& operator=(const RangeMap&) = delete;

  // Adds an entry; `range` is not empty and `value` not nullptr. EEXIST: it overlaps an entry.
  // ENOMEM: the arena has no memory. Nothing has changed after an error.
  [[nodiscard]] Errno Insert(PageRange range, T* value) { return core_.Insert(range, value); }
  // Removes the entry that begins exactly at `begin`; nullptr if there is none. Needs no memory.
  T* Erase(PageIndex begin) { return static_cast<T*>(core_.Erase(begin)); }
  // Gives the entry that begins exactly at `begin` another range, which is not empty. False, with
  // nothing changed, if there is no such entry or a neighbour is in the way. Needs no memory.
  [[nodiscard]] bool Resize(PageIndex begin, PageRange new_range) {
    return core_.Resize(begin, new_range);
  }

  // The entry whose range contains `page`.
  T* Find(PageIndex page) const { return static_cast<T*>(core_.Find(page)); }
  // The first entry that ends above `page`: the one that contains it, or the next one above.
  Entry FindAtOrAfter(PageIndex page) const { return Typed(core_.FindAtOrAfter(page)); }
  // The last entry that begins below `page`.
  Entry FindBefore(PageIndex page) const { return Typed(core_.FindBefore(page)); }

  size_t size() const { return core_.size(); }
  // Walks the whole map; false, with a line on standard error, if an invariant is broken.
  bool CheckConsistency() const { return core_.CheckConsistency(); }

 private:
  friend class RangeMapTestPeer;

  static Entry Typed(const RangeMapCore::Entry& entry) {
    return {entry.range, static_cast<T*>(entry.value)};
  }

  RangeMapCore core_;
};

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_RANGE_MAP_H_
