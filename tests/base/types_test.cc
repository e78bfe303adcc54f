#include "runtime/base/types.h"

#include <type_traits>

#include "gtest/gtest.h"

namespace userpager {
namespace {

// What the strong types are for: these do not compile.
template <typename A, typename B>
concept Addable = requires(A a, B b) { a + b; };
static_assert(!std::is_convertible_v<uint64_t, PageIndex>);
static_assert(!std::is_convertible_v<PageIndex, uint64_t>);
static_assert(!std::is_convertible_v<PageCount, PageIndex>);
static_assert(!std::is_convertible_v<SlotIndex, FrameIndex>);
static_assert(!Addable<PageIndex, PageIndex>);
static_assert(!Addable<PageIndex, uint64_t>);
static_assert(Addable<PageIndex, PageCount>);
static_assert(std::is_same_v<decltype(PageIndex() - PageIndex()), PageCount>);
static_assert(sizeof(PageIndex) == 8 && sizeof(SlotIndex) == 4 && sizeof(FrameIndex) == 4);

PageRange Range(uint64_t begin, uint64_t end) {
  return PageRange(PageIndex(begin), PageIndex(end));
}

TEST(Types, IndexesAndCountsCompute) {
  PageIndex page(10);
  page += PageCount(5);
  EXPECT_EQ(page, PageIndex(15));
  page -= PageCount(1);
  EXPECT_EQ(++page, PageIndex(15));
  EXPECT_EQ(--page, PageIndex(14));
  EXPECT_EQ(page - PageIndex(4), PageCount(10));
  EXPECT_EQ(SlotIndex(7) - SlotIndex(3), PageCount(4));
  EXPECT_LT(PageIndex(1), PageIndex(2));
  EXPECT_EQ(PageCount(3) + PageCount(4) - PageCount(2), PageCount(5));
}

TEST(Types, AddressesAndPagesConvert) {
  EXPECT_EQ(PageOf(uint64_t{0x12345fff}), PageIndex(0x12345));
  EXPECT_EQ(AddressOf(PageIndex(0x12345)), 0x12345000u);
  int object = 0;
  const auto address = reinterpret_cast<uint64_t>(&object);
  EXPECT_EQ(PageOf(&object), PageIndex(address / 4096));
  EXPECT_EQ(reinterpret_cast<uint64_t>(PointerTo(PageOf(&object))), address / 4096 * 4096);
  EXPECT_EQ(BytesOf(PageCount(3)), 12288u);
}

TEST(Types, PagesHoldingRoundsUpWithoutOverflow) {
  EXPECT_EQ(PagesHolding(0), PageCount(0));
  EXPECT_EQ(PagesHolding(1), PageCount(1));
  EXPECT_EQ(PagesHolding(4096), PageCount(1));
  EXPECT_EQ(PagesHolding(4097), PageCount(2));
  EXPECT_EQ(PagesHolding(~uint64_t{0}), PageCount(uint64_t{1} << 52));
}

TEST(Types, RoundingGoesToMultiples) {
  EXPECT_EQ(RoundDown(kGranularityBytes - 1, kGranularityBytes), 0u);
  EXPECT_EQ(RoundDown(kGranularityBytes, kGranularityBytes), kGranularityBytes);
  EXPECT_EQ(RoundUp(0, kGranularityBytes), 0u);
  EXPECT_EQ(RoundUp(1, kGranularityBytes), kGranularityBytes);
  EXPECT_EQ(RoundUp(kGranularityBytes, kGranularityBytes), kGranularityBytes);
  EXPECT_EQ(RoundUp(kGranularityBytes + 1, kGranularityBytes), 2 * kGranularityBytes);
}

TEST(PageRange, ContainsAndOverlapsAreHalfOpen) {
  const PageRange range = Range(10, 20);
  EXPECT_EQ(range.count(), PageCount(10));
  EXPECT_EQ(range, PageRange(PageIndex(10), PageCount(10)));
  EXPECT_FALSE(range.Contains(PageIndex(9)));
  EXPECT_TRUE(range.Contains(PageIndex(10)));
  EXPECT_TRUE(range.Contains(PageIndex(19)));
  EXPECT_FALSE(range.Contains(PageIndex(20)));
  EXPECT_TRUE(range.Contains(range));
  EXPECT_FALSE(range.Contains(Range(10, 21)));
  EXPECT_FALSE(range.Overlaps(Range(0, 10)));
  EXPECT_TRUE(range.Overlaps(Range(0, 11)));
  EXPECT_TRUE(range.Overlaps(Range(19, 30)));
  EXPECT_FALSE(range.Overlaps(Range(20, 30)));
  EXPECT_TRUE(PageRange().empty());
  EXPECT_TRUE(Range(5, 5).empty());
  EXPECT_FALSE(range.empty());
}

TEST(PageRange, ClipGivesTheCommonPart) {
  const PageRange range = Range(10, 20);
  EXPECT_EQ(range.Clip(Range(0, 100)), range);
  EXPECT_EQ(range.Clip(Range(12, 15)), Range(12, 15));
  EXPECT_EQ(range.Clip(Range(0, 12)), Range(10, 12));
  EXPECT_EQ(range.Clip(Range(15, 40)), Range(15, 20));
  EXPECT_TRUE(range.Clip(Range(0, 10)).empty());
  EXPECT_TRUE(range.Clip(Range(30, 40)).empty());
  EXPECT_EQ(range.Clip(Range(30, 40)).count(), PageCount(0));
}

}  // namespace
}  // namespace userpager
