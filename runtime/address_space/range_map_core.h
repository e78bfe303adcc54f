// RangeMapCore: the B+-tree behind RangeMap<T>, with void* for T* so that there is one copy of its
// code. Its functions are those of RangeMap (range_map.h), where the contract is.
//
// Invariants (CheckConsistency walks all of them):
//   1. Entries are not empty, do not overlap and ascend, within a leaf and from leaf to leaf.
//   2. The key of a child is exactly the first page of the first entry below it. So the last entry
//      that begins at or below a page is in the leaf that the descent for this page ends in, and a
//      leaf needs no link to the one before it.
//   3. Keys that are not in use are kNoKey.
//   4. A node has at most its capacity and at least kFewest. At the left and right edge of the
//      tree, where runs of descending or ascending insertions leave full nodes behind, a leaf has
//      at least 1 entry and an inner node 2 children; so has the root.
//   5. All leaves are at one depth, and `next` links them in order.
//   6. Without entries there is no node.
// Memory: Insert takes all the nodes that it will need before it changes anything.
// Locks:  none; the caller's lock covers the map.
#ifndef USERPAGER_ADDRESS_SPACE_RANGE_MAP_CORE_H_
#define USERPAGER_ADDRESS_SPACE_RANGE_MAP_CORE_H_

#include <algorithm>
#include <cstddef>

#include "runtime/address_space/range_map_node.h"
#include "runtime/base/types.h"

namespace userpager {

class RangeMapCore {
 public:
  struct Entry {
    PageRange range;
    void* value = nullptr;
  };

  RangeMapCore() = default;
  ~RangeMapCore();
  RangeMapCore(const RangeMapCore&) = delete;
  RangeMapCore& operator=(const RangeMapCore&) = delete;

  Errno Insert(PageRange range, void* value);
  void* Erase(PageIndex begin);
  bool Resize(PageIndex begin, PageRange new_range);
  // In the header: it is the first thing that every fault does.
  void* Find(PageIndex page) const {
    const Place place = PlaceOf(KeyOf(page));
    if (place.at_or_below == 0) return nullptr;
    const unsigned at = place.at_or_below - 1;
    return place.leaf->ends[at] > page.value() ? place.leaf->values[at] : nullptr;
  }
  Entry FindAtOrAfter(PageIndex page) const;
  Entry FindBefore(PageIndex page) const;
  size_t size() const { return size_; }
  bool CheckConsistency() const;

 private:
  friend class RangeMapTestPeer;

  // At 7 children of 31 a level, the fewest inside the tree, 12 levels hold more entries than there
  // are units of allocation in an address space of 48 bits.
  static constexpr unsigned kMaxHeight = 12;

  // The way from the root to a leaf: level 0 is the parent of the leaf. One array and not two: with
  // two, the optimiser of g++ 12 loses the stores of Descend.
  struct Step {
    RangeMapInner* node;
    unsigned slot;
  };
  struct Path {
    Step steps[kMaxHeight];
  };
  struct Place {
    const RangeMapLeaf* leaf;
    unsigned at_or_below;  // how many of the leaf's entries begin at or below the key
  };
  // Where an insertion goes: before all entries, behind all, or between two.
  enum class Growth : uint8_t { kDescending, kAscending, kInside };
  struct Spares;
  struct Edges;
  struct Walk;

  static RangeMapKey KeyOf(PageIndex page) { return std::min(page.value(), kNoKey - 1); }
  static Entry EntryAt(const RangeMapLeaf* leaf, uint64_t at);

  Place PlaceOf(RangeMapKey key) const {
    if (root_ == nullptr) return {nullptr, 0};
    const RangeMapNode* node = root_;
    for (unsigned level = height_; level > 0; --level) {
      const auto* inner = static_cast<const RangeMapInner*>(node);
      node = inner->children[inner->SlotOf(key)];
      node->Prefetch();
    }
    const auto* leaf = static_cast<const RangeMapLeaf*>(node);
    return {leaf, CountAtOrBelow(leaf->keys, key)};
  }
  RangeMapLeaf* Descend(RangeMapKey key, Path* path);
  void SetFirstKey(const Path& path, RangeMapKey key);

  template <typename Node>
  static uint64_t KeepOnSplit(Growth growth);
  bool TakeSpares(const Path& path, Spares* spares) const;
  void AddChild(const Path& path, RangeMapNode* child, RangeMapKey key, Growth growth,
                Spares* spares);
  void Rebalance(const Path& path);
  template <typename Node>
  void JoinChild(RangeMapInner* parent, unsigned slot);

  static RangeMapKey FirstKeyOf(const RangeMapNode* node, unsigned height);
  static void FreeBelow(RangeMapNode* node, unsigned height);
  // range_map_check.cc
  static bool CheckLeaf(const RangeMapLeaf* leaf, Walk* walk);
  static bool CheckInner(const RangeMapInner* inner, unsigned height, Edges edges, Walk* walk);
  static bool CheckBelow(const RangeMapNode* node, unsigned height, Edges edges, Walk* walk);

  RangeMapNode* root_ = nullptr;
  unsigned height_ = 0;  // levels of inner nodes
  size_t size_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_RANGE_MAP_CORE_H_
