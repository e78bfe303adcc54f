// The C++ layer's region: one reservation, its pages, its owner.
#include <gtest/gtest.h>
#include <userpager/memory.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "tests/api/memory_fixture.h"

namespace userpager_tests {
namespace {

using RegionTest = MemoryTest;

TEST_F(RegionTest, ReservesRoundedUpAndCommitsNothing) {
  const uint64_t charge_before = CommitBytes();
  userpager::region region = userpager::region::reserve(kMiB + 1);
  ASSERT_TRUE(region);
  EXPECT_EQ(region.size_bytes(), kMiB + kPageBytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(region.data()) % kGranularityBytes, 0u);
  EXPECT_EQ(region.span().data(), region.data());
  EXPECT_EQ(region.span().size(), region.size_bytes());
  EXPECT_EQ(Query(region.data()).State, DWORD{MEM_RESERVE});
  EXPECT_EQ(Query(region.data()).RegionSize, region.size_bytes());
  EXPECT_EQ(CommitBytes(), charge_before);
}

TEST_F(RegionTest, AllocateIsCommittedAndReadsAsZero) {
  userpager::region region = userpager::region::allocate(3 * kPageBytes);
  ASSERT_TRUE(region);
  for (const std::byte value : region.span()) ASSERT_EQ(value, std::byte{0});
  std::memset(region.data(), 0x5a, region.size_bytes());
  for (const std::byte value : region.span()) ASSERT_EQ(value, std::byte{0x5a});
}

TEST_F(RegionTest, CommitDecommitAndCommitAgain) {
  const uint64_t charge_before = CommitBytes();
  userpager::region region = userpager::region::reserve(kMiB);
  ASSERT_TRUE(region);
  ASSERT_TRUE(region.commit(2 * kPageBytes, 2 * kPageBytes));
  EXPECT_EQ(CommitBytes() - charge_before, 2 * kPageBytes);
  EXPECT_EQ(Query(region.data()).State, DWORD{MEM_RESERVE});
  EXPECT_EQ(Query(region.data() + 2 * kPageBytes).State, DWORD{MEM_COMMIT});
  EXPECT_EQ(Query(region.data() + 4 * kPageBytes).State, DWORD{MEM_RESERVE});

  std::memset(region.data() + 2 * kPageBytes, 0x77, 2 * kPageBytes);
  ASSERT_TRUE(region.decommit(2 * kPageBytes, 1));
  EXPECT_EQ(CommitBytes() - charge_before, kPageBytes);
  ASSERT_TRUE(region.commit(2 * kPageBytes, 2 * kPageBytes));
  EXPECT_EQ(region.span()[2 * kPageBytes], std::byte{0}) << "decommitted contents came back";
  EXPECT_EQ(region.span()[3 * kPageBytes], std::byte{0x77}) << "committing again lost contents";
  region.release();
  EXPECT_EQ(CommitBytes(), charge_before);
}

TEST_F(RegionTest, ProtectKeepsContents) {
  userpager::region region = userpager::region::allocate(2 * kPageBytes);
  ASSERT_TRUE(region);
  region.span()[0] = std::byte{42};
  ASSERT_TRUE(region.protect(0, 1, PAGE_READONLY));
  EXPECT_EQ(Query(region.data()).Protect, DWORD{PAGE_READONLY});
  EXPECT_EQ(Query(region.data() + kPageBytes).Protect, DWORD{PAGE_READWRITE});
  EXPECT_EQ(region.span()[0], std::byte{42});
  ASSERT_TRUE(region.protect(0, region.size_bytes(), PAGE_READWRITE));
  region.span()[0] = std::byte{43};
  EXPECT_EQ(region.span()[0], std::byte{43});
}

TEST_F(RegionTest, RefusesRangesOutsideItself) {
  userpager::region region = userpager::region::allocate(2 * kPageBytes);
  ASSERT_TRUE(region);
  region.span()[0] = std::byte{1};
  const std::size_t size = region.size_bytes();
  constexpr std::size_t kHuge = ~std::size_t{0};
  const std::array<std::array<std::size_t, 2>, 6> ranges = {
      {{0, 0}, {size, 1}, {0, size + 1}, {size - 1, 2}, {1, kHuge}, {kHuge, 1}}};
  for (const auto& [offset, count] : ranges) {
    SetLastError(ERROR_SUCCESS);
    EXPECT_FALSE(region.commit(offset, count)) << offset << " " << count;
    EXPECT_EQ(GetLastError(), DWORD{ERROR_INVALID_PARAMETER});
    SetLastError(ERROR_SUCCESS);
    EXPECT_FALSE(region.decommit(offset, count)) << offset << " " << count;
    EXPECT_EQ(GetLastError(), DWORD{ERROR_INVALID_PARAMETER});
    SetLastError(ERROR_SUCCESS);
    EXPECT_FALSE(region.protect(offset, count, PAGE_READONLY)) << offset << " " << count;
    EXPECT_EQ(GetLastError(), DWORD{ERROR_INVALID_PARAMETER});
  }
  EXPECT_EQ(region.span()[0], std::byte{1});
}

TEST_F(RegionTest, ProtectOfUncommittedPagesFails) {
  userpager::region region = userpager::region::reserve(2 * kPageBytes);
  ASSERT_TRUE(region.commit(0, kPageBytes));
  EXPECT_FALSE(region.protect(0, 2 * kPageBytes, PAGE_READONLY));
  EXPECT_EQ(GetLastError(), DWORD{ERROR_INVALID_ADDRESS});
  EXPECT_EQ(Query(region.data()).Protect, DWORD{PAGE_READWRITE});
}

TEST_F(RegionTest, FailedReservationsAreEmpty) {
  userpager::region none = userpager::region::reserve(0);
  EXPECT_FALSE(none);
  EXPECT_EQ(GetLastError(), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(none.size_bytes(), 0u);
  EXPECT_TRUE(none.span().empty());
  EXPECT_FALSE(none.commit(0, 1));
  none.release();
  userpager::region absurd = userpager::region::reserve(~std::size_t{0});
  EXPECT_FALSE(absurd);
  EXPECT_EQ(absurd.size_bytes(), 0u);
}

TEST_F(RegionTest, MovesOwnership) {
  static_assert(!std::is_copy_constructible_v<userpager::region>);
  static_assert(!std::is_copy_assignable_v<userpager::region>);
  static_assert(std::is_nothrow_move_constructible_v<userpager::region>);
  static_assert(std::is_nothrow_move_assignable_v<userpager::region>);
  const uint64_t charge_before = CommitBytes();
  {
    userpager::region first = userpager::region::allocate(kPageBytes);
    ASSERT_TRUE(first);
    std::byte* const data = first.data();
    data[0] = std::byte{9};
    userpager::region second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT: what a moved-from region is, is part of its contract
    EXPECT_EQ(second.data(), data);
    EXPECT_EQ(second.span()[0], std::byte{9});

    userpager::region third = userpager::region::allocate(2 * kPageBytes);
    ASSERT_TRUE(third);
    std::byte* const replaced = third.data();
    third = std::move(second);
    EXPECT_EQ(third.data(), data);
    EXPECT_EQ(third.size_bytes(), kPageBytes);
    EXPECT_EQ(Query(replaced).State, DWORD{MEM_FREE}) << "assignment leaked the old region";

    userpager::region& same = third;
    third = std::move(same);
    EXPECT_EQ(third.data(), data) << "self-assignment lost the region";
    userpager::region other;
    swap(third, other);
    EXPECT_FALSE(third);
    EXPECT_EQ(other.data(), data);
    EXPECT_EQ(other.span()[0], std::byte{9});
  }
  EXPECT_EQ(CommitBytes(), charge_before);
}

}  // namespace
}  // namespace userpager_tests
