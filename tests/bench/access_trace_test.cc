#include "bench/support/access_trace.h"

#include <algorithm>
#include <fstream>
#include <set>

#include "gtest/gtest.h"
#include "tests/support/temp_directory.h"

namespace userpager::bench {
namespace {

constexpr TraceSize kSize{4096, 1024, 40'000, false};

TEST(AccessTrace, EveryTraceKeepsToItsSize) {
  for (const std::string& name : TraceNames()) {
    const AccessTrace trace = MakeTrace(name, kSize);
    EXPECT_EQ(trace.name, name);
    EXPECT_EQ(trace.pages.size(), kSize.accesses) << name;
    EXPECT_EQ(trace.counted_from, 0u) << name;
    EXPECT_LT(*std::max_element(trace.pages.begin(), trace.pages.end()), kSize.pages) << name;
    EXPECT_EQ(MakeTrace(name, kSize).pages, trace.pages) << name << ": not the same every time";
  }
  EXPECT_EQ(MakeTrace("no such trace", kSize).name, "");
}

TEST(AccessTrace, AFillComesFirstAndTouchesEachPageOnce) {
  TraceSize size = kSize;
  size.with_fill = true;
  const AccessTrace trace = MakeTrace("skew", size);
  ASSERT_EQ(trace.counted_from, size.pages);
  ASSERT_EQ(trace.pages.size(), size.pages + size.accesses);
  for (uint32_t i = 0; i < size.pages; ++i) ASSERT_EQ(trace.pages[i], i);
}

// How many of the pages get how many of the accesses.
double ShareOfMostTouched(const AccessTrace& trace, double share_of_pages) {
  std::vector<uint64_t> touches(trace.page_count);
  for (const uint32_t page : trace.pages) ++touches[page];
  std::sort(touches.rbegin(), touches.rend());
  const auto count = static_cast<size_t>(share_of_pages * trace.page_count);
  uint64_t sum = 0;
  for (size_t i = 0; i < count; ++i) sum += touches[i];
  return static_cast<double>(sum) / static_cast<double>(trace.pages.size());
}

TEST(AccessTrace, TheTracesAreWhatTheirNamesSay) {
  EXPECT_NEAR(ShareOfMostTouched(MakeTrace("skew", kSize), 0.2), 0.9, 0.01);
  EXPECT_NEAR(ShareOfMostTouched(MakeTrace("scan-hot", kSize), 0.125), 0.5, 0.05);
  EXPECT_NEAR(ShareOfMostTouched(MakeTrace("loop", kSize), 0.5), 0.5, 0.03);
  const AccessTrace tight = MakeTrace("tight-loop", kSize);
  EXPECT_EQ(std::set<uint32_t>(tight.pages.begin(), tight.pages.end()).size(),
            kSize.memory * 5 / 4);
  // Hot within a phase, and not over all of them.
  AccessTrace phases = MakeTrace("phases", kSize);
  EXPECT_LT(ShareOfMostTouched(phases, 0.1875), 0.5);
  phases.pages.resize(phases.pages.size() / 8);
  EXPECT_GT(ShareOfMostTouched(phases, 0.1875), 0.85);
}

class TraceFile : public testing::Test {
 protected:
  std::string Read(const std::string& content) {
    const std::string path = directory_ / "a trace.txt";
    std::ofstream(path) << content;
    trace_ = AccessTrace();
    return ReadTrace(path, &trace_);
  }

  TempDirectory directory_;
  AccessTrace trace_;
};

TEST_F(TraceFile, PagesKeepTheirOrderAndWhoIsWhoseNeighbour) {
  ASSERT_EQ(Read("# a comment\n7\n0x8\n\n1000000000000\n7\n0xfffffffffffff\n9\n"), "");
  EXPECT_EQ(trace_.name, "a_trace.txt");
  EXPECT_EQ(trace_.touched, 5u);
  const std::vector<uint32_t> expected = {0, 1, 4, 0, 6, 2};
  EXPECT_EQ(trace_.pages, expected);
  EXPECT_EQ(trace_.page_count, 7u);
}

TEST_F(TraceFile, WhatIsNoTraceIsNamed) {
  EXPECT_NE(Read("7\nseven\n").find(":2: \"seven\""), std::string::npos);
  for (const char* line : {"-1", "7 8", "0x", "1.5", "99999999999999999999999"}) {
    EXPECT_NE(Read(line), "") << line;
  }
  EXPECT_NE(Read("# nothing\n").find("has no accesses"), std::string::npos);
  EXPECT_NE(ReadTrace(directory_ / "missing", &trace_).find("cannot open"), std::string::npos);
}

}  // namespace
}  // namespace userpager::bench
