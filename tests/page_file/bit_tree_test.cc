#include "runtime/page_file/bit_tree.h"

#include <random>
#include <set>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

TEST(BitTree, FindsTheOnlyMemberOfALargeSet) {
  constexpr uint64_t kSize = uint64_t{1} << 26;
  BitTree tree;
  ASSERT_EQ(tree.Init(kSize), 0);
  EXPECT_EQ(tree.FindFrom(0), BitTree::kNone);
  for (const uint64_t member : {uint64_t{0}, uint64_t{63}, uint64_t{64}, uint64_t{4095},
                                uint64_t{4096}, kSize / 2 + 1, kSize - 1}) {
    tree.Set(member);
    EXPECT_EQ(tree.FindFrom(0), member);
    EXPECT_EQ(tree.FindFrom(member), member);
    EXPECT_EQ(tree.FindFrom(member + 1), BitTree::kNone);
    tree.Clear(member);
    EXPECT_EQ(tree.FindFrom(0), BitTree::kNone);
  }
}

TEST(BitTree, AgreesWithASetUnderRandomOperations) {
  std::mt19937_64 random(TestSeed());
  for (const uint64_t size : {uint64_t{1}, uint64_t{64}, uint64_t{65}, uint64_t{5000},
                              uint64_t{300'000}}) {
    BitTree tree;
    ASSERT_EQ(tree.Init(size), 0);
    std::set<uint64_t> model;
    for (unsigned step = 0; step < 20'000; ++step) {
      const uint64_t number = random() % size;
      if (random() % 2 == 0) {
        tree.Set(number);
        model.insert(number);
      } else {
        tree.Clear(number);
        model.erase(number);
      }
      const uint64_t from = random() % size;
      const auto next = model.lower_bound(from);
      ASSERT_EQ(tree.FindFrom(from), next == model.end() ? BitTree::kNone : *next)
          << "size " << size << " step " << step;
      ASSERT_EQ(tree.Test(from), model.contains(from));
    }
  }
}

}  // namespace
}  // namespace userpager
