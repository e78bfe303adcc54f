#include "runtime/observe/latency_histogram.h"

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

// The duration that a percentile must not be below, from the records themselves.
uint64_t ExactPercentile(std::vector<uint64_t> records, unsigned per_mille) {
  std::sort(records.begin(), records.end());
  const size_t rank = std::max<size_t>(1, (records.size() * per_mille + 999) / 1000);
  return records[rank - 1];
}

TEST(LatencyHistogram, IsEmptyAtFirst) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.max_ns(), 0u);
  EXPECT_EQ(histogram.Percentile(500), 0u);
}

TEST(LatencyHistogram, SmallDurationsAreExact) {
  for (uint64_t value = 0; value < 16; ++value) {
    LatencyHistogram histogram;
    histogram.Record(value);
    histogram.Record(1000);
    EXPECT_EQ(histogram.Percentile(500), value);
    EXPECT_EQ(histogram.max_ns(), 1000u);
  }
}

TEST(LatencyHistogram, EachDurationIsWithinASixteenth) {
  std::mt19937_64 random(TestSeed());
  for (unsigned i = 0; i < 2000; ++i) {
    const uint64_t value = random() >> (24 + random() % 40);
    LatencyHistogram histogram;
    histogram.Record(value);
    // Something longer, so that the largest record does not make the answer exact.
    histogram.Record(uint64_t{1} << 41);
    const uint64_t told = histogram.Percentile(500);
    EXPECT_GE(told, value);
    EXPECT_LE(told, value + value / 16);
  }
}

TEST(LatencyHistogram, PercentilesAreBounds) {
  std::mt19937_64 random(TestSeed());
  std::lognormal_distribution<> distribution(9, 2);
  LatencyHistogram histogram;
  std::vector<uint64_t> records;
  for (unsigned i = 0; i < 20000; ++i) {
    records.push_back(static_cast<uint64_t>(distribution(random)));
    histogram.Record(records.back());
  }
  EXPECT_EQ(histogram.count(), records.size());
  EXPECT_EQ(histogram.max_ns(), *std::max_element(records.begin(), records.end()));
  for (const unsigned per_mille : {1u, 10u, 500u, 900u, 990u, 999u, 1000u}) {
    const uint64_t exact = ExactPercentile(records, per_mille);
    EXPECT_GE(histogram.Percentile(per_mille), exact) << per_mille;
    EXPECT_LE(histogram.Percentile(per_mille), exact + exact / 16) << per_mille;
  }
}

TEST(LatencyHistogram, TheLongestFallsIntoTheLastBucket) {
  LatencyHistogram histogram;
  histogram.Record(UINT64_MAX);
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_EQ(histogram.max_ns(), UINT64_MAX);
  EXPECT_GE(histogram.Percentile(999), (uint64_t{1} << 40) - 1);
}

TEST(LatencyHistogram, AddsUp) {
  const auto sum = std::make_unique<LatencyHistogram>();
  LatencyHistogram one;
  LatencyHistogram other;
  for (unsigned i = 0; i < 10; ++i) one.Record(3);
  for (unsigned i = 0; i < 30; ++i) other.Record(11);
  sum->Add(one);
  sum->Add(other);
  EXPECT_EQ(sum->count(), 40u);
  EXPECT_EQ(sum->max_ns(), 11u);
  EXPECT_EQ(sum->Percentile(250), 3u);
  EXPECT_EQ(sum->Percentile(251), 11u);
}

}  // namespace
}  // namespace userpager
