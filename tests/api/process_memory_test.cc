// The forms that name a process, the forms for apps, and what is told about the system and about
// whole reservations (see virtual_alloc_test.cc about the numbers).
#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

using ProcessMemoryTest = VirtualMemoryTest;
using SystemInfoTest = VirtualMemoryTest;

const HANDLE kForeign[] = {nullptr, reinterpret_cast<HANDLE>(intptr_t{-2}),
                           reinterpret_cast<HANDLE>(intptr_t{4}),
                           reinterpret_cast<HANDLE>(INTPTR_MAX)};
constexpr DWORD kReserveCommit = MEM_RESERVE | MEM_COMMIT;

WIN32_MEMORY_REGION_INFORMATION Region(const void* address) {
  WIN32_MEMORY_REGION_INFORMATION region = {};
  SIZE_T written = 0;
  EXPECT_TRUE(QueryVirtualMemoryInformation(GetCurrentProcess(), address, MemoryRegionInfo,
                                            &region, sizeof region, &written));
  EXPECT_EQ(written, sizeof region);
  return region;
}
DWORD RegionError(HANDLE process, const void* address, int kind, void* to, size_t bytes) {
  return ErrorOf([=] {
    return QueryVirtualMemoryInformation(
        process, address, static_cast<WIN32_MEMORY_INFORMATION_CLASS>(kind), to, bytes, nullptr);
  });
}

TEST_F(ProcessMemoryTest, TheOwnProcessIsMinusOne) {
  EXPECT_EQ(reinterpret_cast<intptr_t>(GetCurrentProcess()), -1);
  const HANDLE self = GetCurrentProcess();
  auto* base = static_cast<std::byte*>(
      VirtualAllocEx(self, nullptr, kG, kReserveCommit, PAGE_READWRITE));
  ASSERT_NE(base, nullptr);
  base[0] = std::byte{1};
  DWORD old = 0;
  EXPECT_TRUE(VirtualProtectEx(self, base, kP, PAGE_READONLY, &old));
  EXPECT_EQ(old, DWORD{PAGE_READWRITE});
  MEMORY_BASIC_INFORMATION information = {};
  EXPECT_EQ(VirtualQueryEx(self, base, &information, sizeof information), sizeof information);
  EXPECT_EQ(information.Protect, DWORD{PAGE_READONLY});
  EXPECT_EQ(information.RegionSize, kP);
  EXPECT_TRUE(VirtualFreeEx(self, base + kP, kP, MEM_DECOMMIT));
  EXPECT_TRUE(VirtualFreeEx(self, base, 0, MEM_RELEASE));
}

TEST_F(ProcessMemoryTest, VA42_OtherProcessesAreNoHandles) {
  std::byte* base = Commit(kG);
  for (const HANDLE process : kForeign) {
    DWORD old = 77;
    MEMORY_BASIC_INFORMATION information = {};
    EXPECT_EQ(ErrorOf([=] {
                return VirtualAllocEx(process, nullptr, kP, MEM_COMMIT, PAGE_READWRITE);
              }),
              ERROR_INVALID_HANDLE);
    EXPECT_EQ(ErrorOf([=] { return VirtualFreeEx(process, base, 0, MEM_RELEASE); }),
              ERROR_INVALID_HANDLE);
    EXPECT_EQ(ErrorOf([&] { return VirtualProtectEx(process, base, kP, PAGE_READONLY, &old); }),
              ERROR_INVALID_HANDLE);
    EXPECT_EQ(ErrorOf([&] {
                return VirtualQueryEx(process, base, &information, sizeof information);
              }),
              ERROR_INVALID_HANDLE);
    if (process == nullptr) continue;
    EXPECT_EQ(ErrorOf([=] {
                return VirtualAlloc2(process, nullptr, kP, MEM_COMMIT, PAGE_READWRITE, nullptr, 0);
              }),
              ERROR_INVALID_HANDLE);
  }
  ExpectRun(base, kG, MEM_COMMIT, PAGE_READWRITE);
  Release(base);
  void* made = VirtualAlloc2(nullptr, nullptr, kP, MEM_COMMIT, PAGE_READWRITE, nullptr, 0);
  ASSERT_NE(made, nullptr);
  Release(made);
}

TEST_F(ProcessMemoryTest, VA45_TheHandleIsLookedAtLast) {
  DWORD old = 0;
  MEMORY_BASIC_INFORMATION information = {};
  EXPECT_EQ(ErrorOf([] { return VirtualAllocEx(nullptr, nullptr, kP, 0, PAGE_READWRITE); }),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ErrorOf([] { return VirtualAllocEx(nullptr, nullptr, kP, MEM_COMMIT, 0); }),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ErrorOf([] { return VirtualFreeEx(nullptr, nullptr, 0, 0); }),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ErrorOf([&] { return VirtualProtectEx(nullptr, nullptr, kP, 0, &old); }),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ErrorOf([] { return VirtualProtectEx(nullptr, nullptr, kP, PAGE_READONLY, nullptr); }),
            ERROR_NOACCESS);
  EXPECT_EQ(ErrorOf([&] { return VirtualQueryEx(nullptr, nullptr, &information, 1); }),
            ERROR_BAD_LENGTH);
}

TEST_F(ProcessMemoryTest, VA43_AppsAllocateNothingExecutable) {
  for (const DWORD protect : {DWORD{PAGE_EXECUTE}, DWORD{PAGE_EXECUTE_READ},
                              DWORD{PAGE_EXECUTE_READWRITE}, DWORD{PAGE_EXECUTE_WRITECOPY},
                              DWORD{PAGE_EXECUTE_READ | PAGE_GUARD}}) {
    EXPECT_EQ(ErrorOf([=] { return VirtualAllocFromApp(nullptr, kP, MEM_COMMIT, protect); }),
              ERROR_INVALID_PARAMETER);
    EXPECT_EQ(ErrorOf([=] {
                return VirtualAlloc2FromApp(nullptr, nullptr, kP, MEM_COMMIT, protect, nullptr, 0);
              }),
              ERROR_INVALID_PARAMETER);
  }
  void* made = nullptr;
  EXPECT_EQ(ErrorOf([&] {
              return made = VirtualAllocFromApp(nullptr, kP, MEM_COMMIT, PAGE_READWRITE);
            }),
            ERROR_SUCCESS);
  Release(made);
  EXPECT_EQ(ErrorOf([&] {
              return made = VirtualAlloc2FromApp(nullptr, nullptr, kP, MEM_COMMIT, PAGE_READWRITE,
                                                 nullptr, 0);
            }),
            ERROR_SUCCESS);
  Release(made);
}

TEST_F(ProcessMemoryTest, VP19_AppsMayProtectAsExecutable) {
  std::byte* page = Commit(kP);
  ULONG old = 0;
  EXPECT_TRUE(VirtualProtectFromApp(page, kP, PAGE_EXECUTE_READWRITE, &old));
  EXPECT_EQ(old, DWORD{PAGE_READWRITE});
  EXPECT_EQ(Query(page).Protect, DWORD{PAGE_EXECUTE_READWRITE});
  EXPECT_EQ(ErrorOf([=] { return VirtualProtectFromApp(page, kP, PAGE_READWRITE, nullptr); }),
            ERROR_NOACCESS);
  Release(page);
}

TEST_F(SystemInfoTest, GranularityPagesAndTheRangeOfAddresses) {
  SYSTEM_INFO information;
  memset(&information, 0xff, sizeof information);
  GetSystemInfo(&information);
  EXPECT_EQ(information.dwPageSize, kP);
  EXPECT_EQ(information.dwAllocationGranularity, kG);
  EXPECT_EQ(information.wReserved, 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(information.lpMinimumApplicationAddress), kG);
  const auto highest = reinterpret_cast<uintptr_t>(information.lpMaximumApplicationAddress);
  EXPECT_EQ((highest + 1) % kP, 0u);
  // It is the last that VirtualQuery knows.
  MEMORY_BASIC_INFORMATION described = {};
  EXPECT_NE(VirtualQuery(reinterpret_cast<void*>(highest), &described, sizeof described), 0u);
  EXPECT_EQ(ErrorOf([&] {
              return VirtualQuery(reinterpret_cast<void*>(highest + 1), &described,
                                  sizeof described);
            }),
            ERROR_INVALID_PARAMETER);
  EXPECT_GE(information.dwNumberOfProcessors, 1u);
  EXPECT_EQ(static_cast<DWORD>(__builtin_popcountll(information.dwActiveProcessorMask)),
            std::min<DWORD>(information.dwNumberOfProcessors, 64));
}

TEST_F(SystemInfoTest, VQ10_RegionOfAReservation) {
  std::byte* base = Reserve(kG);
  const WIN32_MEMORY_REGION_INFORMATION region = Region(base);
  EXPECT_EQ(region.AllocationBase, base);
  EXPECT_EQ(region.RegionSize, kG);
  EXPECT_EQ(region.AllocationProtect, DWORD{PAGE_READWRITE});
  EXPECT_EQ(region.CommitSize, 0u);
  EXPECT_EQ(region.Flags, 0u);
  Release(base);
}

TEST_F(SystemInfoTest, VQ11_VP14_CommitSizeIsOfTheWholeRegion) {
  std::byte* base = Commit(kG);
  EXPECT_EQ(Region(base).CommitSize, kG);
  Protect(base, kP, PAGE_NOACCESS);
  EXPECT_EQ(Region(base).CommitSize, kG);
  EXPECT_EQ(Region(base + kP).AllocationBase, base);
  EXPECT_EQ(Region(base + kP + 1).CommitSize, kG);
  ASSERT_TRUE(VirtualFree(base + 3 * kP, 2 * kP, MEM_DECOMMIT));
  EXPECT_EQ(Region(base).CommitSize, kG - 2 * kP);
  Release(base);
}

TEST_F(SystemInfoTest, RegionErrors) {
  std::byte* base = Commit(kG);
  WIN32_MEMORY_REGION_INFORMATION region = {};
  const HANDLE self = GetCurrentProcess();
  const auto error = [&](HANDLE process, const void* address, int kind, size_t bytes) {
    return RegionError(process, address, kind, &region, bytes);
  };
  EXPECT_EQ(error(self, base, MemoryRegionInfo, sizeof region + 8), ERROR_SUCCESS);
  EXPECT_EQ(error(self, base, MemoryRegionInfo, sizeof region - 1), ERROR_BAD_LENGTH);
  EXPECT_EQ(error(self, base, 1, sizeof region), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(RegionError(self, base, MemoryRegionInfo, nullptr, sizeof region), ERROR_NOACCESS);
  EXPECT_EQ(error(nullptr, base, MemoryRegionInfo, sizeof region), ERROR_INVALID_HANDLE);
  EXPECT_EQ(error(self, reinterpret_cast<void*>(UINT64_MAX), MemoryRegionInfo, sizeof region),
            ERROR_INVALID_PARAMETER);
  Release(base);
  EXPECT_EQ(error(self, base, MemoryRegionInfo, sizeof region), ERROR_UNEXP_NET_ERR);
}

}  // namespace
}  // namespace userpager_tests
