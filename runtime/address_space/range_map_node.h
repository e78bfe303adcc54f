// The two kinds of nodes of a RangeMap (range_map_core.h) and the search and the moves inside one.
// A node is 512 bytes, eight cache lines: what is searched (the keys) stands together, apart from
// what is only read once the place is known.
//
// A key is the first page of an entry (leaf) or of the first entry below a child (inner node). Keys
// not in use are kNoKey, which is above every page, so the search always looks at the whole array:
// its number of steps is a constant, it has no branch to mispredict and it needs no count.
#ifndef USERPAGER_ADDRESS_SPACE_RANGE_MAP_NODE_H_
#define USERPAGER_ADDRESS_SPACE_RANGE_MAP_NODE_H_

#include <cstdint>
#include <cstring>

#include "runtime/base/types.h"

namespace userpager {

// Plain words: an array of them is moved with memmove and compared without a detour.
using RangeMapKey = uint64_t;
inline constexpr RangeMapKey kNoKey = ~RangeMapKey{0};
inline constexpr unsigned kRangeMapNodeBytes = 512;

// How many of the ascending keys are at or below `key`, which is below kNoKey. The last key of each
// whole segment tells which segment the place is in, then the keys of that segment are counted: two
// rounds of comparisons that do not wait for each other, where a binary search is a chain of five.
template <unsigned kSize>
inline unsigned CountAtOrBelow(const RangeMapKey (&keys)[kSize], RangeMapKey key) {
  constexpr unsigned kSegment = kSize > 24 ? 8 : 7;
  static_assert(kSize % kSegment == kSegment - 1, "the last segment is one key short");
  unsigned at = 0;
  for (unsigned last = kSegment - 1; last < kSize; last += kSegment) {
    at += kSegment * static_cast<unsigned>(keys[last] <= key);
  }
  unsigned count = at;
  for (unsigned i = 0; i < kSegment - 1; ++i) count += static_cast<unsigned>(keys[at + i] <= key);
  return count;
}

struct RangeMapNode {
  // Asks for all lines of the node at once: in a large map each of them may be far away, and a
  // search would wait for three of them in turn.
  void Prefetch() const {
    const char* line = reinterpret_cast<const char*>(this);
    for (unsigned at = 0; at < kRangeMapNodeBytes; at += 64) __builtin_prefetch(line + at);
  }

  uint64_t count = 0;
};

struct RangeMapLeaf : RangeMapNode {
  static constexpr unsigned kCapacity = 20;

  RangeMapLeaf() {
    for (RangeMapKey& key : keys) key = kNoKey;
  }
  // Copies n entries, key and all; the two places may overlap.
  static void Copy(RangeMapLeaf* to, uint64_t to_at, const RangeMapLeaf* from, uint64_t from_at,
                   uint64_t n) {
    memmove(to->keys + to_at, from->keys + from_at, n * sizeof(keys[0]));
    memmove(to->ends + to_at, from->ends + from_at, n * sizeof(ends[0]));
    memmove(to->values + to_at, from->values + from_at, n * sizeof(values[0]));
  }

  RangeMapLeaf* next = nullptr;  // the leaf above this one, whoever its parent is
  RangeMapKey keys[kCapacity];
  uint64_t ends[kCapacity] = {};
  void* values[kCapacity] = {};
};

struct RangeMapInner : RangeMapNode {
  static constexpr unsigned kCapacity = 31;

  RangeMapInner() {
    for (RangeMapKey& key : keys) key = kNoKey;
  }
  static void Copy(RangeMapInner* to, uint64_t to_at, const RangeMapInner* from, uint64_t from_at,
                   uint64_t n) {
    memmove(to->keys + to_at, from->keys + from_at, n * sizeof(keys[0]));
    memmove(to->children + to_at, from->children + from_at, n * sizeof(children[0]));
  }
  // The child below which `key` is, or would be; a key below all of them belongs to the first.
  unsigned SlotOf(RangeMapKey key) const {
    const unsigned at_or_below = CountAtOrBelow(keys, key);
    return at_or_below - static_cast<unsigned>(at_or_below > 0);
  }

  RangeMapKey keys[kCapacity];
  RangeMapNode* children[kCapacity] = {};
};

static_assert(sizeof(RangeMapLeaf) <= kRangeMapNodeBytes);
static_assert(sizeof(RangeMapInner) <= kRangeMapNodeBytes);

// A node is never below this but at the left and right edge of the tree. Well under half, so that
// entries that come and go at one place do not split and join the same node again and again.
template <typename Node>
inline constexpr unsigned kFewest = Node::kCapacity / 4;

// Makes room for one entry at `at`; the caller fills it.
template <typename Node>
void OpenGap(Node* node, uint64_t at) {
  Node::Copy(node, at + 1, node, at, node->count - at);
  ++node->count;
}

template <typename Node>
void RemoveAt(Node* node, uint64_t at) {
  Node::Copy(node, at, node, at + 1, node->count - at - 1);
  --node->count;
  node->keys[node->count] = kNoKey;
}

// Moves all entries of `left` from `keep` on to the front of `right`.
template <typename Node>
void MoveTail(Node* left, uint64_t keep, Node* right) {
  const uint64_t n = left->count - keep;
  Node::Copy(right, n, right, 0, right->count);
  Node::Copy(right, 0, left, keep, n);
  right->count += n;
  for (uint64_t i = keep; i < left->count; ++i) left->keys[i] = kNoKey;
  left->count = keep;
}

// Moves the first n entries of `right` to the end of `left`.
template <typename Node>
void MoveHead(Node* left, Node* right, uint64_t n) {
  Node::Copy(left, left->count, right, 0, n);
  Node::Copy(right, 0, right, n, right->count - n);
  left->count += n;
  for (uint64_t i = right->count - n; i < right->count; ++i) right->keys[i] = kNoKey;
  right->count -= n;
}

// Joins two neighbours in the left one if they fit, else gives each half. True if `right` is empty.
template <typename Node>
bool JoinOrEven(Node* left, Node* right) {
  const uint64_t total = left->count + right->count;
  if (total <= Node::kCapacity) {
    MoveHead(left, right, right->count);
    return true;
  }
  const uint64_t half = total / 2;
  if (left->count > half) {
    MoveTail(left, half, right);
  } else {
    MoveHead(left, right, half - left->count);
  }
  return false;
}

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_RANGE_MAP_NODE_H_
