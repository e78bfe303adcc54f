#include "runtime/policy/read_streams.h"

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr PageRange kAll{PageIndex(100000), PageCount(1000000)};
constexpr PageIndex kMiddle{500000};
constexpr uint32_t kThread = 7;

// A thread that touches page after page, as the pager would see it: touches of pages that were read
// ahead show only where the page is a marker.
class Reader {
 public:
  Reader(ReadStreams& streams, uint32_t thread_id) : streams_(streams), thread_id_(thread_id) {}

  void Touch(PageIndex page) {
    const bool mapped = there_.count(page.value()) != 0 && markers_.count(page.value()) == 0;
    if (mapped) return;
    misses_ += there_.count(page.value()) == 0;
    const ReadStreams::Plan plan = streams_.OnTouch(thread_id_, page, kAll);
    markers_.erase(page.value());
    there_.insert(page.value());
    for (uint64_t i = 0; i < plan.ahead.count; ++i) {
      EXPECT_TRUE(there_.insert(plan.ahead.At(i).value()).second) << "planned twice";
    }
    if (plan.marker < plan.ahead.count) markers_.insert(plan.ahead.At(plan.marker).value());
    if (plan.ahead.count > 0) windows_.push_back(plan.ahead.count);
    used_ += plan.passed.count;
  }
  void Run(PageIndex from, int64_t stride, uint64_t count) {
    const PageSeries series{from, stride, count};
    for (uint64_t i = 0; i < count; ++i) Touch(series.At(i));
  }

  uint64_t misses() const { return misses_; }
  uint64_t brought() const { return there_.size(); }
  uint64_t used() const { return used_; }
  const std::vector<uint64_t>& windows() const { return windows_; }

 private:
  ReadStreams& streams_;
  const uint32_t thread_id_;
  std::set<uint64_t> there_;
  std::set<uint64_t> markers_;
  std::vector<uint64_t> windows_;
  uint64_t misses_ = 0;
  uint64_t used_ = 0;
};

TEST(ReadStreams, WindowsDoubleAndTheNextIsPlannedInTheMiddle) {
  for (const int64_t direction : {1, -1}) {
    ReadStreams streams;
    Reader reader(streams, kThread);
    reader.Run(kMiddle, direction, 4096);
    // Two touches make the stream; from then on nothing is missed.
    EXPECT_EQ(reader.misses(), 2u);
    ASSERT_GE(reader.windows().size(), 9u);
    for (unsigned i = 0; i < 9; ++i) {
      EXPECT_EQ(reader.windows()[i], std::min<uint64_t>(uint64_t{4} << i, 256));
    }
    // All but what the last windows have left.
    EXPECT_GE(reader.used() + 1024, 4096u);
    EXPECT_LE(reader.used(), 4096u);
  }
}

// A stream that is faster than the disk waits for a page that is on its way: the window behind it
// is planned then, and no third one however often it waits.
TEST(ReadStreams, ALateStreamHasTwoWindowsUnderWay) {
  const PageRange all(kMiddle, PageCount(uint64_t{1} << 20));
  ReadStreams streams;
  const auto page = [&](uint64_t i) { return all.begin + PageCount(i); };
  (void)streams.OnTouch(kThread, page(0), all);
  const ReadStreams::Plan first = streams.OnTouch(kThread, page(1), all);
  ASSERT_EQ(first.ahead.first, page(2));
  ASSERT_EQ(first.ahead.count, 4u);
  // A touch that finds its page there is early enough.
  EXPECT_EQ(streams.OnTouch(kThread, page(2), all).ahead.count, 0u);
  const ReadStreams::Plan second =
      streams.OnTouch(kThread, page(2), all, ReadStreams::Touch::kAwaits);
  EXPECT_EQ(second.ahead.first, page(6));
  EXPECT_EQ(second.ahead.count, 8u);
  EXPECT_EQ(streams.OnTouch(kThread, page(3), all, ReadStreams::Touch::kAwaits).ahead.count, 0u);
  // Where the first window ends, eight are left: as many as the last one had.
  const ReadStreams::Plan third =
      streams.OnTouch(kThread, page(6), all, ReadStreams::Touch::kAwaits);
  EXPECT_EQ(third.ahead.first, page(14));
  EXPECT_EQ(third.ahead.count, 16u);
}

// What has come in makes room for more, up to seven windows that are not passed, wherever the
// thread is; only for a stream whose windows are as long as they become. One page in the length of
// a window is its marker, whatever parts it is read in.
TEST(ReadStreams, WhatArrivesKeepsAFullStreamGoing) {
  for (const int64_t direction : {1, -1}) {
    ReadStreams streams;
    const PageSeries pages{kMiddle, direction, 1 << 20};
    constexpr uint64_t kWindow = ReadStreams::kLongestWindow;
    uint64_t at = 0;
    uint64_t planned = 0;  // up to where
    for (uint64_t window = 0; window < kWindow;) {
      EXPECT_EQ(streams.OnArrived(pages.At(at), kAll).ahead.count, 0u);
      const PageSeries ahead = streams.OnTouch(kThread, pages.At(at), kAll).ahead;
      if (ahead.count > 0) {
        window = ahead.count;
        const uint64_t distance = ahead.At(window - 1).value() - kMiddle.value();
        planned = distance * static_cast<uint64_t>(direction);
      }
      ++at;
    }
    const uint64_t last = at - 1;  // the last touch
    // Not of the stream: behind it, and the first page before what was planned, which may have
    // another owner.
    EXPECT_EQ(streams.OnArrived(pages.At(last - 1), kAll).ahead.count, 0u);
    EXPECT_EQ(streams.OnArrived(pages.At(planned + 1), kAll).ahead.count, 0u);
    std::vector<uint64_t> markers;
    while (planned - last <= 6 * kWindow) {
      const ReadStreams::Plan plan = streams.OnArrived(pages.At(planned), kAll);
      ASSERT_EQ(plan.ahead.count, ReadStreams::kArrivedWindow);
      EXPECT_EQ(plan.ahead.first, pages.At(planned + 1));
      EXPECT_EQ(plan.passed.count, 0u);
      if (plan.marker < plan.ahead.count) markers.push_back(planned + plan.marker);
      planned += plan.ahead.count;
    }
    EXPECT_EQ(streams.OnArrived(pages.At(planned), kAll).ahead.count, 0u);
    EXPECT_LE(planned - last, 7 * kWindow);
    EXPECT_GE(markers.size(), 5u);
    for (size_t i = 1; i < markers.size(); ++i) EXPECT_EQ(markers[i] - markers[i - 1], kWindow);
  }
}

TEST(ReadStreams, EqualStepsAreAStream) {
  for (const int64_t stride : {16, -16, 5, 200}) {
    ReadStreams streams;
    Reader reader(streams, kThread);
    reader.Run(kMiddle, stride, 500);
    EXPECT_EQ(reader.misses(), 3u) << stride;
    EXPECT_LE(*std::max_element(reader.windows().begin(), reader.windows().end()),
              ReadStreams::kLongestStridedWindow);
  }
}

TEST(ReadStreams, SeveralInterleaved) {
  ReadStreams streams;
  Reader reader(streams, kThread);
  for (uint64_t i = 0; i < 1000; ++i) {
    reader.Touch(kMiddle + PageCount(i));
    reader.Touch(kMiddle + PageCount(100000 + 16 * i));
    reader.Touch(kMiddle + PageCount(200000) - PageCount(i));
  }
  EXPECT_EQ(reader.misses(), 2u + 3u + 2u);
}

// What another thread touches in between does not disturb, and does not make a stream.
TEST(ReadStreams, ThreadsAreKeptApart) {
  ReadStreams streams;
  Reader one(streams, 1);
  Reader two(streams, 2);
  for (uint64_t i = 0; i < 1000; ++i) {
    one.Touch(kMiddle + PageCount(i));
    two.Touch(kMiddle + PageCount(2000 + 1000 * i));
  }
  EXPECT_EQ(one.misses(), 2u);
  EXPECT_EQ(two.misses(), 1000u);
  EXPECT_EQ(two.brought(), 1000u);
}

TEST(ReadStreams, ScatteredTouchesReadNothingAhead) {
  ReadStreams streams;
  std::mt19937_64 random(TestSeed());
  uint64_t ahead = 0;
  for (unsigned i = 0; i < 10000; ++i) {
    const PageIndex page(kAll.begin.value() + random() % kAll.count().value());
    ahead += streams.OnTouch(kThread, page, kAll).ahead.count;
  }
  EXPECT_LT(ahead, 100u);
}

// What is planned at a touch of that page behind the middle one.
PageSeries PlannedAt(ReadStreams& streams, uint64_t i) {
  return streams.OnTouch(kThread, kMiddle + PageCount(i), kAll).ahead;
}

TEST(ReadStreams, AMarkerThatWasPassedOverEndsTheStream) {
  ReadStreams streams;
  (void)PlannedAt(streams, 0);
  ASSERT_EQ(PlannedAt(streams, 1).count, 4u);
  ASSERT_EQ(PlannedAt(streams, 8).count, 8u);
  streams.OnMarkerPassedOver();
  // Nor is the void plan the beginning of the next one.
  streams.OnBegun(3);
  const PageSeries next = PlannedAt(streams, 9);
  EXPECT_EQ(next.first, kMiddle + PageCount(10));
  EXPECT_EQ(next.count, 4u);
}

// The one that went on with the last touch ends; that touch may have been of none.
TEST(ReadStreams, AMarkerThatWasPassedOverEndsNoOtherStream) {
  ReadStreams streams;
  (void)PlannedAt(streams, 0);
  ASSERT_EQ(PlannedAt(streams, 1).count, 4u);
  ASSERT_EQ(PlannedAt(streams, 100000).count, 0u);
  streams.OnMarkerPassedOver();
  EXPECT_EQ(PlannedAt(streams, 4).count, 8u);
}

TEST(ReadStreams, NothingIsPlannedOutside) {
  const PageRange narrow(kMiddle, PageCount(50));
  for (const int64_t stride : {1, 7}) {
    ReadStreams streams;
    for (uint64_t i = 0; i * static_cast<uint64_t>(stride) < 50; ++i) {
      const PageSeries touched{narrow.begin, stride, 50};
      const PageSeries ahead = streams.OnTouch(kThread, touched.At(i), narrow).ahead;
      for (uint64_t k = 0; k < ahead.count; ++k) EXPECT_TRUE(narrow.Contains(ahead.At(k)));
    }
  }
}

// What could not be begun is planned again.
TEST(ReadStreams, GoesOnWhereItWasBegun) {
  ReadStreams streams;
  (void)streams.OnTouch(kThread, kMiddle, kAll);
  const PageSeries first = streams.OnTouch(kThread, kMiddle + PageCount(1), kAll).ahead;
  ASSERT_EQ(first.count, 4u);
  streams.OnBegun(1);
  const PageSeries second = streams.OnTouch(kThread, kMiddle + PageCount(2), kAll).ahead;
  EXPECT_EQ(second.first, first.At(1));
  streams.OnBegun(0);
  const PageSeries third = streams.OnTouch(kThread, kMiddle + PageCount(3), kAll).ahead;
  EXPECT_EQ(third.first, kMiddle + PageCount(4));
}

// A touch that could not be served is reported again: it belongs to the same stream.
TEST(ReadStreams, ATouchMayBeReportedAgain) {
  ReadStreams streams;
  (void)streams.OnTouch(kThread, kMiddle, kAll);
  (void)streams.OnTouch(kThread, kMiddle, kAll);
  const PageSeries first = streams.OnTouch(kThread, kMiddle + PageCount(1), kAll).ahead;
  ASSERT_EQ(first.first, kMiddle + PageCount(2));
  streams.OnBegun(0);
  const ReadStreams::Plan again = streams.OnTouch(kThread, kMiddle + PageCount(1), kAll);
  EXPECT_EQ(again.ahead.first, first.first);
  EXPECT_EQ(again.passed.count, 0u);
}

TEST(ReadStreams, WasteShortensTheWindowsAndUseLengthensThem) {
  ReadStreams streams;
  const auto longest = [&](PageIndex from) {
    Reader reader(streams, kThread);
    reader.Run(from, 1, 4096);
    return *std::max_element(reader.windows().begin(), reader.windows().end());
  };
  EXPECT_EQ(longest(kMiddle), 256u);
  streams.OnWasted(256);
  streams.OnWasted(256);
  EXPECT_EQ(longest(kMiddle + PageCount(10000)), 64u);
  streams.OnUsed(4096);
  EXPECT_EQ(longest(kMiddle + PageCount(20000)), 128u);
  // A little waste beside much use changes nothing.
  streams.OnUsed(4000);
  streams.OnWasted(256);
  EXPECT_EQ(longest(kMiddle + PageCount(30000)), 128u);
  streams.set_most(16);
  EXPECT_EQ(longest(kMiddle + PageCount(40000)), 16u);
}

// What is read ahead would take the place of what is used.
TEST(ReadStreams, NoMoreThanMemoryAllowsIsLeftWhereOneMoreWindowIsPlanned) {
  for (const uint64_t most : {32u, 128u, 1024u}) {
    ReadStreams streams;
    streams.set_most(most);
    Reader reader(streams, kThread);
    reader.Run(kMiddle, 1, 2000);
    const uint64_t window = std::min(most, ReadStreams::kLongestWindow);
    EXPECT_EQ(reader.windows().back(), window);
    uint64_t left = 0;
    PageSeries ahead = streams.OnTouch(kThread, kMiddle + PageCount(reader.brought()), kAll).ahead;
    while (ahead.count > 0) {
      left += ahead.count;
      ahead = streams.OnArrived(ahead.At(ahead.count - 1), kAll).ahead;
    }
    EXPECT_GT(left, most);
    EXPECT_LE(left, most + window);
  }
}

}  // namespace
}  // namespace userpager
