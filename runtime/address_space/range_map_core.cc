#include "runtime/address_space/range_map_core.h"

#include <errno.h>

#include <type_traits>
#include <utility>

#include "runtime/base/arena.h"
#include "runtime/base/check.h"

namespace userpager {

// The nodes that one insertion will need, taken before it changes anything; what is left over goes
// back.
struct RangeMapCore::Spares {
  RangeMapLeaf* leaf = nullptr;
  RangeMapInner* inners[kMaxHeight + 1];
  unsigned inner_count = 0;

  Spares() = default;
  Spares(const Spares&) = delete;
  Spares& operator=(const Spares&) = delete;
  ~Spares() {
    ArenaDelete(leaf);
    while (inner_count > 0) ArenaDelete(TakeInner());
  }
  RangeMapLeaf* TakeLeaf() { return std::exchange(leaf, nullptr); }
  RangeMapInner* TakeInner() { return inners[--inner_count]; }
  bool AddInner() {
    inners[inner_count] = ArenaNew<RangeMapInner>();
    if (inners[inner_count] == nullptr) return false;
    ++inner_count;
    return true;
  }
};

RangeMapCore::~RangeMapCore() {
  if (root_ != nullptr) FreeBelow(root_, height_);
}

void RangeMapCore::FreeBelow(RangeMapNode* node, unsigned height) {
  if (height == 0) {
    ArenaDelete(static_cast<RangeMapLeaf*>(node));
    return;
  }
  auto* inner = static_cast<RangeMapInner*>(node);
  for (uint64_t i = 0; i < inner->count; ++i) FreeBelow(inner->children[i], height - 1);
  ArenaDelete(inner);
}

RangeMapCore::Entry RangeMapCore::EntryAt(const RangeMapLeaf* leaf, uint64_t at) {
  return {PageRange(PageIndex(leaf->keys[at]), PageIndex(leaf->ends[at])), leaf->values[at]};
}

RangeMapLeaf* RangeMapCore::Descend(RangeMapKey key, Path* path) {
  RangeMapNode* node = root_;
  for (unsigned level = height_; level > 0; --level) {
    auto* inner = static_cast<RangeMapInner*>(node);
    const unsigned slot = inner->SlotOf(key);
    path->steps[level - 1] = {inner, slot};
    node = inner->children[slot];
    node->Prefetch();
  }
  return static_cast<RangeMapLeaf*>(node);
}

// The leaf's first entry begins at `key` now: so do all the subtrees that it is the first entry of.
void RangeMapCore::SetFirstKey(const Path& path, RangeMapKey key) {
  for (unsigned level = 0; level < height_; ++level) {
    path.steps[level].node->keys[path.steps[level].slot] = key;
    if (path.steps[level].slot > 0) return;
  }
}

RangeMapCore::Entry RangeMapCore::FindAtOrAfter(PageIndex page) const {
  const Place place = PlaceOf(KeyOf(page));
  if (place.leaf == nullptr) return {};
  const unsigned next = place.at_or_below;
  if (next > 0 && place.leaf->ends[next - 1] > page.value()) return EntryAt(place.leaf, next - 1);
  if (next < place.leaf->count) return EntryAt(place.leaf, next);
  return place.leaf->next == nullptr ? Entry{} : EntryAt(place.leaf->next, 0);
}

RangeMapCore::Entry RangeMapCore::FindBefore(PageIndex page) const {
  if (page == PageIndex(0)) return {};
  const Place place = PlaceOf(KeyOf(page - PageCount(1)));
  return place.at_or_below == 0 ? Entry{} : EntryAt(place.leaf, place.at_or_below - 1);
}

Errno RangeMapCore::Insert(PageRange range, void* value) {
  USERPAGER_CHECK(!range.empty(), "an empty range was inserted into a map", range.begin.value());
  USERPAGER_CHECK(value != nullptr, "a range was inserted with nothing", range.begin.value());
  const RangeMapKey key = range.begin.value();
  if (root_ == nullptr) {
    root_ = ArenaNew<RangeMapLeaf>();
    if (root_ == nullptr) return ENOMEM;
  }
  Path path;
  RangeMapLeaf* leaf = Descend(key, &path);
  uint64_t at = CountAtOrBelow(leaf->keys, key);
  if (at > 0 && leaf->ends[at - 1] > key) return EEXIST;
  const RangeMapLeaf* follower = at < leaf->count ? leaf : leaf->next;
  if (follower != nullptr && follower->keys[follower == leaf ? at : 0] < range.end.value()) {
    return EEXIST;
  }

  // Runs of ascending or descending insertions leave full nodes behind them.
  const bool at_end = at == leaf->count && leaf->next == nullptr;
  const Growth growth = at == 0  ? Growth::kDescending
                        : at_end ? Growth::kAscending
                                 : Growth::kInside;
  Spares spares;
  if (leaf->count == RangeMapLeaf::kCapacity && !TakeSpares(path, &spares)) return ENOMEM;
  // Nothing fails from here on. By invariant 2, place 0 is the very first of the map.
  if (at == 0) SetFirstKey(path, key);
  RangeMapLeaf* right = nullptr;
  if (leaf->count == RangeMapLeaf::kCapacity) {
    right = spares.TakeLeaf();
    right->next = leaf->next;
    leaf->next = right;
    MoveTail(leaf, KeepOnSplit<RangeMapLeaf>(growth), right);
  }
  const bool goes_right = right != nullptr && (at > leaf->count || growth == Growth::kAscending);
  RangeMapLeaf* target = goes_right ? right : leaf;
  if (goes_right) at -= leaf->count;
  OpenGap(target, at);
  target->keys[at] = key;
  target->ends[at] = range.end.value();
  target->values[at] = value;
  ++size_;
  if (right != nullptr) AddChild(path, right, right->keys[0], growth, &spares);
  return 0;
}

// What a full node keeps when the entries behind it move to a new one.
template <typename Node>
uint64_t RangeMapCore::KeepOnSplit(Growth growth) {
  // When the new entry has come, both inner nodes have 2 children; a leaf may be empty until then.
  constexpr uint64_t kMargin = std::is_same_v<Node, RangeMapInner> ? 1 : 0;
  switch (growth) {
    case Growth::kAscending: return Node::kCapacity - kMargin;
    case Growth::kDescending: return kMargin;
    case Growth::kInside: break;
  }
  return Node::kCapacity / 2;
}

bool RangeMapCore::TakeSpares(const Path& path, Spares* spares) const {
  spares->leaf = ArenaNew<RangeMapLeaf>();
  if (spares->leaf == nullptr) return false;
  unsigned level = 0;
  for (; level < height_ && path.steps[level].node->count == RangeMapInner::kCapacity; ++level) {
    if (!spares->AddInner()) return false;
  }
  return level < height_ || spares->AddInner();  // all are full: the root gets a parent
}

// Puts a new node behind the one that `path` leads to, and splits what is full above it.
void RangeMapCore::AddChild(const Path& path, RangeMapNode* child, RangeMapKey key, Growth growth,
                            Spares* spares) {
  for (unsigned level = 0; level < height_; ++level) {
    RangeMapInner* left = path.steps[level].node;
    uint64_t slot = path.steps[level].slot + 1;
    RangeMapInner* right = nullptr;
    if (left->count == RangeMapInner::kCapacity) {
      right = spares->TakeInner();
      MoveTail(left, KeepOnSplit<RangeMapInner>(growth), right);
    }
    const bool goes_right = slot > left->count;
    RangeMapInner* target = goes_right ? right : left;
    if (goes_right) slot -= left->count;
    OpenGap(target, slot);
    target->keys[slot] = key;
    target->children[slot] = child;
    if (right == nullptr) return;
    child = right;
    key = right->keys[0];
  }
  USERPAGER_CHECK(height_ < kMaxHeight, "a range map grew higher than it can", height_);
  RangeMapInner* root = spares->TakeInner();
  root->count = 2;
  root->keys[0] = FirstKeyOf(root_, height_);
  root->children[0] = root_;
  root->keys[1] = key;
  root->children[1] = child;
  root_ = root;
  ++height_;
}

RangeMapKey RangeMapCore::FirstKeyOf(const RangeMapNode* node, unsigned height) {
  return height == 0 ? static_cast<const RangeMapLeaf*>(node)->keys[0]
                     : static_cast<const RangeMapInner*>(node)->keys[0];
}

void* RangeMapCore::Erase(PageIndex begin) {
  if (root_ == nullptr) return nullptr;
  const RangeMapKey key = KeyOf(begin);
  Path path;
  RangeMapLeaf* leaf = Descend(key, &path);
  const unsigned at_or_below = CountAtOrBelow(leaf->keys, key);
  if (at_or_below == 0 || leaf->keys[at_or_below - 1] != begin.value()) return nullptr;
  const unsigned at = at_or_below - 1;
  void* value = leaf->values[at];
  RemoveAt(leaf, at);
  --size_;
  if (height_ == 0) {
    if (leaf->count > 0) return value;
    ArenaDelete(leaf);
    root_ = nullptr;
    return value;
  }
  if (at == 0) {
    // A leaf can only run empty at an edge of the tree: at the left one it will be joined with the
    // leaf after it; at the right one it disappears, and so does its key.
    const RangeMapLeaf* first = leaf->count > 0 ? leaf : leaf->next;
    if (first != nullptr) SetFirstKey(path, first->keys[0]);
  }
  if (leaf->count < kFewest<RangeMapLeaf>) Rebalance(path);
  return value;
}

// The leaf that `path` leads to has too few entries. Joining takes a child from its parent, which
// may then have too few itself.
void RangeMapCore::Rebalance(const Path& path) {
  JoinChild<RangeMapLeaf>(path.steps[0].node, path.steps[0].slot);
  for (unsigned level = 0; level + 1 < height_; ++level) {
    if (path.steps[level].node->count >= kFewest<RangeMapInner>) return;
    JoinChild<RangeMapInner>(path.steps[level + 1].node, path.steps[level + 1].slot);
  }
  RangeMapInner* root = path.steps[height_ - 1].node;
  if (root->count > 1) return;
  root_ = root->children[0];
  --height_;
  ArenaDelete(root);
}

// Joins or evens the child at `slot` with the one after it, or before it if it is the last.
template <typename Node>
void RangeMapCore::JoinChild(RangeMapInner* parent, unsigned slot) {
  const unsigned left_slot = slot + 1 < parent->count ? slot : slot - 1;
  auto* left = static_cast<Node*>(parent->children[left_slot]);
  auto* right = static_cast<Node*>(parent->children[left_slot + 1]);
  if (!JoinOrEven(left, right)) {
    parent->keys[left_slot + 1] = right->keys[0];
    return;
  }
  if constexpr (std::is_same_v<Node, RangeMapLeaf>) left->next = right->next;
  ArenaDelete(right);
  RemoveAt(parent, left_slot + 1);
}

bool RangeMapCore::Resize(PageIndex begin, PageRange new_range) {
  USERPAGER_CHECK(!new_range.empty(), "an entry was resized to nothing", begin.value());
  if (root_ == nullptr) return false;
  const RangeMapKey key = KeyOf(begin);
  Path path;
  RangeMapLeaf* leaf = Descend(key, &path);
  const unsigned at_or_below = CountAtOrBelow(leaf->keys, key);
  if (at_or_below == 0 || leaf->keys[at_or_below - 1] != begin.value()) return false;
  const unsigned at = at_or_below - 1;
  const uint64_t end_before = at > 0 ? leaf->ends[at - 1] : FindBefore(begin).range.end.value();
  if (new_range.begin.value() < end_before) return false;
  const RangeMapLeaf* follower = at_or_below < leaf->count ? leaf : leaf->next;
  if (follower != nullptr &&
      follower->keys[follower == leaf ? at_or_below : 0] < new_range.end.value()) {
    return false;
  }
  leaf->keys[at] = new_range.begin.value();
  leaf->ends[at] = new_range.end.value();
  if (at == 0) SetFirstKey(path, new_range.begin.value());
  return true;
}

}  // namespace userpager
