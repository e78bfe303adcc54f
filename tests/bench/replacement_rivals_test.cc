#include "bench/support/replacement_rivals.h"

#include "gtest/gtest.h"

namespace userpager::bench {
namespace {

AccessTrace TraceOf(std::vector<uint32_t> pages) {
  AccessTrace trace;
  trace.pages = std::move(pages);
  trace.page_count = trace.touched = 10;
  return trace;
}

// The reference string of the textbooks, and of Belady's anomaly: FIFO has more misses with more
// memory.
TEST(ReplacementRivals, AgreeWithTheTextbook) {
  const AccessTrace trace = TraceOf({1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5});
  EXPECT_EQ(RunOptimal(trace, 3).misses, 7u);
  EXPECT_EQ(RunOptimal(trace, 4).misses, 6u);
  EXPECT_EQ(RunFifo(trace, 3).misses, 9u);
  EXPECT_EQ(RunFifo(trace, 4).misses, 10u);
  EXPECT_EQ(RunLru(trace, 3).misses, 10u);
  EXPECT_EQ(RunLru(trace, 4).misses, 8u);
}

TEST(ReplacementRivals, ClockGivesASecondChance) {
  // Page 1 was touched again when 4 comes, so 2 goes; FIFO would lose 1.
  const AccessTrace trace = TraceOf({1, 2, 3, 1, 4, 1});
  EXPECT_EQ(RunClock(trace, 3).misses, 4u);
  EXPECT_EQ(RunFifo(trace, 3).misses, 5u);
}

TEST(ReplacementRivals, LfuKeepsWhatWasUsedMost) {
  const AccessTrace trace = TraceOf({1, 1, 1, 2, 3, 4, 5, 6, 1});
  EXPECT_EQ(RunLfu(trace, 3).misses, 6u);
  EXPECT_EQ(RunLru(trace, 3).misses, 7u);
}

// After a fill of five pages the last three are in memory, whatever comes.
TEST(ReplacementRivals, TheFillIsNotCountedAndLeavesTheYoungest) {
  AccessTrace trace = TraceOf({0, 1, 2, 3, 4, 0, 4, 3, 2});
  trace.counted_from = 5;
  EXPECT_EQ(RunOptimal(trace, 3).misses, 2u);
  EXPECT_EQ(RunFifo(trace, 3).misses, 2u);
}

TEST(ReplacementRivals, NobodyBeatsTheOptimum) {
  for (const std::string& name : TraceNames()) {
    const AccessTrace trace = MakeTrace(name, {1024, 256, 8192, true});
    const uint64_t least = RunOptimal(trace, 256).misses;
    for (const auto run : {RunLru, RunLfu, RunClock, RunFifo}) {
      EXPECT_GE(run(trace, 256).misses, least) << name;
    }
  }
}

}  // namespace
}  // namespace userpager::bench
