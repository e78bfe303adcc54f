#include "runtime/page_file/slot_map.h"

#include <errno.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "runtime/base/check.h"

namespace userpager {
namespace {

constexpr uint64_t kClusterSlots = 64;
constexpr uint64_t kAll = ~uint64_t{0};
// How many clusters are looked at for the best run once no cluster is free as a whole.
constexpr unsigned kClustersSearched = 16;

// The part of a run that lies in one cluster.
struct Piece {
  uint64_t cluster;
  uint64_t mask;
  uint64_t slots;
};

// The first piece of the run [first, first + count).
Piece FirstPiece(uint64_t first, uint64_t count) {
  const uint64_t shift = first % kClusterSlots;
  const uint64_t slots = std::min(count, kClusterSlots - shift);
  return {first / kClusterSlots, (kAll >> (kClusterSlots - slots)) << shift, slots};
}

uint64_t NextAround(const BitTree& clusters, uint64_t from) {
  const uint64_t found = clusters.FindFrom(from);
  return found != BitTree::kNone || from == 0 ? found : clusters.FindFrom(0);
}

uint64_t BitsOf(uint64_t mask) { return static_cast<uint64_t>(std::popcount(mask)); }

SlotIndex FirstSlotOf(uint64_t cluster) {
  return SlotIndex(static_cast<uint32_t>(cluster * kClusterSlots));
}

}  // namespace

Errno SlotMap::Init(PageCount max_slots) {
  USERPAGER_CHECK(max_slots <= kMostSlots, "a slot map is asked to hold too many slots",
                  max_slots.value());
  LockHolder hold(lock_);
  gauges_->most.store(max_slots.value(), std::memory_order_relaxed);
  const uint64_t clusters = (max_slots.value() + 1 + kClusterSlots - 1) / kClusterSlots;
  free_ = ArenaArray<uint64_t>(clusters);
  bad_ = ArenaArray<uint64_t>(clusters);
  if (!free_.ok() || !bad_.ok()) return ENOMEM;
  if (const Errno error = with_free_.Init(clusters); error != 0) return error;
  return all_free_.Init(clusters);
}

void SlotMap::Extend(SlotIndex end) {
  LockHolder hold(lock_);
  USERPAGER_CHECK(end >= end_ && (uint64_t{end.value()} + kClusterSlots - 1) / kClusterSlots <=
                                     free_.size(),
                  "a slot map is extended beyond its room, or shrunk", end.value());
  const uint64_t added = (end - end_).value();
  for (uint64_t slot = end_.value(); slot < end.value();) {
    const Piece piece = FirstPiece(slot, end.value() - slot);
    SetFree(piece.cluster, piece.mask);
    slot += piece.slots;
  }
  end_ = end;
  gauges_->usable.fetch_add(added, std::memory_order_relaxed);
}

SlotIndex SlotMap::end() const {
  LockHolder hold(lock_);
  return end_;
}

SlotRun SlotMap::AllocateRun(PageCount most) {
  LockHolder hold(lock_);
  if (most == PageCount(0) || used() == usable()) return {};
  const SlotRun run = FindRun(most);
  uint64_t slot = run.first.value();
  for (uint64_t left = run.count.value(); left > 0;) {
    const Piece piece = FirstPiece(slot, left);
    ClearFree(piece.cluster, piece.mask);
    slot += piece.slots;
    left -= piece.slots;
  }
  next_ = run.first + run.count;
  gauges_->used.fetch_add(run.count.value(), std::memory_order_relaxed);
  return run;
}

void SlotMap::Free(SlotIndex first, PageCount count) {
  LockHolder hold(lock_);
  USERPAGER_CHECK(first > kNoSlot && count.value() <= end_.value() - uint64_t{1} &&
                      first.value() <= end_.value() - count.value(),
                  "a slot is freed that does not exist", first.value());
  uint64_t slot = first.value();
  uint64_t freed = 0;
  for (uint64_t left = count.value(); left > 0;) {
    const Piece piece = FirstPiece(slot, left);
    USERPAGER_CHECK((NotInUse(piece.cluster) & piece.mask) == 0,
                    "a slot is freed that is not in use", slot);
    const uint64_t lent = loans_.Lent(piece.cluster) & piece.mask;
    if (lent != 0) {
      kept_[piece.cluster] |= lent;
      kept_count_.fetch_add(BitsOf(lent), std::memory_order_relaxed);
    }
    if (lent != piece.mask) SetFree(piece.cluster, piece.mask & ~lent);
    freed += BitsOf(piece.mask & ~lent);
    slot += piece.slots;
    left -= piece.slots;
  }
  gauges_->used.fetch_sub(freed, std::memory_order_relaxed);
}

uint64_t SlotMap::KeptOf(uint64_t cluster) const { return kept_.ok() ? kept_[cluster] : 0; }

uint64_t SlotMap::DiscardedOf(uint64_t cluster) const {
  return discarded_.ok() ? discarded_[cluster] : 0;
}

// The slots of the cluster that hold nothing for any page or transfer of the process's own.
uint64_t SlotMap::NotInUse(uint64_t cluster) const {
  return free_[cluster] | bad_[cluster] | KeptOf(cluster) | DiscardedOf(cluster);
}

SlotRun SlotMap::Discard(PageCount most) {
  LockHolder hold(lock_);
  if (most.value() < kClusterSlots) return {};
  if (!discarded_.ok()) discarded_ = ArenaArray<uint64_t>(free_.size());
  const uint64_t first = NextAround(all_free_, next_discard_);
  if (!discarded_.ok() || first == BitTree::kNone) return {};
  uint64_t cluster = first;
  const uint64_t end = std::min(free_.size(), first + most.value() / kClusterSlots);
  for (; cluster < end && free_[cluster] == kAll; ++cluster) {
    ClearFree(cluster, kAll);
    discarded_[cluster] = kAll;
  }
  next_discard_ = cluster < free_.size() ? cluster : 0;
  const uint64_t slots = (cluster - first) * kClusterSlots;
  discarded_count_.fetch_add(slots, std::memory_order_relaxed);
  gauges_->usable.fetch_sub(slots, std::memory_order_relaxed);
  return {FirstSlotOf(first), PageCount(slots)};
}

SlotRun SlotMap::FindDiscarded(PageCount most) const {
  LockHolder hold(lock_);
  if (discarded() == PageCount(0)) return {};
  uint64_t cluster = 0;
  while (discarded_[cluster] == 0) ++cluster;
  const auto shift = static_cast<uint64_t>(std::countr_zero(discarded_[cluster]));
  const SlotIndex first = FirstSlotOf(cluster) + PageCount(shift);
  uint64_t slots = 0;
  for (uint64_t slot = first.value();
       slots < most.value() && slot / kClusterSlots < discarded_.size() &&
       (discarded_[slot / kClusterSlots] >> slot % kClusterSlots & 1) != 0;
       ++slot) {
    ++slots;
  }
  return {first, PageCount(slots)};
}

void SlotMap::Restore(SlotRun run) {
  LockHolder hold(lock_);
  uint64_t slot = run.first.value();
  for (uint64_t left = run.count.value(); left > 0;) {
    const Piece piece = FirstPiece(slot, left);
    USERPAGER_CHECK((~DiscardedOf(piece.cluster) & piece.mask) == 0,
                    "a slot is restored that was not discarded", slot);
    discarded_[piece.cluster] &= ~piece.mask;
    SetFree(piece.cluster, piece.mask);
    slot += piece.slots;
    left -= piece.slots;
  }
  discarded_count_.fetch_sub(run.count.value(), std::memory_order_relaxed);
  gauges_->usable.fetch_add(run.count.value(), std::memory_order_relaxed);
}

// The slots of the cluster that the file has.
uint64_t SlotMap::Existing(uint64_t cluster) const {
  const uint64_t first = cluster * kClusterSlots;
  const uint64_t existing =
      first >= end_.value() ? 0 : FirstPiece(first, end_.value() - first).mask;
  return cluster == 0 ? existing & ~uint64_t{1} : existing;
}

Errno SlotMap::Lend(int life_line) {
  LockHolder hold(lock_);
  if (!kept_.ok()) kept_ = ArenaArray<uint64_t>(free_.size());
  const uint64_t clusters = (uint64_t{end_.value()} + kClusterSlots - 1) / kClusterSlots;
  ArenaArray<uint64_t> slots(clusters);
  uint64_t count = 0;
  if (!kept_.ok() || !slots.ok()) return ENOMEM;
  for (uint64_t cluster = 0; cluster < clusters; ++cluster) {
    const uint64_t owned = Existing(cluster) & ~NotInUse(cluster);
    count += BitsOf(owned);
    if (owned != 0) slots[cluster] = owned;  // what is not touched takes no memory
  }
  const Errno error = loans_.Add(std::move(slots), count, life_line);
  lent_count_.store(loans_.slots(), std::memory_order_relaxed);
  return error;
}

void SlotMap::EndLoans() {
  LockHolder hold(lock_);
  ArenaArray<uint64_t> ended;
  while (loans_.count() > 0 && loans_.TakeEnded(&ended)) {
    for (uint64_t cluster = 0; cluster < ended.size(); ++cluster) {
      const uint64_t kept = ended[cluster] & kept_[cluster];
      if (kept != 0) GiveUpKept(cluster, kept & ~loans_.Lent(cluster));
    }
  }
  lent_count_.store(loans_.slots(), std::memory_order_relaxed);
}

void SlotMap::GiveUpKept(uint64_t cluster, uint64_t mask) {
  if (mask == 0) return;
  kept_[cluster] &= ~mask;
  SetFree(cluster, mask);
  kept_count_.fetch_sub(BitsOf(mask), std::memory_order_relaxed);
  gauges_->used.fetch_sub(BitsOf(mask), std::memory_order_relaxed);
}

// What the gauges said is the parent's; what was kept was for others.
void SlotMap::BecomeBorrowed() {
  LockHolder hold(lock_);
  loans_.ForgetInChild();
  lent_count_.store(0, std::memory_order_relaxed);
  gauges_ = &own_;
  uint64_t free_slots = 0;
  uint64_t bad_slots = 0;
  for (uint64_t cluster = 0; cluster * kClusterSlots < end_.value(); ++cluster) {
    free_slots += BitsOf(free_[cluster]);
    bad_slots += BitsOf(bad_[cluster]);
  }
  own_.most.store(free_.size() * kClusterSlots - 1);
  const uint64_t usable_slots = end_.value() - 1 - bad_slots - discarded().value();
  own_.usable.store(usable_slots);
  own_.bad.store(bad_slots);
  own_.used.store(usable_slots - free_slots);
  for (uint64_t cluster = 0; cluster < kept_.size(); ++cluster) {
    if (kept_[cluster] != 0) GiveUpKept(cluster, kept_[cluster]);
  }
}

void SlotMap::Retire(SlotIndex slot) {
  LockHolder hold(lock_);
  USERPAGER_CHECK(slot > kNoSlot && slot < end_, "a slot is retired that does not exist",
                  slot.value());
  const Piece piece = FirstPiece(slot.value(), 1);
  USERPAGER_CHECK((NotInUse(piece.cluster) & piece.mask) == 0,
                  "a slot is retired that is not in use", slot.value());
  bad_[piece.cluster] |= piece.mask;
  gauges_->used.fetch_sub(1, std::memory_order_relaxed);
  gauges_->usable.fetch_sub(1, std::memory_order_relaxed);
  gauges_->bad.fetch_add(1, std::memory_order_relaxed);
}

void SlotMap::SetFree(uint64_t cluster, uint64_t mask) {
  free_[cluster] |= mask;
  with_free_.Set(cluster);
  if (free_[cluster] == kAll) all_free_.Set(cluster);
}

void SlotMap::ClearFree(uint64_t cluster, uint64_t mask) {
  if (free_[cluster] == kAll) all_free_.Clear(cluster);
  free_[cluster] &= ~mask;
  if (free_[cluster] == 0) with_free_.Clear(cluster);
}

// How many slots from `first` on are free, up to `most`.
PageCount SlotMap::RunLength(SlotIndex first, PageCount most) const {
  uint64_t slots = 0;
  uint64_t slot = first.value();
  while (slots < most.value() && slot / kClusterSlots < free_.size()) {
    const uint64_t shift = slot % kClusterSlots;
    const uint64_t ones =
        static_cast<uint64_t>(std::countr_one(free_[slot / kClusterSlots] >> shift));
    slots += ones;
    if (ones < kClusterSlots - shift) break;
    slot += ones;
  }
  return std::min(PageCount(slots), most);
}

// At least one slot is free.
SlotRun SlotMap::FindRun(PageCount most) const {
  const PageCount here = RunLength(next_, most);
  if (here >= std::min(most, PageCount(kClusterSlots))) return {next_, here};
  const uint64_t cluster = NextAround(all_free_, next_.value() / kClusterSlots);
  if (cluster != BitTree::kNone) {
    const SlotIndex first = FirstSlotOf(cluster);
    return {first, RunLength(first, most)};
  }
  return FindAmongPieces(most);
}

SlotRun SlotMap::FindAmongPieces(PageCount most) const {
  SlotRun best;
  uint64_t cluster = next_.value() / kClusterSlots;
  for (unsigned i = 0; i < kClustersSearched && best.count < most; ++i) {
    cluster = NextAround(with_free_, cluster);
    USERPAGER_CHECK(cluster != BitTree::kNone, "free slots are counted that no cluster has",
                    (usable() - used()).value());
    ImproveRun(cluster, most, &best);
    ++cluster;
  }
  return best;
}

// Makes `best` the longest of itself and the runs that begin in the cluster.
void SlotMap::ImproveRun(uint64_t cluster, PageCount most, SlotRun* best) const {
  uint64_t rest = free_[cluster];
  while (rest != 0 && best->count < most) {
    const auto shift = static_cast<uint64_t>(std::countr_zero(rest));
    const SlotIndex first = FirstSlotOf(cluster) + PageCount(shift);
    const PageCount count = RunLength(first, most);
    if (count > best->count) *best = {first, count};
    const uint64_t passed = shift + count.value();
    rest = passed < kClusterSlots ? rest & (kAll << passed) : 0;
  }
}

bool SlotMap::CheckConsistency() const {
  LockHolder hold(lock_);
  uint64_t free_slots = 0;
  uint64_t bad_slots = 0;
  uint64_t kept_slots = 0;
  uint64_t discarded_slots = 0;
  for (uint64_t cluster = 0; cluster < free_.size(); ++cluster) {
    if ((free_[cluster] & bad_[cluster]) != 0) return false;
    if (with_free_.Test(cluster) != (free_[cluster] != 0)) return false;
    if (all_free_.Test(cluster) != (free_[cluster] == kAll)) return false;
    const uint64_t kept = KeptOf(cluster);
    if (((free_[cluster] | bad_[cluster]) & kept) != 0) return false;
    if ((kept & ~loans_.Lent(cluster)) != 0) return false;
    const uint64_t discarded = DiscardedOf(cluster);
    if (((free_[cluster] | bad_[cluster] | kept) & discarded) != 0) return false;
    if ((NotInUse(cluster) & ~Existing(cluster)) != 0) return false;
    free_slots += BitsOf(free_[cluster]);
    bad_slots += BitsOf(bad_[cluster]);
    kept_slots += BitsOf(kept);
    discarded_slots += BitsOf(discarded);
  }
  const uint64_t existing_slots = end_.value() - uint64_t{1};
  return bad().value() == bad_slots && kept().value() == kept_slots &&
         discarded().value() == discarded_slots &&
         usable().value() == existing_slots - bad_slots - discarded_slots &&
         used().value() + free_slots == usable().value();
}

}  // namespace userpager
