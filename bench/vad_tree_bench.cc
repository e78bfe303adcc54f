// What the tree of reservations costs, beside the two maps that could be in its place. Each job is
// done in exactly the same way by RangeMap (the tree behind VadTree), std::map and absl::btree_map:
//
//   look_up   the reservation that a page belongs to, pages at random
//   insert    into a tree that grows from nothing to N, in random order, refusing overlaps
//   split     one reservation becomes two, each of N once, in random order
//   merge     the two become one again, in another random order
//
// Time is for one operation. The label of each line says who does what with how many.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "runtime/address_space/range_map.h"
#include "runtime/base/types.h"

namespace userpager {
namespace {

// What a map points to; its content plays no part.
struct Payload {
  PageRange range;
};

class OwnTree {
 public:
  static constexpr const char* kName = "RangeMap";
  Errno Insert(PageRange range, Payload* value) { return map_.Insert(range, value); }
  Payload* Find(PageIndex page) const { return map_.Find(page); }
  bool Split(PageRange range, PageIndex middle, Payload* upper) {
    return map_.Resize(range.begin, PageRange(range.begin, middle)) &&
           map_.Insert(PageRange(middle, range.end), upper) == 0;
  }
  bool Merge(PageRange range, PageIndex middle) {
    return map_.Erase(middle) != nullptr && map_.Resize(range.begin, range);
  }

 private:
  RangeMap<Payload> map_;
};

// std::map and absl::btree_map have the same functions: begin -> (end, value).
template <typename Map>
class OtherTree {
 public:
  Errno Insert(PageRange range, Payload* value) {
    const auto next = map_.lower_bound(range.begin);
    if (next != map_.end() && next->first < range.end) return EEXIST;
    if (next != map_.begin() && std::prev(next)->second.first > range.begin) return EEXIST;
    map_.emplace_hint(next, range.begin, std::pair(range.end, value));
    return 0;
  }
  Payload* Find(PageIndex page) const {
    auto found = map_.upper_bound(page);
    if (found == map_.begin()) return nullptr;
    --found;
    return found->second.first > page ? found->second.second : nullptr;
  }
  bool Split(PageRange range, PageIndex middle, Payload* upper) {
    const auto lower = map_.find(range.begin);
    if (lower == map_.end()) return false;
    lower->second.first = middle;
    map_.emplace_hint(std::next(lower), middle, std::pair(range.end, upper));
    return true;
  }
  bool Merge(PageRange range, PageIndex middle) {
    const auto upper = map_.find(middle);
    if (upper == map_.end() || upper == map_.begin()) return false;
    std::prev(upper)->second.first = range.end;
    map_.erase(upper);
    return true;
  }

 private:
  Map map_;
};

class StdTree : public OtherTree<std::map<PageIndex, std::pair<PageIndex, Payload*>>> {
 public:
  static constexpr const char* kName = "std::map";
};
class AbslTree : public OtherTree<absl::btree_map<PageIndex, std::pair<PageIndex, Payload*>>> {
 public:
  static constexpr const char* kName = "absl::btree_map";
};

// N reservations of 2 to 128 units of 16 pages with gaps between them, in random order.
std::vector<PageRange> MakeRanges(size_t count) {
  std::mt19937_64 random(count);
  std::vector<PageRange> ranges(count);
  PageIndex at(0x100000);
  for (PageRange& range : ranges) {
    at += PageCount(16 * (random() % 64));
    range = PageRange(at, PageCount(16 * (2 + random() % 127)));
    at = range.end;
  }
  std::shuffle(ranges.begin(), ranges.end(), random);
  return ranges;
}

PageIndex MiddleOf(PageRange range) {
  return range.begin + PageCount(range.count().value() / 2);
}

// Small trees are many, so that a pass is long enough to be timed. Each is worked on in an order of
// its own: one order for all would soon be known to the branch predictor.
template <typename Tree>
class Forest {
 public:
  explicit Forest(size_t entries) : ranges_(MakeRanges(entries)) {
    for (PageRange range : ranges_) payloads_.push_back({range});
    trees_.resize(std::max<size_t>(1, kEntriesOfPass / entries));
    order_.resize(operations());
    for (size_t i = 0; i < order_.size(); ++i) order_[i] = i % entries;
    Shuffle();
  }
  size_t operations() const { return trees_.size() * ranges_.size(); }
  const Tree& first() const { return *trees_.front(); }
  const std::vector<PageRange>& ranges() const { return ranges_; }

  void Plant() {
    for (auto& tree : trees_) tree = std::make_unique<Tree>();
  }
  bool InsertAll() {
    return ForEach([this](Tree& tree, size_t i) {
      return tree.Insert(ranges_[i], &payloads_[i]) == 0;
    });
  }
  bool SplitAll() {
    return ForEach([this](Tree& tree, size_t i) {
      return tree.Split(ranges_[i], MiddleOf(ranges_[i]), &payloads_[i]);
    });
  }
  bool MergeAll() {
    return ForEach([this](Tree& tree, size_t i) {
      return tree.Merge(ranges_[i], MiddleOf(ranges_[i]));
    });
  }
  void Shuffle() {
    const auto entries = static_cast<std::ptrdiff_t>(ranges_.size());
    for (auto begin = order_.begin(); begin != order_.end(); begin += entries) {
      std::shuffle(begin, begin + entries, random_);
    }
  }

 private:
  static constexpr size_t kEntriesOfPass = 20'000;

  bool ForEach(auto operation) {
    bool ok = true;
    auto next = order_.begin();
    for (auto& tree : trees_) {
      for (size_t i = 0; i < ranges_.size(); ++i) ok &= operation(*tree, *next++);
    }
    return ok;
  }

  std::mt19937_64 random_{1};
  std::vector<PageRange> ranges_;
  std::vector<Payload> payloads_;  // of the same places
  std::vector<std::unique_ptr<Tree>> trees_;
  std::vector<size_t> order_;  // the places, for one tree after the other
};

template <typename Tree>
void SetLabel(benchmark::State& state, const char* job) {
  state.SetLabel(std::string(Tree::kName) + " " + job + " " + std::to_string(state.range(0)));
}

// The counter "op" is the time of one operation.
void CountOperations(benchmark::State& state, size_t operations) {
  state.counters["op"] =
      benchmark::Counter(static_cast<double>(operations),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <typename Tree>
void LookUp(benchmark::State& state) {
  Forest<Tree> forest(static_cast<size_t>(state.range(0)));
  forest.Plant();
  if (!forest.InsertAll()) state.SkipWithError("an insertion failed");
  std::mt19937_64 random(7);
  std::vector<PageIndex> pages(1 << 16);
  for (PageIndex& page : pages) {
    const PageRange range = forest.ranges()[random() % forest.ranges().size()];
    page = range.begin + PageCount(random() % range.count().value());
  }
  // Each look-up waits for the result of the one before it, as one fault after another does.
  size_t next = 0;
  size_t missed = 0;
  size_t operations = 0;
  for (auto _ : state) {
    missed += static_cast<size_t>(forest.first().Find(pages[next]) == nullptr);
    next = (next + 1 + missed) % pages.size();
    ++operations;
  }
  if (missed > 0) state.SkipWithError("a page was not found");
  CountOperations(state, operations);
  SetLabel<Tree>(state, "look_up");
}

template <typename Tree>
void Insert(benchmark::State& state) {
  Forest<Tree> forest(static_cast<size_t>(state.range(0)));
  size_t operations = 0;
  for (auto _ : state) {
    state.PauseTiming();
    forest.Plant();
    state.ResumeTiming();
    if (!forest.InsertAll()) state.SkipWithError("an insertion failed");
    operations += forest.operations();
  }
  CountOperations(state, operations);
  SetLabel<Tree>(state, "insert");
}

enum class Timed { kSplit, kMerge };

template <typename Tree, Timed kTimed>
void SplitMerge(benchmark::State& state) {
  Forest<Tree> forest(static_cast<size_t>(state.range(0)));
  forest.Plant();
  bool ok = forest.InsertAll();
  size_t operations = 0;
  for (auto _ : state) {
    state.PauseTiming();
    forest.Shuffle();
    if constexpr (kTimed == Timed::kSplit) state.ResumeTiming();
    ok = ok && forest.SplitAll();
    if constexpr (kTimed == Timed::kSplit) state.PauseTiming();
    forest.Shuffle();
    if constexpr (kTimed == Timed::kMerge) state.ResumeTiming();
    ok = ok && forest.MergeAll();
    if constexpr (kTimed == Timed::kMerge) state.PauseTiming();
    operations += forest.operations();
    state.ResumeTiming();
  }
  if (!ok) state.SkipWithError("a split or a merge failed");
  CountOperations(state, operations);
  SetLabel<Tree>(state, kTimed == Timed::kSplit ? "split" : "merge");
}

template <typename Tree>
void Split(benchmark::State& state) {
  SplitMerge<Tree, Timed::kSplit>(state);
}
template <typename Tree>
void Merge(benchmark::State& state) {
  SplitMerge<Tree, Timed::kMerge>(state);
}

void AllSizes(benchmark::internal::Benchmark* bench) {
  bench->RangeMultiplier(10)->Range(10, 1'000'000)->Unit(benchmark::kNanosecond);
}

BENCHMARK(LookUp<OwnTree>)->Apply(AllSizes);
BENCHMARK(LookUp<StdTree>)->Apply(AllSizes);
BENCHMARK(LookUp<AbslTree>)->Apply(AllSizes);
BENCHMARK(Insert<OwnTree>)->Apply(AllSizes);
BENCHMARK(Insert<StdTree>)->Apply(AllSizes);
BENCHMARK(Insert<AbslTree>)->Apply(AllSizes);
BENCHMARK(Split<OwnTree>)->Apply(AllSizes);
BENCHMARK(Split<StdTree>)->Apply(AllSizes);
BENCHMARK(Split<AbslTree>)->Apply(AllSizes);
BENCHMARK(Merge<OwnTree>)->Apply(AllSizes);
BENCHMARK(Merge<StdTree>)->Apply(AllSizes);
BENCHMARK(Merge<AbslTree>)->Apply(AllSizes);

}  // namespace
}  // namespace userpager

BENCHMARK_MAIN();
