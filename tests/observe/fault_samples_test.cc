// Which faults are sampled, and what a reader finds.
#include "runtime/observe/fault_samples.h"

#include <gtest/gtest.h>

namespace userpager {
namespace {

TEST(FaultSamples, TakeOneOfSoMany) {
  FaultSamples samples;
  constexpr uint64_t kFaults = 320'000;
  uint64_t taken = 0;
  for (uint64_t i = 0; i < kFaults; ++i) taken += samples.IsNext();
  EXPECT_GT(taken, kFaults / FaultSamples::kEvery * 9 / 10);
  EXPECT_LT(taken, kFaults / FaultSamples::kEvery * 11 / 10);
}

// A program whose faults come from two regions in turn has half of its samples from each.
TEST(FaultSamples, FollowNoRhythm) {
  for (const uint64_t rhythm : {2u, 4u, 32u, 64u}) {
    FaultSamples samples;
    uint64_t first = 0;
    uint64_t taken = 0;
    for (uint64_t i = 0; i < 640'000; ++i) {
      if (!samples.IsNext()) continue;
      ++taken;
      first += i % rhythm < rhythm / 2;
    }
    EXPECT_NEAR(0.5, static_cast<double>(first) / static_cast<double>(taken), 0.03) << rhythm;
  }
}

TEST(FaultSamples, KeepTheLast) {
  FaultSamples samples;
  for (uint64_t i = 0; i < FaultSamples::kKept + 10; ++i) samples.Tell({i, i + 1});
  EXPECT_EQ(FaultSamples::kKept + 10, samples.told());
  EXPECT_EQ((FaultSamples::Region{10, 11}), samples.At(10));
  EXPECT_EQ((FaultSamples::Region{FaultSamples::kKept + 9, FaultSamples::kKept + 10}),
            samples.At(FaultSamples::kKept + 9));
}

TEST(FaultSamples, HoldAnyRegion) {
  FaultSamples samples;
  const uint64_t last_page = (uint64_t{1} << 36) - 1;
  samples.Tell({last_page, UINT64_MAX});
  EXPECT_EQ(last_page, samples.At(0).first_page);
  EXPECT_EQ((uint64_t{1} << FaultSamples::kCountBits) - 1, samples.At(0).page_count);
}

}  // namespace
}  // namespace userpager
