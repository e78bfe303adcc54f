// The walk of RangeMapCore::CheckConsistency over the invariants of range_map_core.h.
#include "runtime/address_space/range_map_core.h"
#include "runtime/base/log_line.h"

namespace userpager {
namespace {

bool Broken(const char* rule, uint64_t value) {
  LogLine line;
  line << "a range map is inconsistent: " << rule << " (at " << Hex{value} << ")";
  line.Write();
  return false;
}

template <typename Node>
bool UnusedKeysAreNone(const Node* node) {
  for (uint64_t i = node->count; i < Node::kCapacity; ++i) {
    if (node->keys[i] != kNoKey) return false;
  }
  return true;
}

}  // namespace

// Which edges of the tree a node is at.
struct RangeMapCore::Edges {
  bool left;
  bool right;

  bool any() const { return left || right; }
};

// What the walk, in the order of addresses, has seen so far.
struct RangeMapCore::Walk {
  uint64_t last_end = 0;
  size_t entries = 0;
  const RangeMapLeaf* last_leaf = nullptr;
};

bool RangeMapCore::CheckLeaf(const RangeMapLeaf* leaf, Walk* walk) {
  if (walk->last_leaf != nullptr && walk->last_leaf->next != leaf) {
    return Broken("5, a leaf is not linked to the one after it", walk->last_end);
  }
  for (uint64_t i = 0; i < leaf->count; ++i) {
    if (leaf->keys[i] < walk->last_end) {
      return Broken("1, an entry begins before the end of another", leaf->keys[i]);
    }
    if (leaf->ends[i] <= leaf->keys[i]) return Broken("1, an entry is empty", leaf->keys[i]);
    if (leaf->values[i] == nullptr) return Broken("1, an entry has no value", leaf->keys[i]);
    walk->last_end = leaf->ends[i];
  }
  walk->entries += leaf->count;
  walk->last_leaf = leaf;
  return true;
}

bool RangeMapCore::CheckInner(const RangeMapInner* inner, unsigned height, Edges edges,
                              Walk* walk) {
  for (uint64_t i = 0; i < inner->count; ++i) {
    const Edges below = {edges.left && i == 0, edges.right && i + 1 == inner->count};
    const RangeMapNode* child = inner->children[i];
    if (!CheckBelow(child, height - 1, below, walk)) return false;
    if (inner->keys[i] != FirstKeyOf(child, height - 1)) {
      return Broken("2, a key is not where its child begins", inner->keys[i]);
    }
  }
  return true;
}

bool RangeMapCore::CheckBelow(const RangeMapNode* node, unsigned height, Edges edges, Walk* walk) {
  const uint64_t capacity = height == 0 ? RangeMapLeaf::kCapacity : RangeMapInner::kCapacity;
  const uint64_t inside = height == 0 ? kFewest<RangeMapLeaf> : kFewest<RangeMapInner>;
  const uint64_t edge = height == 0 ? 1 : 2;
  if (node->count > capacity) return Broken("4, a node has too many entries", node->count);
  if (node->count < (edges.any() ? edge : inside)) {
    return Broken("4, a node has too few entries", node->count);
  }
  if (height == 0) {
    const auto* leaf = static_cast<const RangeMapLeaf*>(node);
    if (!UnusedKeysAreNone(leaf)) return Broken("3, an unused key of a leaf", leaf->keys[0]);
    return CheckLeaf(leaf, walk);
  }
  const auto* inner = static_cast<const RangeMapInner*>(node);
  if (!UnusedKeysAreNone(inner)) return Broken("3, an unused key of a node", inner->keys[0]);
  return CheckInner(inner, height, edges, walk);
}

bool RangeMapCore::CheckConsistency() const {
  if (root_ == nullptr) {
    return size_ == 0 && height_ == 0 ? true : Broken("6, entries without a node", size_);
  }
  Walk walk;
  if (!CheckBelow(root_, height_, {true, true}, &walk)) return false;
  if (walk.last_leaf->next != nullptr) return Broken("5, a leaf behind the last", walk.last_end);
  return walk.entries == size_ ? true : Broken("6, entries were miscounted", walk.entries);
}

}  // namespace userpager
