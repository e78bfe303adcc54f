#include "bench/support/replacement_table.h"

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace userpager::bench {
namespace {

using ::testing::HasSubstr;

// Twenty pages in turn in memory of sixteen: by age none is found.
TEST(ReplacementTable, ShowsCountsAndRatios) {
  AccessTrace trace;
  trace.name = "twenty";
  trace.page_count = trace.touched = 20;
  for (uint32_t i = 0; i < 2000; ++i) trace.pages.push_back(i % 20);
  const double least = static_cast<double>(RunOptimal(trace, 16).misses);
  ReplacementTable table;
  table.Measure(trace, 16);
  EXPECT_THAT(table.Json(), HasSubstr("\"trace\": \"twenty\", \"accesses\": 2000, \"pages\": 20"));
  EXPECT_THAT(table.Json(), HasSubstr("\"ideal_lru\": {\"misses\": 2000}"));
  EXPECT_THAT(table.Json(), HasSubstr("\"fifo\": {\"misses\": 2000, \"soft_faults\": "));
  EXPECT_THAT(table.Markdown(), HasSubstr(absl::StrFormat("| twenty | %.2f%% |", least / 20)));
  EXPECT_THAT(table.Markdown(), HasSubstr(absl::StrFormat(" %.2f |", 2000 / least)));
  EXPECT_THAT(table.Chart(), HasSubstr("twenty"));
}

}  // namespace
}  // namespace userpager::bench
