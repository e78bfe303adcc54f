// VirtualAlloc, one test for each rule: the numbers are those of the project's list of the
// semantics of Windows' memory manager.
#include <algorithm>
#include <vector>

#include "tests/api/virtual_memory_fixture.h"
#include "tests/stress/stress_scale.h"
#include "tests/support/sanitizers.h"

namespace userpager_tests {
namespace {

using VirtualAllocTest = VirtualMemoryTest;

constexpr DWORD kReserveCommit = MEM_RESERVE | MEM_COMMIT;
constexpr DWORD kBaseProtections[] = {PAGE_NOACCESS, PAGE_READONLY,     PAGE_READWRITE,
                                      PAGE_EXECUTE,  PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE};

TEST_F(VirtualAllocTest, VA1_SizeZeroIsInvalid) {
  EXPECT_EQ(AllocError(nullptr, 0, MEM_RESERVE, PAGE_NOACCESS), ERROR_INVALID_PARAMETER);
}

TEST_F(VirtualAllocTest, VA2_VQ1_ReserveShowsWhatWasAskedFor) {
  std::byte* base = Reserve(0xfffc, PAGE_NOACCESS);
  ASSERT_NE(base, nullptr);
  const MEMORY_BASIC_INFORMATION information = Query(base);
  EXPECT_EQ(information.BaseAddress, base);
  EXPECT_EQ(information.AllocationBase, base);
  EXPECT_EQ(information.AllocationProtect, DWORD{PAGE_NOACCESS});
  EXPECT_EQ(information.RegionSize, 0x10000u);
  EXPECT_EQ(information.State, DWORD{MEM_RESERVE});
  EXPECT_EQ(information.Protect, 0u);
  EXPECT_EQ(information.Type, DWORD{MEM_PRIVATE});
  Release(base);
}

TEST_F(VirtualAllocTest, VA3_VQ1_CommitInReservationReturnsItsAddress) {
  std::byte* base = Reserve(0xfffc, PAGE_NOACCESS);
  EXPECT_EQ(Alloc(base, kP, MEM_COMMIT, PAGE_NOACCESS), base);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_NOACCESS);
  EXPECT_EQ(Query(base).AllocationProtect, DWORD{PAGE_NOACCESS});
  Release(base);
}

TEST_F(VirtualAllocTest, VA5_ReleasedAddressCanBeTakenAgain) {
  std::byte* base = FreeSpace(kG);
  EXPECT_EQ(Alloc(base, kG, kReserveCommit, PAGE_READWRITE), base);
  Release(base);
}

TEST_F(VirtualAllocTest, VA6_CommitOfNullMakesARegion) {
  std::byte* base = Alloc(nullptr, kP, MEM_COMMIT, PAGE_READWRITE);
  ASSERT_NE(base, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(base) % kG, 0u);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
  Release(base);
}

TEST_F(VirtualAllocTest, VA7_WholePageIsZeroAndWritable) {
  std::byte* base = Alloc(nullptr, 200, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(Query(base).RegionSize, kP);
  EXPECT_TRUE(IsZero(base, kP));
  memset(base, 0xa5, kP);
  EXPECT_EQ(ByteAt(base + kP - 1), 0xa5u);
  Release(base);
}

TEST_F(VirtualAllocTest, VA9_VA11_ReservationsAreRoundedAndSlotsNotShared) {
  std::byte* slot = FreeSpace(4 * kG);
  EXPECT_EQ(Alloc(slot + 0x1010, 0x1000, MEM_RESERVE, PAGE_READWRITE), slot);
  EXPECT_EQ(Query(slot).RegionSize, 0x3000u);
  EXPECT_EQ(AllocError(slot + 0x8000, kP, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(AllocError(slot + 0x2000, kP, MEM_COMMIT, PAGE_NOACCESS), ERROR_SUCCESS);
  EXPECT_EQ(Alloc(slot + 0x2000, kP, MEM_COMMIT, PAGE_READWRITE), slot + 0x2000);
  EXPECT_EQ(AllocError(slot + 0x3000, kP, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  Release(slot);
}

TEST_F(VirtualAllocTest, VA10_PageBehindAOnePageRegionIsNotFree) {
  std::byte* base = Commit(kP);
  EXPECT_EQ(AllocError(base + kP, kP, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(AllocError(base + kP, kP, kReserveCommit, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  Release(base);
}

TEST_F(VirtualAllocTest, VA13_ReserveRoundsDownToTheSlot) {
  std::byte* base = FreeSpace(kG);
  EXPECT_EQ(Alloc(base + kP, kP, MEM_RESERVE, PAGE_READWRITE), base);
  EXPECT_EQ(Query(base).RegionSize, 2 * kP);
  Release(base);
}

TEST_F(VirtualAllocTest, VA14_VA21_RegionsAreAtLeastASlotApartAndNeverNull) {
  std::vector<std::byte*> regions(256);
  for (std::byte*& region : regions) ASSERT_NE(region = Reserve(kP), nullptr);
  std::vector<std::byte*> sorted = regions;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 1; i < sorted.size(); ++i) {
    EXPECT_GE(static_cast<size_t>(sorted[i] - sorted[i - 1]), kG);
  }
  for (std::byte* region : regions) Release(region);
}

TEST_F(VirtualAllocTest, VA15_SizeOneIsAPage) {
  std::byte* base = FreeSpace(kG);
  EXPECT_EQ(Alloc(base + 1, 1, MEM_RESERVE, PAGE_READWRITE), base);
  EXPECT_EQ(Query(base).RegionSize, kP);
  Release(base);
}

TEST_F(VirtualAllocTest, VA17_TwoBytesOverABorderAreTwoPages) {
  std::byte* base = Reserve(kG);
  EXPECT_EQ(Alloc(base + kP - 1, 2, MEM_COMMIT, PAGE_READWRITE), base);
  ExpectRun(base, 2 * kP, MEM_COMMIT, PAGE_READWRITE);
  Release(base);
}

TEST_F(VirtualAllocTest, VA18_CommitNeedsOneReservation) {
  std::byte* space = FreeSpace(2 * kG);
  EXPECT_EQ(AllocError(space, kP, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  ASSERT_EQ(Alloc(space, kG, MEM_RESERVE, PAGE_READWRITE), space);
  ASSERT_EQ(Alloc(space + kG, kG, MEM_RESERVE, PAGE_READWRITE), space + kG);
  EXPECT_EQ(AllocError(space + 0x4000, 0x10000, MEM_COMMIT, PAGE_READWRITE),
            ERROR_INVALID_ADDRESS);
  ExpectRun(space, kG, MEM_RESERVE, 0);
  ExpectRun(space + kG, kG, MEM_RESERVE, 0);
  EXPECT_EQ(ChargedSinceStart(), 0u);
  Release(space);
  Release(space + kG);
}

TEST_F(VirtualAllocTest, VA19_CommitOverAHoleChangesNothing) {
  std::byte* space = FreeSpace(3 * kG);
  ASSERT_EQ(Alloc(space, kG, MEM_RESERVE, PAGE_READWRITE), space);
  ASSERT_EQ(Alloc(space + 2 * kG, kG, MEM_RESERVE, PAGE_READWRITE), space + 2 * kG);
  EXPECT_EQ(AllocError(space, 3 * kG, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  ExpectRun(space, kG, MEM_RESERVE, 0);
  Release(space);
  Release(space + 2 * kG);
}

TEST_F(VirtualAllocTest, VA22_VA25_TypesThatDoNotGoTogether) {
  constexpr DWORD kBad[] = {
      0, MEM_TOP_DOWN, MEM_PHYSICAL, MEM_PHYSICAL | MEM_COMMIT, MEM_RESET | MEM_COMMIT,
      MEM_RESET | MEM_TOP_DOWN, MEM_RESET | kReserveCommit, 0xffffffff, MEM_FREE, 0x10000000,
      MEM_WRITE_WATCH, MEM_RESERVE | 0x40000, MEM_RESERVE | 0x4000, MEM_RESERVE | MEM_RELEASE,
      MEM_COMMIT | MEM_WRITE_WATCH, MEM_RESET | MEM_RESET_UNDO, MEM_LARGE_PAGES | MEM_COMMIT};
  for (const DWORD type : kBad) {
    EXPECT_EQ(AllocError(nullptr, kP, type, PAGE_READWRITE), ERROR_INVALID_PARAMETER) << type;
  }
}

TEST_F(VirtualAllocTest, VA23_PhysicalReservesAddressesAlone) {
  constexpr DWORD kPhysical = MEM_RESERVE | MEM_PHYSICAL;
  EXPECT_EQ(AllocError(nullptr, kP, kPhysical, PAGE_READONLY), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(nullptr, 0, kPhysical, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  std::byte* base = Alloc(nullptr, kG + 1, kPhysical, PAGE_READWRITE);
  ASSERT_NE(base, nullptr) << GetLastError();
  const MEMORY_BASIC_INFORMATION information = Query(base);
  EXPECT_EQ(information.AllocationBase, base);
  EXPECT_EQ(information.AllocationProtect, DWORD{PAGE_READWRITE});
  EXPECT_EQ(information.Type, DWORD{MEM_PRIVATE});
  ExpectRun(base, kG + kP, MEM_RESERVE, 0);
  EXPECT_TRUE(ReadFaults(base));
  EXPECT_EQ(AllocError(base, kP, kPhysical, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  // No page of it can be had, and it is nobody's placeholder.
  DWORD old = 0;
  EXPECT_EQ(AllocError(base, kP, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(ProtectError(base, kP, PAGE_READONLY, &old), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base, kP, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
  for (const DWORD more : {DWORD{MEM_PRESERVE_PLACEHOLDER}, DWORD{MEM_COALESCE_PLACEHOLDERS}}) {
    EXPECT_EQ(FreeError(base, kG + kP, MEM_RELEASE | more), ERROR_INVALID_ADDRESS);
  }
  EXPECT_EQ(ErrorOf([=] {
              return VirtualAlloc2(nullptr, base, kG + kP, MEM_RESERVE | MEM_REPLACE_PLACEHOLDER,
                                   PAGE_READWRITE, nullptr, 0);
            }),
            ERROR_INVALID_ADDRESS);
  EXPECT_EQ(ChargedSinceStart(), 0u);
  Release(base);
  EXPECT_EQ(Query(base).State, DWORD{MEM_FREE});
}

TEST_F(VirtualAllocTest, VA23_TopDownIsAccepted) {
  for (const DWORD type : {DWORD{MEM_COMMIT}, kReserveCommit, DWORD{MEM_RESERVE}}) {
    std::byte* base = Alloc(nullptr, kP, type | MEM_TOP_DOWN, PAGE_READWRITE);
    ASSERT_NE(base, nullptr) << type;
    Release(base);
  }
}

// Where a higher place has become free the choice without MEM_TOP_DOWN is below it.
TEST_F(VirtualAllocTest, VA26_TopDownIsAboveTheOthers) {
  std::byte* high = Alloc(nullptr, kG, MEM_RESERVE | MEM_TOP_DOWN, PAGE_READWRITE);
  std::byte* low = Reserve(kG);
  EXPECT_GT(high, low);
  Release(high);
  std::byte* lower = Reserve(kG);
  EXPECT_LT(lower, low);
  std::byte* again = Alloc(nullptr, kG, MEM_RESERVE | MEM_TOP_DOWN, PAGE_READWRITE);
  EXPECT_GT(again, low);
  Release(again);
  Release(low);
  Release(lower);
}

TEST_F(VirtualAllocTest, CommitThatChangesNothingKeepsEverything) {
  std::byte* base = Reserve(kG);
  ASSERT_TRUE(CommitAt(base, 3 * kP));
  base[kP] = std::byte{7};
  EXPECT_EQ(Alloc(base + kP, kP, MEM_COMMIT, PAGE_READWRITE), base + kP);
  EXPECT_EQ(Alloc(base, 3 * kP, MEM_COMMIT, PAGE_READWRITE | PAGE_NOCACHE), base);
  EXPECT_EQ(ByteAt(base + kP), 7u);
  EXPECT_EQ(ChargedSinceStart(), 3 * kP);
  EXPECT_EQ(Alloc(base, 4 * kP, MEM_COMMIT, PAGE_READWRITE), base);
  EXPECT_EQ(ChargedSinceStart(), 4 * kP);
  ExpectRun(base, 4 * kP, MEM_COMMIT, PAGE_READWRITE);
  Release(base);
}

TEST_F(VirtualAllocTest, VA27_TableOfProtections) {
  for (DWORD protect = 0; protect < 0x100; ++protect) {
    bool valid = false;
    for (const DWORD base : kBaseProtections) valid = valid || protect == base;
    if (!valid) {
      EXPECT_EQ(AllocError(nullptr, kP, MEM_COMMIT, protect), ERROR_INVALID_PARAMETER) << protect;
      continue;
    }
    std::byte* page = Alloc(nullptr, kP, MEM_COMMIT, protect);
    ASSERT_NE(page, nullptr) << protect;
    const bool writable = protect == PAGE_READWRITE || protect == PAGE_EXECUTE_READWRITE;
    if (writable) *page = std::byte{1};
    EXPECT_EQ(Query(page).Protect, protect);
    EXPECT_EQ(Query(page).AllocationProtect, protect);
    EXPECT_EQ(Query(page).RegionSize, kP);
    EXPECT_EQ(Alloc(page, kP, MEM_COMMIT, protect), page);
    Release(page);
  }
}

TEST_F(VirtualAllocTest, VA29_VA30_ProtectionsThatAreNone) {
  for (const DWORD type : {DWORD{MEM_RESERVE}, DWORD{MEM_COMMIT}, kReserveCommit}) {
    for (const DWORD protect :
         {DWORD{0}, DWORD{PAGE_WRITECOPY}, DWORD{PAGE_EXECUTE_WRITECOPY}, DWORD{0xffffffff},
          DWORD{PAGE_NOACCESS | PAGE_GUARD}, DWORD{PAGE_NOACCESS | PAGE_WRITECOMBINE},
          DWORD{PAGE_NOACCESS | PAGE_NOCACHE}, DWORD{PAGE_GUARD}}) {
      EXPECT_EQ(AllocError(nullptr, kP, type, protect), ERROR_INVALID_PARAMETER) << protect;
    }
  }
  for (const DWORD protect :
       {DWORD{PAGE_READONLY | PAGE_WRITECOMBINE}, DWORD{PAGE_READWRITE | PAGE_GUARD}}) {
    std::byte* page = Commit(kP, protect);
    ASSERT_NE(page, nullptr);
    EXPECT_EQ(Query(page).Protect, protect);
    Release(page);
  }
}

TEST_F(VirtualAllocTest, VA31_NoCacheShowsEverywhere) {
  std::byte* page = Commit(kP, PAGE_READWRITE | PAGE_NOCACHE);
  ASSERT_NE(page, nullptr);
  EXPECT_EQ(Query(page).Protect, DWORD{PAGE_READWRITE | PAGE_NOCACHE});
  EXPECT_EQ(Query(page).AllocationProtect, DWORD{PAGE_READWRITE | PAGE_NOCACHE});
  Release(page);
  for (const DWORD modifiers :
       {DWORD{PAGE_GUARD | PAGE_NOCACHE}, DWORD{PAGE_NOCACHE | PAGE_WRITECOMBINE}}) {
    EXPECT_EQ(AllocError(nullptr, kP, MEM_COMMIT, PAGE_READWRITE | modifiers),
              ERROR_INVALID_PARAMETER);
  }
}

TEST_F(VirtualAllocTest, VA33_VA34_RecommitKeepsAndDecommitForgets) {
  std::byte* page = Commit(kP);
  *page = std::byte{123};
  EXPECT_EQ(Alloc(page, kP, MEM_COMMIT, PAGE_READWRITE), page);
  EXPECT_EQ(ByteAt(page), 123u);
  ASSERT_TRUE(VirtualFree(page, kP, MEM_DECOMMIT));
  EXPECT_EQ(Alloc(page, kP, MEM_COMMIT, PAGE_READWRITE), page);
  EXPECT_EQ(ByteAt(page), 0u);
  Release(page);
}

TEST_F(VirtualAllocTest, VA35_RecommitSetsTheProtectionOfAll) {
  std::byte* base = Reserve(kG);
  ASSERT_TRUE(CommitAt(base, kP, PAGE_READWRITE));
  ASSERT_TRUE(CommitAt(base + kP, kP, PAGE_NOACCESS));
  *base = std::byte{9};
  EXPECT_EQ(Alloc(base, 3 * kP, MEM_COMMIT, PAGE_READONLY), base);
  ExpectRun(base, 3 * kP, MEM_COMMIT, PAGE_READONLY);
  EXPECT_TRUE(WriteFaults(base));
  EXPECT_EQ(ByteAt(base), 9u);
  EXPECT_EQ(ByteAt(base + kP), 0u);
  EXPECT_EQ(ByteAt(base + 2 * kP), 0u);
  EXPECT_EQ(ChargedSinceStart(), 3 * kP);
  Release(base);
}

TEST_F(VirtualAllocTest, VA37_TouchesThatAreViolations) {
  std::byte* base = Reserve(kG);
  EXPECT_TRUE(ReadFaults(base + 17));
  EXPECT_TRUE(WriteFaults(base + kP + 5));
  ASSERT_TRUE(CommitAt(base, kP, PAGE_NOACCESS));
  ASSERT_TRUE(CommitAt(base + kP, kP, PAGE_READONLY));
  EXPECT_TRUE(ReadFaults(base + 1));
  EXPECT_TRUE(WriteFaults(base + 2));
  EXPECT_EQ(ByteAt(base + kP), 0u);
  EXPECT_TRUE(WriteFaults(base + kP + 3));
  EXPECT_TRUE(ReadFaults(base + 2 * kP)) << "reserved behind what is committed";
  Release(base);
}

TEST_F(VirtualAllocTest, VA38_GrowingCopiesStayIntact) {
  std::byte* regions[3] = {};
  for (size_t round = 1; round <= 32; ++round) {
    for (size_t i = 0; i < 3; ++i) {
      const size_t bytes = round * 3 * kP;
      std::byte* bigger = Reserve(bytes + kP);
      ASSERT_TRUE(CommitAt(bigger, bytes));
      const size_t old_bytes = regions[i] == nullptr ? 0 : bytes - 3 * kP;
      ASSERT_TRUE(IsZero(bigger, bytes));
      if (old_bytes > 0) memcpy(bigger, regions[i], old_bytes);
      memset(bigger + old_bytes, static_cast<int>(round + i), bytes - old_bytes);
      for (size_t page = 0; page < bytes / kP; ++page) {
        ASSERT_EQ(ByteAt(bigger + page * kP), page / 3 + 1 + i);
      }
      EXPECT_TRUE(ReadFaults(bigger + bytes));
      if (regions[i] != nullptr) Release(regions[i]);
      regions[i] = bigger;
    }
  }
  for (std::byte* region : regions) Release(region);
}

TEST_F(VirtualAllocTest, VA39_CommitStopsAtTheLimitAndAllComesBack) {
  constexpr size_t kBytes = 5 * kMiB;
  for (int run = 0; run < 2; ++run) {
    std::vector<std::byte*> regions;
    DWORD error = 0;
    // The limit of the fixture is far below so many regions.
    while (regions.size() < 1000) {
      std::byte* region = Commit(kBytes);
      if (region == nullptr) {
        error = GetLastError();
        break;
      }
      if (regions.size() % 10 == 0) region[kBytes - 1] = std::byte{1};
      regions.push_back(region);
    }
    EXPECT_EQ(error, DWORD{ERROR_COMMITMENT_LIMIT});
    EXPECT_GT(regions.size() * kBytes, Stats().page_file_max_bytes - kBytes);
    for (std::byte* region : regions) Release(region);
  }
}

TEST_F(VirtualAllocTest, VA39_ReserveStopsWithTheAddressSpace) {
  std::vector<std::byte*> regions;
  constexpr size_t kBytes = size_t{1} << 43;
  DWORD error = 0;
  while (regions.size() < 64) {
    std::byte* region = Reserve(kBytes);
    if (region == nullptr) {
      error = GetLastError();
      break;
    }
    regions.push_back(region);
  }
  EXPECT_EQ(error, DWORD{ERROR_NOT_ENOUGH_MEMORY});
  for (std::byte* region : regions) Release(region);
}

TEST_F(VirtualAllocTest, VA41_FreshPagesAreAlwaysZero) {
  // ThreadSanitizer, or an emulated processor, makes each round slower by far.
  const uint64_t most = OtherOptions() != nullptr ? 5'000 : 50'000;
  const uint64_t rounds = userpager::kThreadSanitizer ? 1'000 : userpager::stress::Scaled(most);
  for (uint64_t round = 0; round < rounds; ++round) {
    std::byte* base = Commit(16 * kP);
    ASSERT_NE(base, nullptr) << round;
    ASSERT_TRUE(IsZero(base, 16 * kP)) << round;
    memset(base, 0x5a, 16 * kP);
    Protect(base, 16 * kP, PAGE_NOACCESS);
    Release(base);
  }
}

TEST_F(VirtualAllocTest, VA45_OrderOfChecks) {
  // The type comes before the protection, the protection before the address and the size, and all
  // of them before the tree is asked.
  std::byte* page = Commit(kP);
  EXPECT_EQ(AllocError(page, 0, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(page, SIZE_MAX, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(nullptr, SIZE_MAX, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  void* beyond = reinterpret_cast<void*>(uint64_t{1} << 60);
  EXPECT_EQ(AllocError(beyond, kP, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  void* lowest = reinterpret_cast<void*>(uintptr_t{0x1000});
  EXPECT_EQ(AllocError(lowest, kP, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(lowest, kP, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  Release(page);
}

TEST_F(VirtualAllocTest, ForeignMemoryIsNotFree) {
  static std::byte foreign[2 * kGranularityBytes];
  EXPECT_EQ(AllocError(foreign, kP, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(AllocError(foreign, kP, MEM_COMMIT, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
}

TEST_F(VirtualAllocTest, HugeReservationsCostNothingToLookAt) {
  constexpr size_t kTiB = size_t{1} << 40;
  std::byte* base = Reserve(kTiB);
  ASSERT_NE(base, nullptr);
  ExpectRun(base, kTiB, MEM_RESERVE, 0);
  ASSERT_TRUE(CommitAt(base + kTiB / 2, kP));
  base[kTiB / 2] = std::byte{7};
  ExpectRun(base, kTiB / 2, MEM_RESERVE, 0);
  ExpectRun(base + kTiB / 2, kP, MEM_COMMIT, PAGE_READWRITE);
  ExpectRun(base + kTiB / 2 + kP, kTiB / 2 - kP, MEM_RESERVE, 0);
  Release(base);
}

}  // namespace
}  // namespace userpager_tests
