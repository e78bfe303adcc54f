#include "runtime/address_space/range_map.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace userpager {

// Reaches into a map in order to break it.
class RangeMapTestPeer {
 public:
  static RangeMapLeaf* FirstLeaf(RangeMap<int>& map) {
    RangeMapNode* node = map.core_.root_;
    for (unsigned level = map.core_.height_; level > 0; --level) {
      node = static_cast<RangeMapInner*>(node)->children[0];
    }
    return static_cast<RangeMapLeaf*>(node);
  }
  static RangeMapInner* Root(RangeMap<int>& map) {
    return map.core_.height_ == 0 ? nullptr : static_cast<RangeMapInner*>(map.core_.root_);
  }
  static RangeMapLeaf* LastLeaf(RangeMap<int>& map) {
    RangeMapLeaf* leaf = FirstLeaf(map);
    while (leaf->next != nullptr) leaf = leaf->next;
    return leaf;
  }
  static size_t& Size(RangeMap<int>& map) { return map.core_.size_; }
  static unsigned Height(const RangeMap<int>& map) { return map.core_.height_; }
};

namespace {

// The test of the test: a map that is broken on purpose is found to be.
class BrokenRangeMap : public testing::Test {
 protected:
  BrokenRangeMap() {
    for (uint64_t i = 0; i < 200; ++i) {
      EXPECT_EQ(map_.Insert(PageRange(PageIndex(i * 16), PageCount(8)), &value_), 0);
    }
    EXPECT_GE(RangeMapTestPeer::Height(map_), 1u);
    leaf_ = RangeMapTestPeer::FirstLeaf(map_);
  }
  void ExpectBroken(const char* rule) {
    testing::internal::CaptureStderr();
    const bool consistent = map_.CheckConsistency();
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_FALSE(consistent);
    EXPECT_NE(said.find(rule), std::string::npos) << said;
  }
  // Sets a word, expects the complaint, and puts the word back.
  template <typename Word>
  void ExpectBrokenBy(Word& word, Word wrong, const char* rule) {
    const Word right = std::exchange(word, wrong);
    ExpectBroken(rule);
    word = right;
    EXPECT_TRUE(map_.CheckConsistency());
  }

  RangeMap<int> map_;
  int value_ = 0;
  RangeMapLeaf* leaf_ = nullptr;
};

TEST_F(BrokenRangeMap, IsFoundInconsistent) {
  ExpectBrokenBy(leaf_->ends[2], leaf_->keys[3] + 1, "before the end of another");
  ExpectBrokenBy(leaf_->ends[2], leaf_->keys[2], "an entry is empty");
  ExpectBrokenBy<void*>(leaf_->values[2], nullptr, "no value");
  ExpectBrokenBy(RangeMapTestPeer::Root(map_)->keys[1], RangeMapKey{17}, "where its child begins");
  ExpectBrokenBy(leaf_->count, leaf_->count - 1, "an unused key of a leaf");
  ExpectBrokenBy(leaf_->count, uint64_t{21}, "too many entries");
  ExpectBrokenBy(leaf_->next->count, uint64_t{2}, "too few entries");
  ExpectBrokenBy(leaf_->next, leaf_->next->next, "not linked");
  ExpectBrokenBy(RangeMapTestPeer::Root(map_)->keys[RangeMapInner::kCapacity - 1], RangeMapKey{1},
                 "an unused key of a node");
  ExpectBrokenBy(RangeMapTestPeer::LastLeaf(map_)->next, leaf_, "a leaf behind the last");
  ExpectBrokenBy(RangeMapTestPeer::Size(map_), size_t{199}, "miscounted");
}

TEST(BrokenRangeMapTest, AnEmptyMapThatCountsEntriesIsFoundInconsistent) {
  RangeMap<int> map;
  RangeMapTestPeer::Size(map) = 1;
  testing::internal::CaptureStderr();
  EXPECT_FALSE(map.CheckConsistency());
  EXPECT_NE(testing::internal::GetCapturedStderr().find("entries without a node"),
            std::string::npos);
  RangeMapTestPeer::Size(map) = 0;
}

}  // namespace
}  // namespace userpager
