#include "runtime/frames/parking_area.h"

#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr PageIndex kBase{5000};
constexpr PageCount kMost{200};

class ParkingAreaTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(area_.Init(kBase, kMost), 0); }

  // Allocates a run and checks that it is free, inside, and as long as it may be.
  PlaceRun Take(uint64_t most) {
    const PlaceRun run = area_.Allocate(PageCount(most));
    EXPECT_GE(run.count.value(), 1u);
    EXPECT_LE(run.count.value(), most);
    for (uint64_t i = 0; i < run.count.value(); ++i) {
      const uint32_t place = run.first + static_cast<uint32_t>(i);
      EXPECT_TRUE(taken_.insert(place).second) << place;
      EXPECT_TRUE(area_.range().Contains(area_.PageAt(place)));
    }
    EXPECT_EQ(area_.taken().value(), taken_.size());
    return run;
  }
  void Give(uint32_t first, uint64_t count) {
    area_.Free(first, PageCount(count));
    for (uint64_t i = 0; i < count; ++i) taken_.erase(first + static_cast<uint32_t>(i));
    EXPECT_EQ(area_.taken().value(), taken_.size());
  }

  ParkingArea area_;
  std::set<uint32_t> taken_;
};

TEST_F(ParkingAreaTest, HasRoomForFourTimesWhatItMust) {
  EXPECT_FALSE(ParkingArea().ready());
  EXPECT_TRUE(area_.ready());
  EXPECT_EQ(area_.range().begin, kBase);
  EXPECT_EQ(area_.range().count(), ParkingArea::SpaceFor(kMost));
  EXPECT_GE(area_.range().count().value(), 4 * kMost.value());
  EXPECT_EQ(area_.PageAt(3), kBase + PageCount(3));
}

TEST_F(ParkingAreaTest, GivesWholeRunsWhileThereIsRoom) {
  for (unsigned i = 0; i < kMost.value() / ParkingArea::kBlockPlaces; ++i) {
    EXPECT_EQ(Take(ParkingArea::kBlockPlaces).count.value(), uint64_t{ParkingArea::kBlockPlaces});
  }
  EXPECT_GE(Take(3).count.value(), 1u);
}

TEST_F(ParkingAreaTest, TakesPlacesAgain) {
  // Far more places than there are, a few at a time.
  for (unsigned round = 0; round < 1000; ++round) {
    const PlaceRun run = Take(64);
    Give(run.first, run.count.value());
  }
  EXPECT_EQ(area_.taken().value(), 0u);
}

TEST_F(ParkingAreaTest, RunsNeverOverlapUnderRandomOperations) {
  std::mt19937_64 random(TestSeed());
  for (unsigned step = 0; step < 20000; ++step) {
    if (taken_.size() < kMost.value() && random() % 2 == 0) {
      (void)Take(std::min<uint64_t>(1 + random() % 64, kMost.value() - taken_.size()));
    } else if (!taken_.empty()) {
      // A run from the middle of what is taken, as pages come back in any order.
      auto at = taken_.lower_bound(static_cast<uint32_t>(random() % area_.range().count().value()));
      if (at == taken_.end()) at = taken_.begin();
      const uint32_t first = *at;
      uint64_t count = 1;
      while (count < 8 && taken_.count(first + static_cast<uint32_t>(count)) > 0) ++count;
      Give(first, count);
    }
    if (HasFailure()) FAIL() << "step " << step;
  }
}

// With single places left all over, there still is one.
TEST_F(ParkingAreaTest, FindsScatteredPlaces) {
  const uint64_t places = area_.range().count().value();
  while (taken_.size() < places) (void)Take(std::min<uint64_t>(64, places - taken_.size()));
  for (uint32_t place = 5; place < places; place += 64) Give(place, 1);
  const uint64_t room = places - taken_.size();
  for (uint64_t i = 0; i < room; ++i) EXPECT_EQ(Take(64).count.value(), 1u);
  EXPECT_EQ(taken_.size(), places);
}

TEST_F(ParkingAreaTest, RefusesToTakeBackTwice) {
  const PlaceRun run = Take(2);
  area_.Free(run.first, PageCount(2));
  EXPECT_DEATH(area_.Free(run.first, PageCount(1)), "a parking place was given back twice");
}

}  // namespace
}  // namespace userpager
