#include "runtime/policy/stream_table.h"

#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr PageRange kAll{PageIndex(1000), PageCount(100000)};
constexpr PageIndex kMiddle{50000};

// The lengths of the runs of a stream of faults, each at the border of the last run.
std::vector<uint64_t> RunsOf(StreamTable& table, PageIndex page, bool backward, unsigned faults) {
  std::vector<uint64_t> lengths;
  for (unsigned i = 0; i < faults; ++i) {
    const StreamTable::Plan plan = table.OnFault(page, kAll);
    EXPECT_TRUE(plan.range.Contains(page));
    table.OnDone(plan.range);
    lengths.push_back(plan.range.count().value());
    page = backward ? plan.range.begin - PageCount(1) : plan.range.end;
  }
  return lengths;
}

TEST(StreamTable, RunsDoubleUpToTheMost) {
  const std::vector<uint64_t> expected = {1, 2, 4, 8, 16, 32, 64, 64, 64};
  StreamTable forward(PageCount(64));
  EXPECT_EQ(RunsOf(forward, kMiddle, false, 9), expected);
  StreamTable backward(PageCount(64));
  EXPECT_EQ(RunsOf(backward, kMiddle, true, 9), expected);
}

TEST(StreamTable, ScatteredFaultsCostNothingExtra) {
  StreamTable table(PageCount(64));
  std::mt19937_64 random(TestSeed());
  for (unsigned i = 0; i < 200; ++i) {
    // At least 64 pages apart.
    const PageIndex page(kAll.begin.value() + (random() % 1500) * 64 + 32);
    const StreamTable::Plan plan = table.OnFault(page, kAll);
    table.OnDone(plan.range);
    EXPECT_EQ(plan.range, PageRange(page, PageCount(1)));
  }
}

TEST(StreamTable, SeveralStreamsAtATime) {
  StreamTable table(PageCount(64));
  PageIndex next[] = {kMiddle, kMiddle + PageCount(10000), kMiddle + PageCount(20000)};
  for (unsigned round = 0; round < 7; ++round) {
    for (PageIndex& page : next) {
      const StreamTable::Plan plan = table.OnFault(page, kAll);
      EXPECT_EQ(plan.range.count().value(), uint64_t{1} << round);
      table.OnDone(plan.range);
      page = plan.range.end;
    }
  }
}

TEST(StreamTable, PlansStayWithin) {
  const PageRange narrow(kMiddle, PageCount(10));
  for (const bool backward : {false, true}) {
    StreamTable table(PageCount(64));
    PageIndex page = backward ? narrow.end - PageCount(1) : narrow.begin;
    for (unsigned i = 0; i < 4; ++i) {
      const StreamTable::Plan plan = table.OnFault(page, narrow);
      EXPECT_TRUE(narrow.Contains(plan.range));
      EXPECT_TRUE(plan.range.Contains(page));
      table.OnDone(plan.range);
      page = backward ? plan.range.begin - PageCount(1) : plan.range.end;
      if (!narrow.Contains(page)) break;
    }
    EXPECT_FALSE(narrow.Contains(page));
  }
}

// A stream is expected where its last run really ended, and says what it has passed.
TEST(StreamTable, GoesOnWhereItWasDone) {
  StreamTable table(PageCount(64));
  PageRange done(kMiddle, PageCount(1));
  (void)table.OnFault(kMiddle, kAll);
  table.OnDone(done);
  StreamTable::Plan plan = table.OnFault(done.end, kAll);
  EXPECT_EQ(plan.range.count().value(), 2u);
  EXPECT_EQ(plan.passed, done);
  // Of two pages only the first could be had.
  done = PageRange(plan.range.begin, PageCount(1));
  table.OnDone(done);
  plan = table.OnFault(done.end, kAll);
  EXPECT_EQ(plan.range.count().value(), 4u);
  EXPECT_EQ(plan.passed, done);
  // A few pages that were resident may be skipped, many not.
  table.OnDone(plan.range);
  const StreamTable::Plan skipped = table.OnFault(plan.range.end + PageCount(4), kAll);
  EXPECT_EQ(skipped.range.count().value(), 8u);
  table.OnDone(skipped.range);
  const StreamTable::Plan lost = table.OnFault(skipped.range.end + PageCount(1000), kAll);
  EXPECT_EQ(lost.range.count().value(), 1u);
  EXPECT_TRUE(lost.passed.empty());
}

}  // namespace
}  // namespace userpager
