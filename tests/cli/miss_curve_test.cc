#include "runtime/cli/miss_curve.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <list>
#include <random>
#include <vector>

namespace userpager::cli {
namespace {

TraceEvent PageEvent(TraceKind kind, uint64_t page) { return {0, page, 1, 1, 0, 0, kind, 0}; }

// A memory that drops what was used least recently, and tells a curve of it.
class LruMemory {
 public:
  LruMemory(size_t pages, MissCurve* curve) : pages_(pages), curve_(curve) {}

  void Touch(uint64_t page) {
    const auto found = std::find(in_.begin(), in_.end(), page);
    if (found != in_.end()) {
      in_.erase(found);
    } else {
      const bool is_new = std::find(seen_.begin(), seen_.end(), page) == seen_.end();
      if (is_new) seen_.push_back(page);
      if (is_new) {
        Tell(TraceKind::kDemandZero, page);
      } else {
        ++misses_;
        Tell(TraceKind::kHard, page);
        Tell(TraceKind::kPagesIn, page);
      }
      // Memory is made free for the next one.
      if (in_.size() == pages_) {
        Tell(TraceKind::kDropped, in_.front());
        in_.pop_front();
      }
    }
    in_.push_back(page);
  }
  uint64_t misses() const { return misses_; }

 private:
  void Tell(TraceKind kind, uint64_t page) {
    if (curve_ != nullptr) curve_->Take(PageEvent(kind, page));
  }

  const size_t pages_;
  MissCurve* const curve_;
  std::list<uint64_t> in_;  // the least recently used first
  std::vector<uint64_t> seen_;
  uint64_t misses_ = 0;
};

std::vector<uint64_t> Accesses() {
  std::mt19937 random(5);
  std::vector<uint64_t> accesses;
  for (int i = 0; i < 6000; ++i) {
    accesses.push_back(random() % 4 == 0 ? random() % 100 : random() % 20);
    if (i % 600 == 0) {
      for (uint64_t page = 0; page < 70; ++page) accesses.push_back(page);
    }
  }
  return accesses;
}

TEST(MissCurve, IsExactForMoreOfAMemoryThatDropsInTheSameOrder) {
  constexpr size_t kPages = 24;
  const std::vector<uint64_t> accesses = Accesses();
  MissCurve curve;
  LruMemory recorded(kPages, &curve);
  for (const uint64_t page : accesses) recorded.Touch(page);
  ASSERT_GT(recorded.misses(), 500u);
  for (const size_t more : {0u, 1u, 2u, 7u, 20u, 50u, 75u, 76u, 100u}) {
    LruMemory larger(kPages + more, nullptr);
    for (const uint64_t page : accesses) larger.Touch(page);
    EXPECT_EQ(larger.misses(), curve.PagesRead(static_cast<int64_t>(more))) << more;
    EXPECT_EQ(larger.misses(), curve.HardFaults(static_cast<int64_t>(more))) << more;
  }
  EXPECT_EQ(0u, curve.PagesRead(static_cast<int64_t>(curve.pages_to_read_nothing())));
  EXPECT_GT(curve.PagesRead(static_cast<int64_t>(curve.pages_to_read_nothing()) - 1), 0u);
}

TEST(MissCurve, PagesThatWereParkedForLongestWouldHaveGoneFirst) {
  MissCurve curve;
  for (const uint64_t page : {1u, 2u, 3u}) curve.Take(PageEvent(TraceKind::kParked, page));
  curve.Take(PageEvent(TraceKind::kSoft, 2));
  EXPECT_EQ(0u, curve.PagesRead(0));
  EXPECT_EQ(0u, curve.PagesRead(-1));  // page 1 alone would have been dropped
  EXPECT_EQ(1u, curve.PagesRead(-2));
  EXPECT_EQ(3u, curve.pages_below());
}

TEST(MissCurve, PagesThatComeBackAsZerosAreNotRead) {
  MissCurve curve;
  curve.Take(PageEvent(TraceKind::kDropped, 1));
  curve.Take(PageEvent(TraceKind::kDropped, 2));
  curve.Take(PageEvent(TraceKind::kDemandZero, 2));
  curve.Take(PageEvent(TraceKind::kPagesIn, 1));
  EXPECT_EQ(1u, curve.PagesRead(0));
  EXPECT_EQ(0u, curve.PagesRead(1));  // the discarded page needs no place
}

TEST(PageOrder, CountsThroughManyCompactions) {
  std::mt19937 random(3);
  PageOrder order;
  std::vector<uint64_t> model;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t page = random() % 300;
    const auto found = std::find(model.begin(), model.end(), page);
    const int64_t expected = found == model.end() ? -1 : model.end() - found - 1;
    ASSERT_EQ(expected, order.EnteredAfter(page));
    if (found != model.end()) model.erase(found);
    if (random() % 5 == 0) {
      ASSERT_EQ(expected >= 0, order.Leave(page));
    } else {
      order.Enter(page);
      model.push_back(page);
    }
    ASSERT_EQ(model.size(), order.size());
  }
}

}  // namespace
}  // namespace userpager::cli
