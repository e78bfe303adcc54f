#include "runtime/cli/miss_curve.h"

#include <algorithm>
#include <utility>

namespace userpager::cli {
namespace {

constexpr uint64_t kFewPlaces = 1024;

}  // namespace

void PageOrder::Change(uint64_t place, int64_t by) {
  for (; place < tree_.size(); place += place & -place) {
    tree_[place] = static_cast<uint32_t>(tree_[place] + by);
  }
}

uint64_t PageOrder::CountUpTo(uint64_t place) const {
  uint64_t count = 0;
  for (; place > 0; place -= place & -place) count += tree_[place];
  return count;
}

// Gives the pages that are there the lowest places, in their order, and room behind them.
void PageOrder::Compact() {
  std::vector<std::pair<uint64_t, uint64_t>> order;
  order.reserve(places_.size());
  for (const auto& [page, place] : places_) order.emplace_back(place, page);
  std::sort(order.begin(), order.end());
  tree_.assign(std::max<uint64_t>(2 * order.size(), kFewPlaces) + 1, 0);
  next_ = 1;
  for (const auto& entry : order) {
    places_[entry.second] = next_;
    Change(next_++, 1);
  }
}

void PageOrder::Enter(uint64_t page) {
  (void)Leave(page);
  if (next_ >= tree_.size()) Compact();
  places_[page] = next_;
  Change(next_++, 1);
}

bool PageOrder::Leave(uint64_t page) {
  const auto found = places_.find(page);
  if (found == places_.end()) return false;
  Change(found->second, -1);
  places_.erase(found);
  return true;
}

int64_t PageOrder::EnteredAfter(uint64_t page) const {
  const auto found = places_.find(page);
  if (found == places_.end()) return -1;
  return static_cast<int64_t>(places_.size() - CountUpTo(found->second));
}

void MissCurve::Count(std::vector<uint64_t>* counts, uint64_t at) {
  if (counts->size() <= at) counts->resize(at + 1);
  ++(*counts)[at];
}

void MissCurve::NoteRead(uint64_t page, Depths* depths) {
  const int64_t after = out_.EnteredAfter(page);
  if (after < 0) {
    ++depths->unknown;
    return;
  }
  const uint64_t depth = static_cast<uint64_t>(after) + 1;
  depths->deepest = std::max(depths->deepest, depth);
  Count(&depths->more, depth);
}

void MissCurve::Take(const TraceEvent& event) {
  const uint64_t end = event.page + event.page_count;
  switch (event.kind) {
    case TraceKind::kHard:
      NoteRead(event.page + event.lead, &waited_);
      return;
    case TraceKind::kPagesIn:
      for (uint64_t page = event.page; page < end; ++page) {
        NoteRead(page, &read_);
        (void)out_.Leave(page);
      }
      return;
    case TraceKind::kSoft: {
      const uint64_t page = event.page + event.lead;
      const int64_t after = parked_.EnteredAfter(page);
      parked_sum_ += parked_.size();
      ++parked_looks_;
      if (after < 0) return;
      const uint64_t depth = parked_.size() - static_cast<uint64_t>(after);
      Count(&read_.fewer, depth);
      Count(&waited_.fewer, depth);
      (void)parked_.Leave(page);
      return;
    }
    case TraceKind::kParked:
      for (uint64_t page = event.page; page < end; ++page) parked_.Enter(page);
      return;
    case TraceKind::kDropped:
      for (uint64_t page = event.page; page < end; ++page) {
        (void)parked_.Leave(page);
        out_.Enter(page);
      }
      return;
    case TraceKind::kDemandZero:
    case TraceKind::kZerosDropped:
      for (uint64_t page = event.page; page < end; ++page) {
        (void)parked_.Leave(page);
        (void)out_.Leave(page);
      }
      return;
    default: return;
  }
}

uint64_t MissCurve::Sum(const Depths& depths, int64_t pages_more) {
  uint64_t sum = depths.unknown;
  for (size_t depth = 0; depth < depths.more.size(); ++depth) {
    if (static_cast<int64_t>(depth) > pages_more) sum += depths.more[depth];
  }
  for (size_t depth = 0; depth < depths.fewer.size(); ++depth) {
    if (static_cast<int64_t>(depth) <= -pages_more) sum += depths.fewer[depth];
  }
  return sum;
}

uint64_t MissCurve::pages_below() const {
  return parked_looks_ == 0 ? 0 : parked_sum_ / parked_looks_;
}

}  // namespace userpager::cli
