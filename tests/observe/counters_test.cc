#include "runtime/observe/counters.h"

#include <cstddef>
#include <memory>

#include "gtest/gtest.h"

namespace userpager {
namespace {

TEST(Counters, Count) {
  Counter counter;
  EXPECT_EQ(counter.value(), 0u);
  ++counter;
  counter.Add(41);
  EXPECT_EQ(counter.value(), 42u);
}

// Every counter of two shards is in the sum, also those that are added to the structure later: they
// are found by their place in it, whatever their names.
TEST(Counters, EveryMemberIsSummed) {
  constexpr size_t kPlain = offsetof(Counters, latency) / sizeof(Counter);
  static_assert(sizeof(Counters) == kPlain * sizeof(Counter) + sizeof(Counters::latency) +
                                        sizeof(Counters::longest_wait));
  const auto one = std::make_unique<Counters>();
  const auto other = std::make_unique<Counters>();
  const auto totals = std::make_unique<CounterTotals>();
  auto* ones = reinterpret_cast<Counter*>(one.get());
  auto* others = reinterpret_cast<Counter*>(other.get());
  for (size_t i = 0; i < kPlain; ++i) {
    ones[i].Add(i + 1);
    others[i].Add(1000 * (i + 1));
  }
  for (unsigned kind = 0; kind < kFaultKindCount; ++kind) {
    one->latency[kind].Record(kind);
    other->latency[kind].Record(10 + kind);
  }
  one->longest_wait.Note(7);
  other->longest_wait.Note(9);
  other->longest_wait.Note(8);
  AddCounters(*one, totals.get());
  AddCounters(*other, totals.get());
  const auto* sums = reinterpret_cast<const Counter*>(totals.get());
  EXPECT_EQ(totals->longest_wait.nanoseconds(), 9u);
  for (size_t i = 0; i < kPlain; ++i) EXPECT_EQ(sums[i].value(), 1001 * (i + 1)) << i;
  for (unsigned kind = 0; kind < kFaultKindCount; ++kind) {
    EXPECT_EQ(totals->latency[kind].count(), 2u);
    EXPECT_EQ(totals->latency[kind].max_ns(), 10 + kind);
    EXPECT_EQ(totals->latency[kind].Percentile(500), kind);
  }
}

}  // namespace
}  // namespace userpager
