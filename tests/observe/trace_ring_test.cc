#include "runtime/observe/trace_ring.h"

#include <gtest/gtest.h>

#include <thread>

namespace userpager {
namespace {

TraceEvent EventAt(uint64_t time_ns) {
  return {time_ns, time_ns * 2, 1, 7, 3, 0, TraceKind::kSoft, 0};
}

// Takes everything that is there, and checks that times go on from `next`.
uint64_t TakeAll(TraceRing& ring, uint64_t next) {
  for (auto events = ring.Peek(); !events.empty(); events = ring.Peek()) {
    for (const TraceEvent& event : events) {
      EXPECT_EQ(next, event.time_ns);
      EXPECT_EQ(next * 2, event.page);
      ++next;
    }
    ring.Consume(events.size());
  }
  return next;
}

TEST(TraceRing, GivesWhatCameInItsOrderAlsoAroundItsEnd) {
  TraceRing ring;
  ASSERT_EQ(0, ring.Init(8));
  EXPECT_TRUE(ring.Peek().empty());
  uint64_t added = 0;
  uint64_t taken = 0;
  for (const int count : {5, 8, 3, 8, 1, 7}) {
    for (int i = 0; i < count; ++i) ring.Add(EventAt(added++));
    taken = TakeAll(ring, taken);
    EXPECT_EQ(added, taken);
  }
  EXPECT_EQ(0u, ring.dropped());
}

TEST(TraceRing, CountsWhatFoundNoRoomAndKeepsTheOldest) {
  TraceRing ring;
  ASSERT_EQ(0, ring.Init(4));
  for (uint64_t i = 0; i < 10; ++i) ring.Add(EventAt(i));
  EXPECT_EQ(6u, ring.dropped());
  EXPECT_EQ(4u, TakeAll(ring, 0));
  ring.Add(EventAt(4));
  EXPECT_EQ(5u, TakeAll(ring, 4));
}

TEST(TraceRing, LosesNothingBetweenTwoThreadsButWhatItCounts) {
  constexpr uint64_t kEvents = 200'000;
  TraceRing ring;
  ASSERT_EQ(0, ring.Init(64));
  std::atomic<bool> done{false};
  std::thread adder([&] {
    for (uint64_t i = 0; i < kEvents; ++i) ring.Add(EventAt(i));
    done.store(true);
  });
  uint64_t taken = 0;
  uint64_t last = 0;
  bool ordered = true;
  for (bool last_look = false; !last_look;) {
    last_look = done.load();
    for (auto events = ring.Peek(); !events.empty(); events = ring.Peek()) {
      for (const TraceEvent& event : events) {
        const bool is_next = taken == 0 || event.time_ns > last;
        ordered = ordered && is_next && event.page == event.time_ns * 2;
        last = event.time_ns;
        ++taken;
      }
      ring.Consume(events.size());
    }
  }
  adder.join();
  EXPECT_TRUE(ordered);
  EXPECT_EQ(kEvents, taken + ring.dropped());
}

}  // namespace
}  // namespace userpager
