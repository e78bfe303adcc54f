// VirtualFree, one test for each rule (see virtual_alloc_test.cc about the numbers).
#include <atomic>
#include <thread>

#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

using VirtualFreeTest = VirtualMemoryTest;

TEST_F(VirtualFreeTest, VF1_VF2_VF5_VF6_TypesThatAreNone) {
  std::byte* page = Commit(kP);
  for (unsigned bit = 0; bit < 32; ++bit) {
    const DWORD type = DWORD{1} << bit;
    if (type == MEM_DECOMMIT || type == MEM_RELEASE) continue;
    EXPECT_EQ(FreeError(page, 0, type), ERROR_INVALID_PARAMETER) << type;
  }
  const DWORD others[] = {0, MEM_DECOMMIT | MEM_RELEASE, ~DWORD{MEM_DECOMMIT}, ~DWORD{MEM_RELEASE},
                          ~DWORD{0}};
  for (const DWORD type : others) {
    EXPECT_EQ(FreeError(page, 0, type), ERROR_INVALID_PARAMETER) << type;
    EXPECT_EQ(FreeError(nullptr, 0, type), ERROR_INVALID_PARAMETER) << "before the address";
  }
  ExpectRun(page, kP, MEM_COMMIT, PAGE_READWRITE);
  Release(page);
}

TEST_F(VirtualFreeTest, VF3_ReleaseTakesNoSize) {
  std::byte* base = Commit(kG);
  EXPECT_EQ(FreeError(base, 1, MEM_RELEASE), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(FreeError(base, kG, MEM_RELEASE), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(FreeError(base, 0, MEM_RELEASE), ERROR_SUCCESS);
}

TEST_F(VirtualFreeTest, VF7_DecommitOfTwoBytesOverABorder) {
  std::byte* base = Commit(4 * kP);
  memset(base, 1, 4 * kP);
  EXPECT_EQ(FreeError(base + 0x1fff, 2, MEM_DECOMMIT), ERROR_SUCCESS);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
  ExpectRun(base + kP, 2 * kP, MEM_RESERVE, 0);
  ExpectRun(base + 3 * kP, kP, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(ByteAt(base + 3 * kP), 1u);
  Release(base);
}

TEST_F(VirtualFreeTest, VF9_DecommitOfSizeZeroIsTheWholeAllocation) {
  std::byte* base = Commit(kG);
  EXPECT_EQ(FreeError(base + kP, 0, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base + 0xffe, 0, MEM_DECOMMIT), ERROR_SUCCESS);
  ExpectRun(base, kG, MEM_RESERVE, 0);
  EXPECT_EQ(ChargedSinceStart(), 0u);
  EXPECT_EQ(FreeError(base, 0, MEM_DECOMMIT), ERROR_SUCCESS) << "what is not committed is no error";
  Release(base);
}

TEST_F(VirtualFreeTest, VF10_ReleaseWantsTheFirstPage) {
  std::byte* base = Commit(2 * kP);
  EXPECT_EQ(FreeError(base + 0x1000, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base + 0x1001, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base + 0xfff, 0, MEM_RELEASE), ERROR_SUCCESS);
  EXPECT_EQ(Query(base).State, DWORD{MEM_FREE});
}

TEST_F(VirtualFreeTest, VF11_WhatIsNotAllocatedCannotBeFreed) {
  std::byte* base = Commit(kP);
  EXPECT_EQ(FreeError(base, 0, MEM_RELEASE), ERROR_SUCCESS);
  EXPECT_EQ(FreeError(base, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base, kP, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
  static std::byte foreign[16];
  EXPECT_EQ(FreeError(foreign, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(foreign, 1, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(nullptr, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
  void* highest = reinterpret_cast<void*>(UINT64_MAX);
  EXPECT_EQ(FreeError(highest, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(highest, 2, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
}

TEST_F(VirtualFreeTest, TailOfTheSlotBelongsToNobody) {
  std::byte* base = Commit(kP);
  EXPECT_EQ(FreeError(base + kP, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base + kP, kP, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
  Release(base);
}

TEST_F(VirtualFreeTest, VF13_DecommitBeyondTheRegion) {
  std::byte* base = Commit(kP);
  EXPECT_EQ(FreeError(base, kP + 1, MEM_DECOMMIT), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(FreeError(base + 1, kP, MEM_DECOMMIT), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(FreeError(base, SIZE_MAX, MEM_DECOMMIT), ERROR_INVALID_PARAMETER);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(FreeError(base + 1, kP - 1, MEM_DECOMMIT), ERROR_SUCCESS);
  ExpectRun(base, kP, MEM_RESERVE, 0);
  Release(base);
}

TEST_F(VirtualFreeTest, VF14_DecommitOverTwoAllocations) {
  std::byte* space = FreeSpace(2 * kG);
  constexpr DWORD kType = MEM_RESERVE | MEM_COMMIT;
  ASSERT_EQ(Alloc(space, kG, kType, PAGE_READWRITE), space);
  ASSERT_EQ(Alloc(space + kG, kG, kType, PAGE_READWRITE), space + kG);
  EXPECT_EQ(FreeError(space, 2 * kG, MEM_DECOMMIT), ERROR_INVALID_PARAMETER);
  ExpectRun(space, kG, MEM_COMMIT, PAGE_READWRITE);
  ExpectRun(space + kG, kG, MEM_COMMIT, PAGE_READWRITE);
  Release(space);
  Release(space + kG);
}

TEST_F(VirtualFreeTest, VF15_DecommittedPagesAreReserved) {
  std::byte* base = Commit(kG, PAGE_READONLY);
  EXPECT_EQ(ByteAt(base), 0u);
  ASSERT_TRUE(VirtualFree(base, kP, MEM_DECOMMIT));
  EXPECT_TRUE(ReadFaults(base + 8));
  ExpectRun(base, kP, MEM_RESERVE, 0);
  EXPECT_EQ(Query(base).AllocationProtect, DWORD{PAGE_READONLY});
  Release(base);
}

TEST_F(VirtualFreeTest, VF17_ReleaseOfAPartlyCommittedRegion) {
  std::byte* base = Reserve(3 * kG);
  ASSERT_TRUE(CommitAt(base + kG, kG, PAGE_READONLY));
  EXPECT_EQ(ChargedSinceStart(), kG);
  EXPECT_EQ(FreeError(base, 0, MEM_RELEASE), ERROR_SUCCESS);
  EXPECT_EQ(ChargedSinceStart(), 0u);
}

TEST_F(VirtualFreeTest, VF25_ReleaseGivesBackChargeAndSlots) {
  constexpr size_t kBytes = 3 * kMemoryLimitBytes;
  const uint64_t slots_before = Stats().page_file_used_bytes;
  std::byte* base = Commit(kBytes);
  for (size_t at = 0; at < kBytes; at += kP) base[at] = std::byte{1};
  EXPECT_GT(Stats().page_file_used_bytes, slots_before);
  EXPECT_EQ(ChargedSinceStart(), kBytes);
  Release(base);
  // Slots that a write is still under way to go back when it is done.
  for (int i = 0; i < 10'000 && Stats().page_file_used_bytes > slots_before; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(Stats().page_file_used_bytes, slots_before);
}

TEST_F(VirtualFreeTest, DecommitOfPagedOutPagesForgetsThem) {
  constexpr size_t kBytes = 2 * kMemoryLimitBytes;
  std::byte* base = Commit(kBytes);
  memset(base, 0x77, kBytes);
  ASSERT_TRUE(VirtualFree(base, kBytes, MEM_DECOMMIT));
  ASSERT_TRUE(CommitAt(base, kBytes));
  for (size_t at = 0; at < kBytes; at += kP) ASSERT_EQ(ByteAt(base + at), 0u) << at;
  Release(base);
}

// One thread writes while the other decommits and commits again: each touch is either answered with
// a page or is a violation, and a neighbour keeps its bytes.
TEST_F(VirtualFreeTest, VF26_FreeWhileAnotherThreadFaults) {
  std::byte* base = Commit(kG);
  std::byte* neighbour = Commit(kG);
  memset(neighbour, 0x3c, kG);
  std::atomic<bool> stop{false};
  std::thread toucher([&] {
    while (!stop.load()) {
      // The result is the race's; what matters is that it is one of the two.
      for (size_t at = 0; at < kG; at += kP) (void)WriteFaults(base + at);
    }
  });
  for (int round = 0; round < 500; ++round) {
    ASSERT_TRUE(VirtualFree(base, 0, MEM_DECOMMIT));
    ASSERT_TRUE(CommitAt(base, kG));
  }
  stop.store(true);
  toucher.join();
  for (size_t at = 0; at < kG; ++at) ASSERT_EQ(ByteAt(neighbour + at), 0x3cu);
  Release(neighbour);
  Release(base);
}

}  // namespace
}  // namespace userpager_tests
