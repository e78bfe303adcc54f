#include "bench/support/result_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace userpager::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

Metrics Throughput(double value) { return {{"value", value}}; }

TEST(ResultTable, MediansAndRatiosAreOverTheRounds) {
  ResultTable table;
  const double library[] = {100, 300, 200};
  const double swap[] = {50, 100, 200};
  for (unsigned round = 0; round < 3; ++round) {
    table.Add(round, Workload::kSequential, Backend::kLibrary, Throughput(library[round]));
    table.Add(round, Workload::kSequential, Backend::kSwap, Throughput(swap[round]));
  }
  EXPECT_EQ(200, table.MedianOf(Workload::kSequential, Backend::kLibrary, "value"));
  // 2, 3 and 1: the median of the ratios, which is not the ratio of the medians' rounds.
  EXPECT_EQ(2, table.RatioOf(Workload::kSequential, Backend::kLibrary, Backend::kSwap));
  EXPECT_FALSE(table.MedianOf(Workload::kSequential, Backend::kDisk, "value").has_value());
  EXPECT_FALSE(table.RatioOf(Workload::kStride, Backend::kLibrary, Backend::kSwap).has_value());
}

TEST(ResultTable, OnlyTheSameRoundIsCompared) {
  ResultTable table;
  table.Add(1, Workload::kFill, Backend::kLibrary, Throughput(100));
  table.Add(2, Workload::kFill, Backend::kLibrary, Throughput(500));
  table.Add(2, Workload::kFill, Backend::kSwap, Throughput(250));
  EXPECT_EQ(2, table.RatioOf(Workload::kFill, Backend::kLibrary, Backend::kSwap));
}

TEST(ResultTable, TheBestAdviceStandsForTheMappedFile) {
  ResultTable table;
  EXPECT_FALSE(table.BestMapped(Workload::kRandom1).has_value());
  table.Add(1, Workload::kRandom1, Backend::kMapped, Throughput(90));
  table.Add(1, Workload::kRandom1, Backend::kMappedRandom, Throughput(10'000));
  table.Add(1, Workload::kRandom1, Backend::kMappedSequential, Throughput(80));
  EXPECT_EQ(Backend::kMappedRandom, table.BestMapped(Workload::kRandom1));
  EXPECT_THAT(table.Markdown({}), HasSubstr("10000 (MADV_RANDOM)"));
}

TEST(ResultTable, WhatWasLeftOutIsSaid) {
  ResultTable table;
  table.Skip(Backend::kSwap, "no \"right\"");
  table.Add(1, Workload::kFill, Backend::kLibrary, Throughput(1));
  EXPECT_THAT(table.Markdown({{"kernel", "k"}}), HasSubstr("Left out: kernel swap: no \"right\""));
  EXPECT_THAT(table.Markdown({{"kernel", "k"}}), HasSubstr("- kernel: k"));
  EXPECT_THAT(table.Json({}), HasSubstr("\"swap\": \"no \\\"right\\\"\""));
  EXPECT_THAT(table.Markdown({}), Not(HasSubstr("zipf")));
}

TEST(ResultTable, JsonHasEveryRound) {
  ResultTable table;
  table.Add(1, Workload::kZipf, Backend::kLibrary, {{"value", 1.5}, {"p50_us", 2}});
  table.Add(2, Workload::kZipf, Backend::kLibrary, Throughput(2.5));
  const std::string json = table.Json({});
  EXPECT_THAT(json, HasSubstr("{\"workload\": \"zipf\", \"backend\": \"library\", \"round\": 1, "
                              "\"unit\": \"/s\", \"p50_us\": 2, \"value\": 1.5},"));
  EXPECT_THAT(json, HasSubstr("\"round\": 2, \"unit\": \"/s\", \"value\": 2.5}\n"));
}

TEST(Metrics, TextGoesThereAndBack) {
  const Metrics metrics = {{"value", 1234.5}, {"p50_us", 0.25}};
  Metrics back;
  ASSERT_TRUE(ParseMetrics(FormatMetrics(metrics), &back));
  EXPECT_EQ(metrics, back);
  for (const char* bad : {"value\n", "value 1 2\n", "value x\n", " 1\n"}) {
    EXPECT_FALSE(ParseMetrics(bad, &back)) << bad;
  }
}

}  // namespace
}  // namespace userpager::bench
