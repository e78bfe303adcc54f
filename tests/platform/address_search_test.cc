#include "runtime/platform/address_search.h"

#include <errno.h>
#include <sys/mman.h>

#include <vector>

#include "gtest/gtest.h"
#include "runtime/platform/process_map.h"

namespace userpager {
namespace {

// Below where the kernel places anything by itself, and where sanitizers have nothing of theirs.
constexpr PageIndex kLow{0x3000'0000 / kPageBytes};
constexpr PageCount kUnit{kGranularityPages};

// A range of the address space whose ends are mapped, and what is to be free between them.
class AddressSearchTest : public testing::Test {
 protected:
  void SetUp() override {
    Map(PageRange(kLow, kUnit));
    Map(PageRange(kLow + PageCount(100 * kUnit.value()), kUnit));
  }
  void TearDown() override {
    for (const PageRange range : mapped_) EXPECT_EQ(Unmap(range), 0);
  }
  void Map(PageRange range) {
    PageIndex mapped;
    ASSERT_EQ(MapReservation(range.begin, range.count(), &mapped), 0);
    mapped_.push_back(range);
  }
  static PageIndex Unit(uint64_t number) { return kLow + PageCount(number * kUnit.value()); }
  static AddressRequirements Between(PageIndex lowest, PageIndex end, uint64_t alignment = 1) {
    AddressRequirements where;
    where.lowest = lowest;
    where.end = end;
    where.alignment = PageCount(alignment * kUnit.value());
    return where;
  }

 private:
  std::vector<PageRange> mapped_;
};

TEST_F(AddressSearchTest, TakesTheHighestOfTheLastGap) {
  PageIndex at;
  const AddressRequirements where = Between(Unit(0), Unit(101));
  ASSERT_EQ(FindFreeAddress(where, PageCount(1), &at), 0);
  EXPECT_EQ(at, Unit(99));
  ASSERT_EQ(FindFreeAddress(where, PageCount(99 * kUnit.value()), &at), 0);
  EXPECT_EQ(at, Unit(1));
  EXPECT_EQ(FindFreeAddress(where, PageCount(99 * kUnit.value() + 1), &at), ENOMEM);
}

TEST_F(AddressSearchTest, PassesOverWhatIsMapped) {
  Map(PageRange(Unit(60), PageCount(40 * kUnit.value())));
  Map(PageRange(Unit(57), PageCount(1)));
  PageIndex at;
  const AddressRequirements where = Between(Unit(0), Unit(101));
  ASSERT_EQ(FindFreeAddress(where, kUnit + kUnit, &at), 0);
  EXPECT_EQ(at, Unit(58));
  ASSERT_EQ(FindFreeAddress(where, PageCount(3 * kUnit.value()), &at), 0);
  EXPECT_EQ(at, Unit(54));
}

TEST_F(AddressSearchTest, KeepsTheEndToThePage) {
  PageIndex at;
  const PageIndex end = Unit(50) + PageCount(3);
  ASSERT_EQ(FindFreeAddress(Between(Unit(0), end), PageCount(3), &at), 0);
  EXPECT_EQ(at, Unit(50));
  ASSERT_EQ(FindFreeAddress(Between(Unit(0), end), PageCount(4), &at), 0);
  EXPECT_EQ(at, Unit(49));
}

TEST_F(AddressSearchTest, AlignsAbsolutely) {
  PageIndex at;
  ASSERT_EQ(FindFreeAddress(Between(Unit(0), Unit(101), 32), kUnit, &at), 0);
  EXPECT_EQ(at.value() % (32 * kUnit.value()), 0u);
  EXPECT_EQ(FindFreeAddress(Between(Unit(97), Unit(101), 1 << 20), kUnit, &at), ENOMEM);
}

TEST(AddressSearch, WithoutRequirementsAsksTheKernel) {
  PageIndex at;
  ASSERT_EQ(FindFreeAddress(AddressRequirements{}, PageCount(5), &at), 0);
  EXPECT_EQ(at.value() % kUnit.value(), 0u);
  PageIndex mapped;
  ASSERT_EQ(MapReservation(at, kUnit, &mapped), 0);
  EXPECT_EQ(mapped, at);
  EXPECT_EQ(Unmap(PageRange(at, kUnit)), 0);
  EXPECT_EQ(FindFreeAddress(AddressRequirements{}, PageCount(UINT64_MAX >> 13), &at), ENOMEM);
  // More than there are bytes with what aligns it; and more than there are below an end.
  EXPECT_EQ(FindFreeAddress(AddressRequirements{}, PageCount(UINT64_MAX >> 12), &at), ENOMEM);
  AddressRequirements low;
  low.end = PageIndex(kUnit.value());
  EXPECT_EQ(FindFreeAddress(low, kUnit + PageCount(1), &at), ENOMEM);
}

TEST(ProcessMap, TellsMappingsInOrder) {
  // So many neighbours that do not merge fill the map's buffer more than once.
  constexpr uint64_t kNeighbours = 400;
  char* base = static_cast<char*>(mmap(nullptr, kNeighbours * kPageBytes, PROT_NONE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  ASSERT_NE(base, MAP_FAILED);
  for (uint64_t i = 0; i < kNeighbours; i += 2) {
    ASSERT_EQ(mprotect(base + i * kPageBytes, kPageBytes, PROT_READ), 0);
  }
  ProcessMap map;
  ASSERT_EQ(map.Open(), 0);
  PageIndex end;
  uint64_t seen = 0;
  bool stack = false;
  const PageIndex here = PageOf(&stack);
  const PageRange neighbours(PageOf(base), PageCount(kNeighbours));
  for (ProcessMapping next; map.AtOrAfter(end, &next) == 0;) {
    const PageRange mapping = next.range;
    EXPECT_LE(end, mapping.begin);
    EXPECT_LT(mapping.begin, mapping.end);
    end = mapping.end;
    seen += mapping.Clip(neighbours).count().value();
    stack = stack || mapping.Contains(here);
  }
  EXPECT_EQ(seen, kNeighbours);
  EXPECT_TRUE(stack);
  munmap(base, kNeighbours * kPageBytes);
}

}  // namespace
}  // namespace userpager
