#include "runtime/api/allocation_flags.h"

#include <gtest/gtest.h>

#include <set>

namespace userpager {
namespace {

// All combinations of base bits and modifiers against the rule in its shortest form.
TEST(AllocationFlagsTest, ExactlyTheValidProtectionsDecode) {
  std::set<DWORD> valid;
  constexpr DWORD kBases[] = {PAGE_NOACCESS, PAGE_READONLY,     PAGE_READWRITE,
                              PAGE_EXECUTE,  PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE};
  constexpr DWORD kModifiers[] = {PAGE_GUARD, PAGE_NOCACHE, PAGE_WRITECOMBINE};
  for (const DWORD base : kBases) {
    valid.insert(base);
    if (base == PAGE_NOACCESS) continue;
    for (const DWORD modifier : kModifiers) valid.insert(base | modifier);
  }
  for (DWORD protect = 0; protect < 0x1000; ++protect) {
    const auto decoded = DecodeProtection(protect);
    EXPECT_EQ(decoded.has_value(), valid.count(protect) == 1) << protect;
    if (decoded.has_value()) {
      EXPECT_EQ(EncodeProtection(*decoded), protect);
    }
  }
  for (unsigned bit = 12; bit < 32; ++bit) {
    EXPECT_FALSE(DecodeProtection(PAGE_READWRITE | DWORD{1} << bit).has_value()) << bit;
  }
}

// The rule of the documentation, written down a second time and another way.
DWORD ExpectedOfType(DWORD type) {
  constexpr DWORD kReserveCommit = MEM_RESERVE | MEM_COMMIT;
  if (type == MEM_RESET || type == MEM_RESET_UNDO) return ERROR_SUCCESS;
  const DWORD kind = type & kReserveCommit;
  switch (type & ~(kReserveCommit | MEM_TOP_DOWN)) {
    case 0:
      return kind != 0 ? ERROR_SUCCESS : ERROR_INVALID_PARAMETER;
    case MEM_WRITE_WATCH:
      return (kind & MEM_RESERVE) != 0 ? ERROR_SUCCESS : ERROR_INVALID_PARAMETER;
    case MEM_PHYSICAL:
    case MEM_PHYSICAL | MEM_WRITE_WATCH:
      return kind == MEM_RESERVE ? ERROR_SUCCESS : ERROR_INVALID_PARAMETER;
    case MEM_LARGE_PAGES:
      return kind == kReserveCommit ? ERROR_SUCCESS : ERROR_INVALID_PARAMETER;
    default:
      return ERROR_INVALID_PARAMETER;
  }
}

TEST(AllocationFlagsTest, TypesOfUpToThreeBits) {
  for (unsigned a = 0; a < 32; ++a) {
    for (unsigned b = 0; b < 32; ++b) {
      for (unsigned c = 0; c < 32; ++c) {
        const DWORD type = DWORD{1} << a | DWORD{1} << b | DWORD{1} << c;
        ASSERT_EQ(CheckAllocationType(type), ExpectedOfType(type)) << std::hex << type;
      }
    }
  }
  EXPECT_EQ(CheckAllocationType(0), DWORD{ERROR_INVALID_PARAMETER});
}

TEST(AllocationFlagsTest, PhysicalAndLargePagesAreReadWriteOnly) {
  constexpr DWORD kTypes[] = {MEM_RESERVE | MEM_PHYSICAL,
                              MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES};
  for (const DWORD type : kTypes) {
    EXPECT_EQ(CheckAllocationProtection(type, PAGE_READWRITE), DWORD{ERROR_SUCCESS});
    EXPECT_EQ(CheckAllocationProtection(type, PAGE_READONLY), DWORD{ERROR_INVALID_PARAMETER});
    EXPECT_EQ(CheckAllocationProtection(type, PAGE_READWRITE | PAGE_GUARD),
              DWORD{ERROR_INVALID_PARAMETER});
  }
}

TEST(AllocationFlagsTest, CachingShowsAsTheReservationHasIt) {
  const Protection no_cache = *DecodeProtection(PAGE_READWRITE | PAGE_NOCACHE);
  const Protection plain = *DecodeProtection(PAGE_READWRITE);
  const auto shown = [](DWORD page, Protection allocation) {
    return EncodeProtection(ShownProtection(*DecodeProtection(page), allocation));
  };
  EXPECT_EQ(shown(PAGE_READONLY, no_cache), DWORD{PAGE_READONLY | PAGE_NOCACHE});
  EXPECT_EQ(shown(PAGE_READONLY | PAGE_NOCACHE, plain), DWORD{PAGE_READONLY});
  EXPECT_EQ(shown(PAGE_NOACCESS, no_cache), DWORD{PAGE_NOACCESS});
  EXPECT_EQ(shown(PAGE_READWRITE | PAGE_GUARD, no_cache), DWORD{PAGE_READWRITE | PAGE_GUARD});
}

}  // namespace
}  // namespace userpager
