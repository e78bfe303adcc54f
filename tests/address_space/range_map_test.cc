#include "runtime/address_space/range_map.h"

#include <errno.h>
#include <sys/resource.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <new>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/arena.h"
#include "tests/support/seed.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define USERPAGER_TEST_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define USERPAGER_TEST_IS_SANITIZED 1
#endif
#endif

namespace userpager {

namespace {

using Entry = RangeMap<int>::Entry;

PageRange Range(uint64_t begin, uint64_t end) {
  return PageRange(PageIndex(begin), PageIndex(end));
}

// The same as a plain std::map, and both asked the same questions.
class Model {
 public:
  explicit Model(uint64_t space) : space_(space), values_(1000) {}

  RangeMap<int>& map() { return map_; }
  size_t size() const { return entries_.size(); }

  void Insert(PageRange range) {
    int* value = &values_[range.begin.value() % values_.size()];
    const bool free = IsFree(range);
    ASSERT_EQ(map_.Insert(range, value), free ? 0 : EEXIST);
    if (free) entries_[range.begin] = {range.end, value};
  }
  void InsertRandom(std::mt19937_64* random) {
    const uint64_t begin = (*random)() % space_;
    Insert(Range(begin, begin + 1 + (*random)() % 20));
  }
  // An entry at random, or, seldom, a page where none need begin.
  PageIndex Pick(std::mt19937_64* random) const {
    const PageIndex page((*random)() % space_);
    const auto next = entries_.lower_bound(page);
    return next == entries_.end() || (*random)() % 8 == 0 ? page : next->first;
  }
  void Erase(PageIndex begin) {
    const auto found = entries_.find(begin);
    ASSERT_EQ(map_.Erase(begin), found == entries_.end() ? nullptr : found->second.second);
    if (found != entries_.end()) entries_.erase(found);
  }
  void Resize(PageIndex begin, PageRange range) {
    const auto found = entries_.find(begin);
    const bool possible = found != entries_.end() && KeepsItsPlace(found, range);
    ASSERT_EQ(map_.Resize(begin, range), possible);
    if (!possible) return;
    int* value = found->second.second;
    entries_.erase(found);
    entries_[range.begin] = {range.end, value};
  }
  void ResizeRandom(std::mt19937_64* random) {
    const PageIndex begin = Pick(random);
    const uint64_t low = begin.value() - std::min<uint64_t>(begin.value(), (*random)() % 10);
    const uint64_t new_begin = low + (*random)() % 10;
    Resize(begin, Range(new_begin, new_begin + 1 + (*random)() % 20));
  }

  void Compare(PageIndex page) const {
    const auto above = entries_.upper_bound(page);
    const auto at = above == entries_.begin() ? entries_.end() : std::prev(above);
    const bool inside = at != entries_.end() && page < at->second.first;
    ASSERT_EQ(map_.Find(page), inside ? at->second.second : nullptr);
    ExpectSame(map_.FindAtOrAfter(page), inside ? at : above);
    const auto from = entries_.lower_bound(page);
    ExpectSame(map_.FindBefore(page), from == entries_.begin() ? entries_.end() : std::prev(from));
    ASSERT_EQ(map_.size(), entries_.size());
  }
  void CompareAll() const {
    ASSERT_TRUE(map_.CheckConsistency());
    PageIndex next;
    for (auto at = entries_.begin(); at != entries_.end(); ++at) {
      const Entry entry = map_.FindAtOrAfter(next);
      ExpectSame(entry, at);
      next = entry.range.end;
    }
    ASSERT_EQ(map_.FindAtOrAfter(next).value, nullptr);
  }

 private:
  using Entries = std::map<PageIndex, std::pair<PageIndex, int*>>;

  bool IsFree(PageRange range) const {
    const auto next = entries_.lower_bound(range.begin);
    if (next != entries_.end() && next->first < range.end) return false;
    return next == entries_.begin() || std::prev(next)->second.first <= range.begin;
  }
  bool KeepsItsPlace(Entries::const_iterator entry, PageRange range) const {
    if (entry != entries_.begin() && std::prev(entry)->second.first > range.begin) return false;
    const auto next = std::next(entry);
    return next == entries_.end() || next->first >= range.end;
  }
  void ExpectSame(const Entry& entry, Entries::const_iterator expected) const {
    if (expected == entries_.end()) {
      ASSERT_EQ(entry.value, nullptr);
      return;
    }
    ASSERT_EQ(entry.value, expected->second.second);
    ASSERT_EQ(entry.range, PageRange(expected->first, expected->second.first));
  }

  const uint64_t space_;
  std::vector<int> values_;
  RangeMap<int> map_;
  Entries entries_;
};

TEST(RangeMap, AnEmptyMapHasNothing) {
  const uint64_t bytes = Arena::bytes_in_use();
  RangeMap<int> map;
  EXPECT_EQ(map.Find(PageIndex(1)), nullptr);
  EXPECT_EQ(map.FindAtOrAfter(PageIndex(0)).value, nullptr);
  EXPECT_EQ(map.FindBefore(PageIndex(1000)).value, nullptr);
  EXPECT_EQ(map.Erase(PageIndex(1)), nullptr);
  EXPECT_FALSE(map.Resize(PageIndex(1), Range(1, 2)));
  EXPECT_EQ(map.size(), 0u);
  EXPECT_TRUE(map.CheckConsistency());
  EXPECT_EQ(Arena::bytes_in_use(), bytes);
}

TEST(RangeMap, TheBordersOfAnEntryAreExact) {
  RangeMap<int> map;
  int value = 0;
  ASSERT_EQ(map.Insert(Range(16, 32), &value), 0);
  EXPECT_EQ(map.Find(PageIndex(15)), nullptr);
  EXPECT_EQ(map.Find(PageIndex(16)), &value);
  EXPECT_EQ(map.Find(PageIndex(31)), &value);
  EXPECT_EQ(map.Find(PageIndex(32)), nullptr);
  EXPECT_EQ(map.FindAtOrAfter(PageIndex(31)).value, &value);
  EXPECT_EQ(map.FindAtOrAfter(PageIndex(32)).value, nullptr);
  EXPECT_EQ(map.FindBefore(PageIndex(16)).value, nullptr);
  EXPECT_EQ(map.FindBefore(PageIndex(17)).value, &value);
  EXPECT_EQ(map.Insert(Range(0, 17), &value), EEXIST);
  EXPECT_EQ(map.Insert(Range(31, 40), &value), EEXIST);
  EXPECT_EQ(map.Insert(Range(20, 21), &value), EEXIST);
  EXPECT_EQ(map.Insert(Range(0, 100), &value), EEXIST);
  EXPECT_EQ(map.Insert(Range(0, 16), &value), 0);
  EXPECT_EQ(map.Insert(Range(32, 33), &value), 0);
  EXPECT_EQ(map.Erase(PageIndex(17)), nullptr);
  EXPECT_EQ(map.size(), 3u);
}

TEST(RangeMap, TheHighestPagesCanBeHeld) {
  RangeMap<int> map;
  int value = 0;
  const uint64_t top = ~uint64_t{0};
  ASSERT_EQ(map.Insert(Range(top - 1, top), &value), 0);
  ASSERT_EQ(map.Insert(Range(0, 1), &value), 0);
  EXPECT_EQ(map.Find(PageIndex(top - 1)), &value);
  EXPECT_EQ(map.Find(PageIndex(top)), nullptr);
  EXPECT_EQ(map.FindAtOrAfter(PageIndex(top)).value, nullptr);
  EXPECT_EQ(map.FindBefore(PageIndex(top)).range, Range(top - 1, top));
  EXPECT_EQ(map.FindBefore(PageIndex(0)).value, nullptr);
  EXPECT_EQ(map.Erase(PageIndex(top)), nullptr);
  EXPECT_EQ(map.Erase(PageIndex(top - 1)), &value);
}

TEST(RangeMap, ResizeStaysBetweenItsNeighbours) {
  RangeMap<int> map;
  int values[3] = {};
  ASSERT_EQ(map.Insert(Range(10, 20), &values[0]), 0);
  ASSERT_EQ(map.Insert(Range(30, 40), &values[1]), 0);
  ASSERT_EQ(map.Insert(Range(50, 60), &values[2]), 0);
  EXPECT_FALSE(map.Resize(PageIndex(31), Range(31, 32)));
  EXPECT_FALSE(map.Resize(PageIndex(30), Range(19, 40)));
  EXPECT_FALSE(map.Resize(PageIndex(30), Range(30, 51)));
  EXPECT_FALSE(map.Resize(PageIndex(30), Range(61, 62)));  // free, but it would change the order
  EXPECT_EQ(map.FindAtOrAfter(PageIndex(20)).range, Range(30, 40));
  EXPECT_TRUE(map.Resize(PageIndex(30), Range(20, 50)));
  EXPECT_EQ(map.Find(PageIndex(20)), &values[1]);
  EXPECT_EQ(map.Find(PageIndex(49)), &values[1]);
  EXPECT_TRUE(map.Resize(PageIndex(20), Range(22, 23)));
  EXPECT_EQ(map.Find(PageIndex(20)), nullptr);
  EXPECT_TRUE(map.CheckConsistency());
}

// Inserts in the order given by `place`, then erases in the order given by `erase_place`.
void GrowAndShrink(uint64_t count, auto place, auto erase_place) {
  const uint64_t bytes = Arena::bytes_in_use();
  Model model(count * 32);
  for (uint64_t i = 0; i < count; ++i) {
    model.Insert(Range(place(i) * 32, place(i) * 32 + 16));
    ASSERT_TRUE(i % 97 != 0 || model.map().CheckConsistency()) << "after " << i;
  }
  ASSERT_EQ(model.size(), count);
  model.CompareAll();
  for (uint64_t i = 0; i < count; ++i) {
    model.Erase(PageIndex(erase_place(i) * 32));
    ASSERT_TRUE(i % 97 != 0 || model.map().CheckConsistency()) << "after " << i;
  }
  ASSERT_EQ(model.size(), 0u);
  EXPECT_EQ(Arena::bytes_in_use(), bytes);
}

constexpr uint64_t kGrown = 20'000;  // three levels of nodes and a leaf

TEST(RangeMap, GrowsAndShrinksInEveryOrder) {
  const auto up = [](uint64_t i) { return i; };
  const auto down = [](uint64_t i) { return kGrown - 1 - i; };
  const auto scattered = [](uint64_t i) { return i * 7919 % kGrown; };
  const auto outwards = [](uint64_t i) {
    return i % 2 == 0 ? kGrown / 2 + i / 2 : kGrown / 2 - 1 - i / 2;
  };
  GrowAndShrink(kGrown, up, up);
  GrowAndShrink(kGrown, up, down);
  GrowAndShrink(kGrown, down, up);
  GrowAndShrink(kGrown, down, down);
  GrowAndShrink(kGrown, scattered, up);
  GrowAndShrink(kGrown, up, scattered);
  GrowAndShrink(kGrown, outwards, scattered);
  GrowAndShrink(kGrown, scattered, outwards);
}

TEST(RangeMap, RunsInOneDirectionLeaveFullLeaves) {
  for (const bool ascending : {true, false}) {
    const uint64_t bytes = Arena::bytes_in_use();
    RangeMap<int> map;
    int value = 0;
    for (uint64_t i = 0; i < kGrown; ++i) {
      const uint64_t place = ascending ? i : kGrown - 1 - i;
      ASSERT_EQ(map.Insert(Range(place * 16, place * 16 + 16), &value), 0);
    }
    const uint64_t leaves = kGrown / RangeMapLeaf::kCapacity;
    EXPECT_LE(Arena::bytes_in_use() - bytes,
              (leaves + leaves / 15 + 8) * kRangeMapNodeBytes);
  }
}

TEST(RangeMap, AgreesWithAStdMapUnderRandomOperations) {
  std::mt19937_64 random(TestSeed());
  for (const uint64_t space : {uint64_t{300}, uint64_t{60'000}, uint64_t{1} << 45}) {
    const uint64_t bytes = Arena::bytes_in_use();
    {
      Model model(space);
      // Phases in which the map grows and phases in which it shrinks, so that nodes of all levels
      // are split and joined.
      for (unsigned step = 0; step < 80'000; ++step) {
        const bool growing = step / 10'000 % 2 == 0;
        const uint64_t choice = random() % 10;
        if (choice < (growing ? 6u : 1u)) {
          model.InsertRandom(&random);
        } else if (choice < 7) {
          model.Erase(model.Pick(&random));
        } else {
          model.ResizeRandom(&random);
        }
        model.Compare(PageIndex(random() % (space + 30)));
        if (step % 499 == 0) model.CompareAll();
        if (testing::Test::HasFatalFailure()) FAIL() << "space " << space << " step " << step;
      }
      model.CompareAll();
    }
    EXPECT_EQ(Arena::bytes_in_use(), bytes);
  }
}

TEST(RangeMap, ChurnAtOneSizeTakesNoMoreMemory) {
  std::mt19937_64 random(TestSeed());
  RangeMap<int> map;
  int value = 0;
  std::vector<uint64_t> places(2000);
  uint64_t next = 0;
  for (uint64_t& place : places) {
    place = next++;
    ASSERT_EQ(map.Insert(Range(place * 4, place * 4 + 4), &value), 0);
  }
  uint64_t bytes_most = 0;
  for (unsigned i = 0; i < 100'000; ++i) {
    uint64_t& place = places[random() % places.size()];
    ASSERT_EQ(map.Erase(PageIndex(place * 4)), &value);
    place = next++;
    ASSERT_EQ(map.Insert(Range(place * 4, place * 4 + 4), &value), 0);
    bytes_most = std::max(bytes_most, Arena::bytes_in_use());
  }
  EXPECT_TRUE(map.CheckConsistency());
  // By invariant 4 a leaf inside has kFewest entries at least; some more for the inner nodes.
  EXPECT_LE(bytes_most, (places.size() / kFewest<RangeMapLeaf> + 2) * 5 / 4 * kRangeMapNodeBytes);
}

TEST(RangeMap, AnInsertionWithoutMemoryChangesNothing) {
#ifdef USERPAGER_TEST_IS_SANITIZED
  GTEST_SKIP() << "SKIPPED: a sanitizer cannot live under a limit of address space";
#endif
  RangeMap<int> map;
  int value = 0;
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0);
  // Nothing here may call malloc before the limit is lifted.
  const auto range_of = [](uint64_t i) {
    const uint64_t begin = (i * 40'503 & 0xffff) * 16;
    return Range(begin, begin + 16);
  };
  Errno error = 0;
  uint64_t inserted = 0;
  uint64_t bytes_before = 0;
  for (; inserted < 0x10000; ++inserted) {
    bytes_before = Arena::bytes_in_use();
    error = map.Insert(range_of(inserted), &value);
    if (error != 0) break;
  }
  const uint64_t bytes_after = Arena::bytes_in_use();
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  ASSERT_EQ(error, ENOMEM) << "the arena had memory for " << inserted << " entries";
  EXPECT_EQ(bytes_after, bytes_before);
  EXPECT_EQ(map.size(), inserted);
  EXPECT_EQ(map.Find(range_of(inserted).begin), nullptr);
  EXPECT_TRUE(map.CheckConsistency());
  EXPECT_EQ(map.Insert(range_of(inserted), &value), 0);
  EXPECT_TRUE(map.CheckConsistency());
}

TEST(RangeMap, AnInsertionTakesAllItsNodesOrNone) {
#ifdef USERPAGER_TEST_IS_SANITIZED
  GTEST_SKIP() << "SKIPPED: a sanitizer cannot live under a limit of address space";
#endif
  // The next insertion needs two nodes: another leaf and a root above both.
  RangeMap<int> map;
  int value = 0;
  for (uint64_t i = 0; i < RangeMapLeaf::kCapacity; ++i) {
    ASSERT_EQ(map.Insert(Range(i * 16, i * 16 + 8), &value), 0);
  }
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0);
  // Nothing here may call malloc before the limit is lifted: the blocks themselves are the list.
  struct Block {
    Block* next;
  };
  Block* drained = nullptr;
  const auto free_one = [&drained] {
    Block* block = std::exchange(drained, drained->next);
    Arena::Free(block, kRangeMapNodeBytes);
  };
  uint64_t count = 0;
  for (; count < 100'000; ++count) {
    void* block = Arena::Allocate(kRangeMapNodeBytes);
    if (block == nullptr) break;
    drained = new (block) Block{drained};
  }
  free_one();
  const uint64_t bytes_before = Arena::bytes_in_use();
  const Errno with_one_node = map.Insert(Range(8, 16), &value);
  const uint64_t bytes_after = Arena::bytes_in_use();
  free_one();
  const Errno with_two_nodes = map.Insert(Range(8, 16), &value);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  for (uint64_t i = 2; i < count; ++i) free_one();
  EXPECT_EQ(with_one_node, ENOMEM);
  EXPECT_EQ(bytes_after, bytes_before) << "a node that was not used was not given back";
  EXPECT_EQ(with_two_nodes, 0);
  EXPECT_TRUE(map.CheckConsistency());
}

TEST(RangeMapDeathTest, EmptyRangesAndMissingValuesStopTheProgram) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  RangeMap<int> map;
  int value = 0;
  ASSERT_EQ(map.Insert(Range(1, 2), &value), 0);
  EXPECT_DEATH((void)map.Insert(Range(5, 5), &value), "an empty range");
  EXPECT_DEATH((void)map.Insert(Range(5, 6), nullptr), "with nothing");
  EXPECT_DEATH((void)map.Resize(PageIndex(1), Range(3, 3)), "resized to nothing");
}

}  // namespace
}  // namespace userpager
