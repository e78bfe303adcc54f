#include "runtime/address_space/vad_tree.h"

#include <errno.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr uint64_t kUnitPages = kGranularityBytes / kPageBytes;

// A reservation of `pages` pages from unit `unit` on, with one stripe.
std::unique_ptr<Vad> MakeVad(uint64_t unit, uint64_t pages) {
  auto vad = std::make_unique<Vad>();
  vad->range = PageRange(PageIndex(unit * kUnitPages), PageCount(pages));
  vad->stripes = ArenaArray<Stripe>(1);
  vad->stripes[0].range = vad->range;
  return vad;
}

TEST(VadTree, TheTailOfAFootprintBelongsToNoVad) {
  VadTree tree;
  const auto low = MakeVad(1, 3);
  const auto high = MakeVad(2, kUnitPages);
  ASSERT_EQ(tree.Insert(low.get()), 0);
  ASSERT_EQ(tree.Insert(high.get()), 0);
  const PageIndex tail = low->range.end;
  EXPECT_EQ(tree.Find(tail - PageCount(1)), low.get());
  EXPECT_EQ(tree.Find(tail), nullptr);
  EXPECT_EQ(tree.AtOrAfter(tail - PageCount(1)), low.get());
  EXPECT_EQ(tree.AtOrAfter(tail), high.get());
  EXPECT_EQ(tree.AtOrAfter(high->range.end), nullptr);
  EXPECT_TRUE(tree.OverlapsFootprint(PageRange(tail, PageCount(1))));
  EXPECT_TRUE(tree.OverlapsFootprint(PageRange(PageIndex(0), PageIndex(kUnitPages + 1))));
  EXPECT_FALSE(tree.OverlapsFootprint(PageRange(PageIndex(0), PageIndex(kUnitPages))));
  EXPECT_FALSE(tree.OverlapsFootprint(PageRange(high->range.end, PageCount(100))));
  EXPECT_FALSE(tree.OverlapsFootprint(PageRange(low->range.begin, PageCount(0))));
  EXPECT_TRUE(tree.CheckConsistency());
}

TEST(VadTree, FootprintsDoNotOverlap) {
  VadTree tree;
  const auto first = MakeVad(4, 1);
  const auto in_its_tail = std::make_unique<Vad>();
  in_its_tail->range = PageRange(first->range.end, PageCount(2));
  const auto behind = MakeVad(5, 1);
  ASSERT_EQ(tree.Insert(first.get()), 0);
  EXPECT_EQ(tree.Insert(first.get()), EEXIST);
  EXPECT_EQ(tree.Insert(in_its_tail.get()), EEXIST);
  EXPECT_EQ(tree.Insert(behind.get()), 0);
  EXPECT_EQ(tree.size(), 2u);
  tree.Erase(first.get());
  EXPECT_EQ(tree.Find(PageIndex(4 * kUnitPages)), nullptr);
  EXPECT_EQ(tree.Find(behind->range.begin), behind.get());
}

// Only what is split off ends at its last page.
TEST(VadTree, ResizesToAPage) {
  VadTree tree;
  const auto first = MakeVad(4, 3);
  const auto behind = MakeVad(5, 1);
  ASSERT_EQ(tree.Insert(first.get()), 0);
  ASSERT_EQ(tree.Insert(behind.get()), 0);
  const PageIndex end = first->range.end;
  const PageIndex middle = first->range.begin + PageCount(1);
  ASSERT_TRUE(tree.Resize(first.get(), middle, true));
  EXPECT_EQ(tree.Find(middle), nullptr);
  const auto piece = std::make_unique<Vad>();
  piece->kind = VadKind::kPlaceholder;
  piece->range = PageRange(middle, end);
  ASSERT_EQ(tree.Insert(piece.get()), 0);
  EXPECT_EQ(tree.Find(middle), piece.get());
  EXPECT_EQ(piece->footprint().end, behind->range.begin);
  EXPECT_FALSE(tree.Resize(first.get(), end, false)) << "the piece is in the way";
  EXPECT_EQ(first->range.end, middle);
  EXPECT_EQ(tree.Find(first->range.begin), first.get());
  tree.Erase(piece.get());
  EXPECT_TRUE(tree.Resize(first.get(), end, false));
  EXPECT_EQ(tree.Find(middle), first.get());
  EXPECT_EQ(first->footprint().end, behind->range.begin);
}

// The Vads are kept in a plain map, and every question is answered from that as well.
class Model {
 public:
  VadTree& tree() { return tree_; }
  size_t size() const { return vads_.size(); }

  void Insert(uint64_t unit, uint64_t pages) {
    auto vad = MakeVad(unit, pages);
    const bool free = !Overlaps(vad->footprint());
    ASSERT_EQ(tree_.Insert(vad.get()), free ? 0 : EEXIST);
    if (free) vads_[vad->range.begin] = std::move(vad);
  }
  void EraseAtOrAfter(PageIndex page) {
    const auto found = vads_.lower_bound(page);
    if (found == vads_.end()) return;
    tree_.Erase(found->second.get());
    vads_.erase(found);
  }
  void Compare(PageRange range) const {
    const PageIndex page = range.begin;
    const Vad* contains = nullptr;
    const Vad* next = nullptr;
    for (const auto& [begin, vad] : vads_) {
      if (vad->range.Contains(page)) contains = vad.get();
      if (next == nullptr && vad->range.end > page) next = vad.get();
    }
    ASSERT_EQ(tree_.Find(page), contains);
    ASSERT_EQ(tree_.AtOrAfter(page), next);
    ASSERT_EQ(tree_.OverlapsFootprint(range), Overlaps(range));
  }
  void CompareAll() const {
    ASSERT_TRUE(tree_.CheckConsistency());
    ASSERT_EQ(tree_.size(), vads_.size());
    const Vad* at = tree_.AtOrAfter(PageIndex(0));
    for (const auto& [begin, vad] : vads_) {
      ASSERT_EQ(at, vad.get());
      at = tree_.Next(*at);
    }
    ASSERT_EQ(at, nullptr);
  }

 private:
  bool Overlaps(PageRange range) const {
    return std::any_of(vads_.begin(), vads_.end(), [range](const auto& entry) {
      return entry.second->footprint().Overlaps(range);
    });
  }

  VadTree tree_;
  std::map<PageIndex, std::unique_ptr<Vad>> vads_;
};

TEST(VadTree, AgreesWithAPlainMapUnderRandomOperations) {
  std::mt19937_64 random(TestSeed());
  constexpr uint64_t kUnits = 2000;
  Model model;
  for (unsigned step = 0; step < 20'000; ++step) {
    const bool growing = step / 4000 % 2 == 0;
    if (random() % 10 < (growing ? 8u : 2u)) {
      model.Insert(random() % kUnits, 1 + random() % (4 * kUnitPages));
    } else {
      model.EraseAtOrAfter(PageIndex(random() % (kUnits * kUnitPages)));
    }
    const PageIndex page(random() % (kUnits * kUnitPages));
    model.Compare(PageRange(page, PageCount(1 + random() % 40)));
    if (step % 500 == 0) model.CompareAll();
    if (testing::Test::HasFatalFailure()) FAIL() << "step " << step;
  }
  model.CompareAll();
}

class BrokenVadTree : public testing::Test {
 protected:
  void SetUp() override {
    for (uint64_t unit = 1; unit <= 100; ++unit) {
      vads_.push_back(MakeVad(unit * 4, kUnitPages + 1));
      ASSERT_EQ(tree_.Insert(vads_.back().get()), 0);
    }
    ASSERT_TRUE(tree_.CheckConsistency());
  }
  void ExpectBroken(const char* rule) {
    testing::internal::CaptureStderr();
    const bool consistent = tree_.CheckConsistency();
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_FALSE(consistent);
    EXPECT_NE(said.find(rule), std::string::npos) << said;
  }

  VadTree tree_;
  std::vector<std::unique_ptr<Vad>> vads_;
};

TEST_F(BrokenVadTree, IsFoundInconsistent) {
  Vad& vad = *vads_[50];
  const PageRange range = vad.range;
  vad.range = PageRange(range.begin, PageCount(kUnitPages));
  ExpectBroken("footprint has changed");
  vad.range = PageRange(range.begin, PageCount(0));
  ExpectBroken("no pages");
  vad.range = range;
  vad.stripes[0].range = PageRange(range.begin, PageCount(1));
  ExpectBroken("stripes do not cover");
  vad.stripes[0].range = PageRange(range.begin + PageCount(1), range.end);
  ExpectBroken("stripes do not cover");
  vad.stripes[0].range = PageRange(range.begin, PageCount(0));
  ExpectBroken("stripes do not cover");
  vad.stripes[0].range = range;
  vad.kind = VadKind::kPlaceholder;  // which no shard knows a part of
  ExpectBroken("stripes do not cover");
  vad.kind = VadKind::kPaged;
  vad.committed = range.count() + PageCount(1);
  ExpectBroken("too many commitments");
  vad.committed = range.count();
  EXPECT_TRUE(tree_.CheckConsistency());
}

TEST(VadTreeDeathTest, TakingOutWhatIsNotInStopsTheProgram) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  VadTree tree;
  const auto in = MakeVad(1, 1);
  const auto twin = MakeVad(1, 1);
  ASSERT_EQ(tree.Insert(in.get()), 0);
  EXPECT_DEATH(tree.Erase(twin.get()), "not in");
}

}  // namespace
}  // namespace userpager
