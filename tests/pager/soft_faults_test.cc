// Soft faults: scattered ones bring their own page, streams of them bring what comes next, and
// nothing of it changes a byte.
#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/gated_pager.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr uint64_t kPages = 96;
// Runs double from one page on, so these are far more than streams of kPages need, and far fewer
// than the pages.
constexpr uint64_t kFewFaults = 16;

class SoftFaults : public GatedPager {
 protected:
  void SetUp() override {
    GatedPager::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    vad_ = ReserveFilled(kPages);
    ASSERT_NE(vad_, nullptr);
    Trim(vad_);
    ASSERT_EQ(Mapped(), 0u);
    before_ = Count();
  }

  PageIndex PageAt(uint64_t i) const { return vad_->range.begin + PageCount(i); }
  uint64_t Mapped() const {
    uint64_t mapped = 0;
    for (uint64_t i = 0; i < kPages; ++i) mapped += vad_->Load(PageAt(i)).mapped();
    return mapped;
  }
  uint64_t Count() {
    return pager_->Counters().faults[static_cast<unsigned>(FaultKind::kSoft)].value();
  }
  uint64_t Faults() { return Count() - before_; }

  Vad* vad_ = nullptr;
  uint64_t before_ = 0;
};

TEST_P(SoftFaults, AStreamBringsWhatComesNext) {
  for (uint64_t i = 0; i < kPages; ++i) ASSERT_TRUE(IsFilled(PageAt(i))) << i;
  EXPECT_GE(Faults(), 1u);
  EXPECT_LE(Faults(), kFewFaults);
  EXPECT_EQ(Mapped(), kPages);
  EXPECT_TRUE(IsSound());
}

TEST_P(SoftFaults, ABackwardStreamDoesToo) {
  for (uint64_t i = kPages; i-- > 0;) ASSERT_TRUE(IsFilled(PageAt(i))) << i;
  EXPECT_LE(Faults(), kFewFaults);
  EXPECT_EQ(Mapped(), kPages);
  EXPECT_TRUE(IsSound());
}

TEST_P(SoftFaults, AStreamOfStoresKeepsWhatTheNeighboursHeld) {
  for (uint64_t i = 0; i < kPages; ++i) FirstWord(PageAt(i)) = i;
  EXPECT_LE(Faults(), kFewFaults);
  for (uint64_t i = 0; i < kPages; ++i) ASSERT_TRUE(IsFilledBut(PageAt(i), i)) << i;
  EXPECT_TRUE(IsSound());
}

// Each touch is further from all before than a stream's next step may be.
TEST_P(SoftFaults, ScatteredTouchesBringTheirPagesAlone) {
  uint64_t touched = 0;
  for (const uint64_t i : {40u, 5u, 75u, 22u, 94u, 58u}) {
    ASSERT_TRUE(IsFilled(PageAt(i)));
    ++touched;
    pager_->Turn();
    EXPECT_EQ(Mapped(), touched) << "after the touch of page " << i;
  }
  EXPECT_EQ(Faults(), touched);
}

// What was brought along and never touched is parked again like any other page, and intact.
TEST_P(SoftFaults, GoesRoundAgainAndAgain) {
  std::mt19937_64 random(TestSeed());
  std::vector<uint64_t> order(kPages);
  std::iota(order.begin(), order.end(), 0);
  for (unsigned round = 0; round < 20; ++round) {
    const uint64_t begin = random() % kPages;
    for (uint64_t i = begin; i < kPages; ++i) ASSERT_TRUE(IsFilled(PageAt(i))) << i;
    std::shuffle(order.begin(), order.end(), random);
    for (uint64_t k = 0; k < kPages / 4; ++k) ASSERT_TRUE(IsFilled(PageAt(order[k]))) << order[k];
    Trim(vad_);
    ASSERT_TRUE(IsSound()) << round;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Roads, SoftFaults,
    testing::Values(Road{true}, Road{false}, Road{.faults = FaultDelivery::kSignals}),
    [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
