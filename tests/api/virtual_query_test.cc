// VirtualQuery, one test for each rule (see virtual_alloc_test.cc).
#include "runtime/platform/address_map.h"
#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

using VirtualQueryTest = VirtualMemoryTest;

DWORD QueryError(const void* address, MEMORY_BASIC_INFORMATION* information, size_t bytes) {
  return ErrorOf([=] { return VirtualQuery(address, information, bytes); });
}

TEST_F(VirtualQueryTest, VQ2_RunsCountFromThePageAskedAbout) {
  std::byte* base = Reserve(kG, PAGE_NOACCESS);
  ASSERT_TRUE(CommitAt(base, 6 * kP, PAGE_READWRITE));
  const MEMORY_BASIC_INFORMATION information = Query(base + 2 * kP + 77);
  EXPECT_EQ(information.BaseAddress, base + 2 * kP);
  EXPECT_EQ(information.AllocationBase, base);
  EXPECT_EQ(information.AllocationProtect, DWORD{PAGE_NOACCESS});
  EXPECT_EQ(information.RegionSize, 4 * kP);
  EXPECT_EQ(information.Protect, DWORD{PAGE_READWRITE});
  EXPECT_EQ(information.PartitionId, 0u);
  Release(base);
}

TEST_F(VirtualQueryTest, VQ3_RestOfAReservation) {
  std::byte* base = Reserve(16 * kP);
  ASSERT_TRUE(CommitAt(base, kP));
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
  ExpectRun(base + kP, 15 * kP, MEM_RESERVE, 0);
  Release(base);
}

TEST_F(VirtualQueryTest, VQ5_AllocationsAreNeverMerged) {
  std::byte* space = FreeSpace(2 * kG);
  ASSERT_EQ(Alloc(space, kG, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE), space);
  ASSERT_EQ(Alloc(space + kG, kG, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE), space + kG);
  ExpectRun(space, kG, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(Query(space + kG).AllocationBase, space + kG);
  Release(space);
  Release(space + kG);
}

TEST_F(VirtualQueryTest, VQ6_FreeReachesToTheNextAllocation) {
  std::byte* space = FreeSpace(4 * kG);
  ASSERT_EQ(Alloc(space + 3 * kG, kP, MEM_RESERVE, PAGE_READWRITE), space + 3 * kG);
  const MEMORY_BASIC_INFORMATION information = Query(space + kP + 9);
  EXPECT_EQ(information.BaseAddress, space + kP);
  EXPECT_EQ(information.AllocationBase, nullptr);
  EXPECT_EQ(information.AllocationProtect, 0u);
  EXPECT_EQ(information.RegionSize, 3 * kG - kP);
  EXPECT_EQ(information.State, DWORD{MEM_FREE});
  EXPECT_EQ(information.Protect, DWORD{PAGE_NOACCESS});
  EXPECT_EQ(information.Type, 0u);
  EXPECT_EQ(Query(space + 3 * kG + kP).State, DWORD{MEM_FREE}) << "the tail of the slot";
  Release(space + 3 * kG);
}

TEST_F(VirtualQueryTest, VQ7_VQ9_Lengths) {
  struct {
    MEMORY_BASIC_INFORMATION information;
    char behind[16];
  } answer;
  memset(&answer, 0x55, sizeof answer);
  std::byte* base = Commit(kP);
  EXPECT_EQ(QueryError(base, &answer.information, sizeof answer.information - 1),
            ERROR_BAD_LENGTH);
  EXPECT_EQ(VirtualQuery(base, &answer.information, sizeof answer),
            sizeof(MEMORY_BASIC_INFORMATION));
  for (const char c : answer.behind) EXPECT_EQ(c, 0x55);
  EXPECT_EQ(QueryError(base, nullptr, sizeof answer), ERROR_NOACCESS);
  EXPECT_EQ(QueryError(base, nullptr, 0), ERROR_BAD_LENGTH);
  Release(base);
}

TEST_F(VirtualQueryTest, BeyondTheAddressSpaceOfPrograms) {
  MEMORY_BASIC_INFORMATION information;
  const uint64_t end = userpager::AddressOf(userpager::kEndOfAddressSpace);
  EXPECT_EQ(QueryError(reinterpret_cast<void*>(end), &information, sizeof information),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(QueryError(reinterpret_cast<void*>(UINT64_MAX), &information, sizeof information),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(QueryError(reinterpret_cast<void*>(end - 1), &information, sizeof information),
            ERROR_SUCCESS);
}

TEST_F(VirtualQueryTest, VQ15_WalkCoversTheAddressSpace) {
  std::byte* first = Reserve(3 * kG);
  std::byte* second = Commit(kP);
  ASSERT_TRUE(CommitAt(first + kG, kG));
  const uint64_t end = userpager::AddressOf(userpager::kEndOfAddressSpace);
  uint64_t address = 0;
  size_t pieces_of_first = 0;
  size_t pieces_of_second = 0;
  for (int steps = 0; address < end && steps < 100'000; ++steps) {
    MEMORY_BASIC_INFORMATION information;
    ASSERT_NE(VirtualQuery(reinterpret_cast<void*>(address), &information, sizeof information), 0u);
    EXPECT_EQ(reinterpret_cast<uint64_t>(information.BaseAddress), address);
    ASSERT_GT(information.RegionSize, 0u);
    if (information.AllocationBase == first) ++pieces_of_first;
    if (information.AllocationBase == second) ++pieces_of_second;
    address += information.RegionSize;
  }
  EXPECT_EQ(address, end);
  EXPECT_EQ(pieces_of_first, 3u);
  EXPECT_EQ(pieces_of_second, 1u);
  Release(first);
  Release(second);
}

// Where a page's content is does not show.
TEST_F(VirtualQueryTest, PagingDoesNotSplitRuns) {
  constexpr size_t kBytes = 2 * kMemoryLimitBytes;
  std::byte* base = Commit(kBytes);
  for (size_t at = 0; at < kBytes; at += 3 * kP) base[at] = std::byte{1};
  ExpectRun(base, kBytes, MEM_COMMIT, PAGE_READWRITE);
  ASSERT_TRUE(VirtualLock(base + 8 * kP, kP));
  ExpectRun(base, kBytes, MEM_COMMIT, PAGE_READWRITE);
  ASSERT_TRUE(VirtualUnlock(base + 8 * kP, kP));
  Release(base);
}

// The answer goes into paged-out memory without a lock held.
TEST_F(VirtualQueryTest, AnswerMayGoToManagedMemory) {
  std::byte* base = Commit(2 * kMemoryLimitBytes);
  auto* information = reinterpret_cast<MEMORY_BASIC_INFORMATION*>(base);
  for (int round = 0; round < 3; ++round) {
    memset(base, round, 2 * kMemoryLimitBytes);
    ASSERT_EQ(VirtualQuery(base, information, sizeof *information), sizeof *information);
    EXPECT_EQ(information->AllocationBase, base);
  }
  Release(base);
}

}  // namespace
}  // namespace userpager_tests
