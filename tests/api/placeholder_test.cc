// Placeholders, one test for each rule (see virtual_alloc_test.cc about the numbers).
#include <thread>

#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

using PlaceholderTest = VirtualMemoryTest;

constexpr DWORD kMake = MEM_RESERVE | MEM_RESERVE_PLACEHOLDER;
constexpr DWORD kReplace = MEM_RESERVE | MEM_COMMIT | MEM_REPLACE_PLACEHOLDER;
constexpr DWORD kPreserve = MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER;
constexpr DWORD kCoalesce = MEM_RELEASE | MEM_COALESCE_PLACEHOLDERS;

std::byte* Alloc2(void* address, size_t bytes, DWORD type, DWORD protect) {
  return static_cast<std::byte*>(
      VirtualAlloc2(nullptr, address, bytes, type, protect, nullptr, 0));
}
DWORD Alloc2Error(void* address, size_t bytes, DWORD type, DWORD protect) {
  return ErrorOf([=] { return Alloc2(address, bytes, type, protect); });
}
std::byte* Placeholder(size_t bytes) { return Alloc2(nullptr, bytes, kMake, PAGE_NOACCESS); }
bool Replace(std::byte* base, size_t bytes, DWORD protect = PAGE_READWRITE) {
  return Alloc2(base, bytes, kReplace, protect) == base;
}

void ExpectPlaceholder(std::byte* base, size_t bytes) {
  ExpectRun(base, bytes, MEM_RESERVE, 0);
  EXPECT_EQ(Query(base).AllocationBase, base);
  EXPECT_EQ(Query(base).AllocationProtect, DWORD{PAGE_NOACCESS});
  EXPECT_EQ(Query(base).Type, DWORD{MEM_PRIVATE});
  WIN32_MEMORY_REGION_INFORMATION region = {};
  EXPECT_TRUE(QueryVirtualMemoryInformation(GetCurrentProcess(), base, MemoryRegionInfo, &region,
                                            sizeof region, nullptr));
  EXPECT_EQ(region.AllocationBase, base);
  EXPECT_EQ(region.RegionSize, bytes);
  EXPECT_EQ(region.CommitSize, 0u);
}

TEST_F(PlaceholderTest, PH1_MadeWithNoAccessAlone) {
  std::byte* base = Placeholder(2 * kG);
  ASSERT_NE(base, nullptr);
  ExpectPlaceholder(base, 2 * kG);
  EXPECT_EQ(ChargedSinceStart(), 0u);
  EXPECT_TRUE(ReadFaults(base));
  Release(base);
  // How far that goes may change at any time: other memory of the process is there.
  const MEMORY_BASIC_INFORMATION free = Query(base);
  EXPECT_EQ(free.State, DWORD{MEM_FREE});
  EXPECT_EQ(free.Protect, DWORD{PAGE_NOACCESS});
  for (const DWORD protect : {DWORD{PAGE_READWRITE}, DWORD{PAGE_READONLY}, DWORD{PAGE_EXECUTE}}) {
    EXPECT_EQ(Alloc2Error(nullptr, kG, kMake, protect), ERROR_INVALID_PARAMETER) << protect;
  }
}

TEST_F(PlaceholderTest, PH1_MadeAtAnAddress) {
  std::byte* space = FreeSpace(kG);
  EXPECT_EQ(Alloc2(space + kP, kP, kMake, PAGE_NOACCESS), space);
  ExpectPlaceholder(space, 2 * kP);
  EXPECT_EQ(AllocError(space + 2 * kP, kP, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  Release(space);
}

TEST_F(PlaceholderTest, PH2_ReplacedExactly) {
  std::byte* base = Placeholder(kG);
  EXPECT_EQ(Alloc2Error(base, kG - kP, kReplace, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(Alloc2Error(base, kG + kP, kReplace, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(Alloc2Error(base + kP, kG - kP, kReplace, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(Alloc2Error(base + 1, kG - 1, kReplace, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(Alloc2Error(nullptr, kG, kReplace, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  ExpectPlaceholder(base, kG);
  ASSERT_TRUE(Replace(base, kG));
  ExpectRun(base, kG, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(Query(base).AllocationProtect, DWORD{PAGE_READWRITE});
  EXPECT_EQ(ChargedSinceStart(), kG);
  EXPECT_TRUE(IsZero(base, kG));
  memset(base, 3, kG);
  EXPECT_EQ(ByteAt(base + kG - 1), 3u);
  EXPECT_EQ(Alloc2Error(base, kG, kReplace, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  Release(base);
  EXPECT_EQ(Query(base).State, DWORD{MEM_FREE});
}

TEST_F(PlaceholderTest, PH2_ReplacedByAReservationAlone) {
  std::byte* base = Placeholder(kG);
  ASSERT_EQ(Alloc2(base, kG, MEM_RESERVE | MEM_REPLACE_PLACEHOLDER, PAGE_READONLY), base);
  ExpectRun(base, kG, MEM_RESERVE, 0);
  EXPECT_EQ(Query(base).AllocationProtect, DWORD{PAGE_READONLY});
  ASSERT_TRUE(CommitAt(base + kP, kP));
  base[kP] = std::byte{1};
  EXPECT_TRUE(ReadFaults(base));
  EXPECT_EQ(FreeError(base, kG, kPreserve), ERROR_SUCCESS);
  ExpectPlaceholder(base, kG);
  EXPECT_TRUE(ReadFaults(base + kP));
  Release(base);
}

TEST_F(PlaceholderTest, PH3_VA25_TypesThatDoNotGoTogether) {
  std::byte* base = Placeholder(kG);
  constexpr DWORD kBad[] = {MEM_REPLACE_PLACEHOLDER,
                            MEM_COMMIT | MEM_REPLACE_PLACEHOLDER,
                            MEM_RESERVE_PLACEHOLDER,
                            MEM_COMMIT | MEM_RESERVE_PLACEHOLDER,
                            MEM_RESERVE | MEM_COMMIT | MEM_RESERVE_PLACEHOLDER,
                            MEM_RESERVE | MEM_RESERVE_PLACEHOLDER | MEM_REPLACE_PLACEHOLDER,
                            MEM_RESERVE | MEM_RESERVE_PLACEHOLDER | MEM_WRITE_WATCH,
                            kReplace | MEM_LARGE_PAGES,
                            MEM_RESERVE | MEM_REPLACE_PLACEHOLDER | MEM_PHYSICAL};
  for (const DWORD type : kBad) {
    for (const DWORD protect : {DWORD{PAGE_NOACCESS}, DWORD{PAGE_READWRITE}}) {
      EXPECT_EQ(Alloc2Error(base, kG, type, protect), ERROR_INVALID_PARAMETER) << type;
    }
  }
  EXPECT_EQ(AllocError(nullptr, kG, kMake, PAGE_NOACCESS), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(base, kG, kReplace, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  ExpectPlaceholder(base, kG);
  Release(base);
}

TEST_F(PlaceholderTest, PH5_PH6_NothingElseFitsIn) {
  std::byte* base = Placeholder(2 * kG);
  EXPECT_EQ(AllocError(base, kP, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(AllocError(base, kG, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(AllocError(base + kG, kG, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE),
            ERROR_INVALID_ADDRESS);
  EXPECT_EQ(Alloc2Error(base, 2 * kG, kMake, PAGE_NOACCESS), ERROR_INVALID_ADDRESS);
  DWORD old = 0;
  EXPECT_EQ(ProtectError(base, kP, PAGE_READWRITE, &old), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base, kP, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base, 0, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(ErrorOf([=] { return VirtualLock(base, kP); }), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(ErrorOf([=] { return VirtualUnlock(base, kP); }), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base + kG, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
  ExpectPlaceholder(base, 2 * kG);
  Release(base);
}

TEST_F(PlaceholderTest, PH7_PutBackAndReplacedAgainReadsZero) {
  std::byte* base = Placeholder(4 * kG);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(Replace(base, 4 * kG)) << GetLastError();
    ASSERT_TRUE(IsZero(base, 4 * kG)) << round;
    memset(base, 0x11, 4 * kG);
    ASSERT_EQ(FreeError(base, 4 * kG, kPreserve), ERROR_SUCCESS);
    ExpectPlaceholder(base, 4 * kG);
    EXPECT_EQ(ChargedSinceStart(), 0u);
    EXPECT_TRUE(ReadFaults(base + kP));
  }
  Release(base);
}

TEST_F(PlaceholderTest, PH9_PH10_WhatCannotBePreserved) {
  std::byte* placeholder = Placeholder(kG);
  EXPECT_EQ(FreeError(placeholder, kG, kPreserve), ERROR_INVALID_ADDRESS) << "nothing to split";
  EXPECT_EQ(FreeError(placeholder, 0, kPreserve), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(FreeError(placeholder, kG + kP, kPreserve), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(placeholder, kP, kPreserve | MEM_COALESCE_PLACEHOLDERS),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(FreeError(placeholder, kP, MEM_DECOMMIT | MEM_PRESERVE_PLACEHOLDER),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(FreeError(placeholder, kP, MEM_PRESERVE_PLACEHOLDER), ERROR_INVALID_PARAMETER);
  ExpectPlaceholder(placeholder, kG);
  ASSERT_TRUE(Replace(placeholder, kG));
  EXPECT_EQ(FreeError(placeholder, kP, kPreserve), ERROR_INVALID_ADDRESS) << "not the whole";
  Release(placeholder);
  EXPECT_EQ(FreeError(placeholder, kG, kPreserve), ERROR_INVALID_ADDRESS) << "free memory";
  std::byte* ordinary = Commit(kG);
  EXPECT_EQ(FreeError(ordinary, kG, kPreserve), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(ordinary, kP, kPreserve), ERROR_INVALID_ADDRESS);
  Release(ordinary);
}

TEST_F(PlaceholderTest, PH11_SplitInTheMiddle) {
  std::byte* base = Placeholder(4 * kG);
  ASSERT_EQ(FreeError(base + kG, kG, kPreserve), ERROR_SUCCESS);
  ExpectPlaceholder(base, kG);
  ExpectPlaceholder(base + kG, kG);
  ExpectPlaceholder(base + 2 * kG, 2 * kG);
  Release(base + kG);
  Release(base);
  Release(base + 2 * kG);
}

TEST_F(PlaceholderTest, PH11_PH13_SplitLowAndHighAtPages) {
  std::byte* base = Placeholder(kG);
  ASSERT_EQ(FreeError(base, 3 * kP, kPreserve), ERROR_SUCCESS);
  ASSERT_EQ(FreeError(base + 15 * kP, kP, kPreserve), ERROR_SUCCESS);
  ExpectPlaceholder(base, 3 * kP);
  ExpectPlaceholder(base + 3 * kP, 12 * kP);
  ExpectPlaceholder(base + 15 * kP, kP);
  // Each piece is replaced by itself, beside the others and in any order.
  ASSERT_TRUE(Replace(base + 3 * kP, 12 * kP));
  ASSERT_TRUE(Replace(base, 3 * kP, PAGE_READONLY));
  ASSERT_TRUE(Replace(base + 15 * kP, kP, PAGE_EXECUTE_READWRITE));
  memset(base + 3 * kP, 5, 13 * kP);
  EXPECT_TRUE(WriteFaults(base));
  EXPECT_EQ(ChargedSinceStart(), kG);
  Release(base + 3 * kP);
  EXPECT_EQ(ByteAt(base + 15 * kP), 5u);
  EXPECT_EQ(ByteAt(base), 0u);
  EXPECT_TRUE(ReadFaults(base + 3 * kP));
  Release(base + 15 * kP);
  Release(base);
}

TEST_F(PlaceholderTest, PH14_CoalesceTheWholeSpan) {
  std::byte* base = Placeholder(3 * kG + kP);
  ASSERT_EQ(FreeError(base, kG, kPreserve), ERROR_SUCCESS);
  ASSERT_EQ(FreeError(base + kG, kG, kPreserve), ERROR_SUCCESS);
  const size_t whole = 3 * kG + kP;
  EXPECT_EQ(FreeError(base, kG, kCoalesce), ERROR_INVALID_ADDRESS) << "one alone";
  EXPECT_EQ(FreeError(base, whole + kP, kCoalesce), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base, whole - kP, kCoalesce), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base + kP, whole - kP, kCoalesce), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base, 0, kCoalesce), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(FreeError(base, whole, MEM_COALESCE_PLACEHOLDERS), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(FreeError(base, whole, MEM_RELEASE), ERROR_INVALID_PARAMETER);
  ExpectPlaceholder(base, kG);
  ExpectPlaceholder(base + kG, kG);
  ASSERT_EQ(FreeError(base, whole, kCoalesce), ERROR_SUCCESS);
  ExpectPlaceholder(base, whole);
  ASSERT_TRUE(Replace(base, whole));
  EXPECT_TRUE(IsZero(base, whole));
  Release(base);
}

TEST_F(PlaceholderTest, PH15_CoalesceNeedsPlaceholdersAllAlong) {
  std::byte* base = Placeholder(3 * kG);
  ASSERT_EQ(FreeError(base + kG, kG, kPreserve), ERROR_SUCCESS);
  ASSERT_TRUE(Replace(base + kG, kG));
  base[kG] = std::byte{9};
  EXPECT_EQ(FreeError(base, 2 * kG, kCoalesce), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base + kG, 2 * kG, kCoalesce), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base, 3 * kG, kCoalesce), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(ByteAt(base + kG), 9u);
  Release(base + kG);
  EXPECT_EQ(FreeError(base, 3 * kG, kCoalesce), ERROR_INVALID_ADDRESS) << "a hole";
  ExpectPlaceholder(base, kG);
  Release(base);
  Release(base + 2 * kG);
}

// A ring buffer's address space is put back and taken again while others reserve: nobody else is
// ever given it.
TEST_F(PlaceholderTest, WW22_ReplacementsMayBeWatched) {
  std::byte* base = Placeholder(kG);
  ASSERT_EQ(Alloc2(base, kG, MEM_RESERVE | MEM_REPLACE_PLACEHOLDER | MEM_WRITE_WATCH,
                   PAGE_READWRITE),
            base);
  ASSERT_TRUE(CommitAt(base, 4 * kP));
  base[2 * kP] = std::byte{1};
  void* addresses[16] = {};
  ULONG_PTR count = 16;
  DWORD granularity = 0;
  EXPECT_EQ(GetWriteWatch(0, base, kG, addresses, &count, &granularity), 0u);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(addresses[0], base + 2 * kP);
  Release(base);
}

TEST_F(PlaceholderTest, AddressesAreKeptWhileOthersReserve) {
  std::byte* base = Placeholder(kG);
  std::thread others([] {
    for (int i = 0; i < 300; ++i) {
      std::byte* region = Commit(kG);
      region[0] = std::byte{1};
      Release(region);
    }
  });
  for (int i = 0; i < 300; ++i) {
    EXPECT_TRUE(Replace(base, kG)) << GetLastError();
    EXPECT_EQ(ByteAt(base), 0u);
    base[0] = std::byte{2};
    EXPECT_EQ(FreeError(base, kG, kPreserve), ERROR_SUCCESS);
  }
  others.join();
  Release(base);
}

TEST_F(PlaceholderTest, CommitLimitHoldsForReplacements) {
  constexpr size_t kBytes = 2 * (kMemoryLimitBytes + kPageFileBytes);
  std::byte* base = Placeholder(kBytes);
  EXPECT_EQ(Alloc2Error(base, kBytes, kReplace, PAGE_READWRITE), ERROR_COMMITMENT_LIMIT);
  ExpectPlaceholder(base, kBytes);
  Release(base);
}

}  // namespace
}  // namespace userpager_tests
