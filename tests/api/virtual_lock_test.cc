// VirtualLock and VirtualUnlock, one test for each rule (see virtual_alloc_test.cc).
#include <sys/mman.h>

#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

using VirtualLockTest = VirtualMemoryTest;

DWORD LockError(void* address, size_t bytes) {
  return ErrorOf([=] { return VirtualLock(address, bytes); });
}
DWORD UnlockError(void* address, size_t bytes) {
  return ErrorOf([=] { return VirtualUnlock(address, bytes); });
}

// The kernel's own word for it.
bool IsResident(const void* page) {
  unsigned char state = 0;
  EXPECT_EQ(mincore(const_cast<void*>(page), 1, &state), 0);
  return (state & 1) != 0;
}

TEST_F(VirtualLockTest, LK1_LockAndUnlock) {
  std::byte* base = Commit(4 * kP);
  EXPECT_EQ(LockError(base, 4 * kP), ERROR_SUCCESS);
  for (size_t at = 0; at < 4 * kP; at += kP) EXPECT_TRUE(IsResident(base + at));
  EXPECT_EQ(LockError(base, kP), ERROR_SUCCESS) << "locks are not counted";
  EXPECT_EQ(UnlockError(base, 4 * kP), ERROR_SUCCESS);
  EXPECT_EQ(UnlockError(base, 4 * kP), ERROR_NOT_LOCKED);
  Release(base);
}

TEST_F(VirtualLockTest, LK3_WhatCannotBeLocked) {
  std::byte* base = Reserve(kG);
  ASSERT_TRUE(CommitAt(base, kP));
  ASSERT_TRUE(CommitAt(base + kP, kP, PAGE_NOACCESS));
  EXPECT_EQ(LockError(base, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(UnlockError(base, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(LockError(base, 2 * kP), ERROR_NOACCESS);
  EXPECT_EQ(LockError(base, 3 * kP), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(LockError(base + 4 * kP, kP), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(LockError(nullptr, kP), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(UnlockError(base, kP), ERROR_NOT_LOCKED) << "a failed lock has locked nothing";
  Release(base);
}

TEST_F(VirtualLockTest, LK5_UnlockOfUnlockedPagesTrimsThem) {
  std::byte* base = Commit(8 * kP);
  memset(base, 0x42, 8 * kP);
  ASSERT_TRUE(IsResident(base));
  EXPECT_EQ(UnlockError(base, 8 * kP), ERROR_NOT_LOCKED);
  for (size_t at = 0; at < 8 * kP; at += kP) EXPECT_FALSE(IsResident(base + at)) << at;
  for (size_t at = 0; at < 8 * kP; ++at) ASSERT_EQ(ByteAt(base + at), 0x42u);
  Release(base);
}

TEST_F(VirtualLockTest, LK5_OneUnlockedPageKeepsTheLocksOfOthers) {
  std::byte* base = Commit(2 * kP);
  ASSERT_EQ(LockError(base, kP), ERROR_SUCCESS);
  EXPECT_EQ(UnlockError(base, 2 * kP), ERROR_NOT_LOCKED);
  EXPECT_EQ(UnlockError(base, kP), ERROR_SUCCESS);
  Release(base);
}

// The minimum working set, for as long as a test needs it.
class MinimumWorkingSet {
 public:
  explicit MinimumWorkingSet(SIZE_T bytes) {
    EXPECT_TRUE(GetProcessWorkingSetSize(GetCurrentProcess(), &minimum_, &maximum_));
    EXPECT_TRUE(SetProcessWorkingSetSize(GetCurrentProcess(), bytes, bytes)) << GetLastError();
  }
  ~MinimumWorkingSet() {
    EXPECT_TRUE(SetProcessWorkingSetSize(GetCurrentProcess(), minimum_, maximum_));
  }

 private:
  SIZE_T minimum_ = 0;
  SIZE_T maximum_ = 0;
};

TEST_F(VirtualLockTest, LK6_QuotaIsTheMinimumWorkingSet) {
  // 50 pages less the overhead of 8.
  std::byte* base = Commit(64 * kP);
  EXPECT_EQ(LockError(base, 43 * kP), ERROR_WORKING_SET_QUOTA);
  EXPECT_EQ(LockError(base, 42 * kP), ERROR_SUCCESS);
  EXPECT_EQ(LockError(base, 42 * kP), ERROR_SUCCESS) << "locked pages are counted once";
  EXPECT_EQ(LockError(base + 42 * kP, kP), ERROR_WORKING_SET_QUOTA);
  const MinimumWorkingSet raised(51 * kP);
  EXPECT_EQ(LockError(base + 42 * kP, 2 * kP), ERROR_WORKING_SET_QUOTA);
  EXPECT_EQ(LockError(base + 42 * kP, kP), ERROR_SUCCESS);
  EXPECT_EQ(UnlockError(base, 43 * kP), ERROR_SUCCESS);
  Release(base);
}

TEST_F(VirtualLockTest, LK6_MoreThanTheMemoryLimitAllows) {
  const size_t limit = Stats().memory_limit_bytes;
  const MinimumWorkingSet raised(limit);
  std::byte* base = Commit(2 * limit);
  EXPECT_EQ(LockError(base, 2 * limit), ERROR_WORKING_SET_QUOTA);
  EXPECT_EQ(UnlockError(base, kP), ERROR_NOT_LOCKED) << "nothing was locked";
  EXPECT_EQ(LockError(base, kP), ERROR_SUCCESS);
  EXPECT_EQ(UnlockError(base, kP), ERROR_SUCCESS);
  Release(base);
}

TEST_F(VirtualLockTest, LK7_LockedPagesStayUnderPressure) {
  constexpr size_t kLocked = 64 * kP;
  const MinimumWorkingSet raised(kLocked + 8 * kP);
  constexpr size_t kBytes = 3 * kMemoryLimitBytes;
  std::byte* base = Commit(kBytes);
  memset(base, 0x19, kLocked);
  ASSERT_EQ(LockError(base, kLocked), ERROR_SUCCESS);
  memset(base + kLocked, 0x20, kBytes - kLocked);
  for (size_t at = 0; at < kLocked; at += kP) {
    EXPECT_TRUE(IsResident(base + at)) << at;
    EXPECT_EQ(ByteAt(base + at), 0x19u);
  }
  EXPECT_EQ(UnlockError(base, kLocked), ERROR_SUCCESS);
  Release(base);
}

TEST_F(VirtualLockTest, PagedOutPagesAreBroughtIn) {
  constexpr size_t kBytes = 3 * kMemoryLimitBytes;
  std::byte* base = Commit(kBytes);
  memset(base, 0x66, kBytes);
  ASSERT_FALSE(IsResident(base)) << "the first page should be out by now";
  ASSERT_EQ(LockError(base, 16 * kP), ERROR_SUCCESS);
  for (size_t at = 0; at < 16 * kP; at += kP) EXPECT_TRUE(IsResident(base + at)) << at;
  Release(base);
}

TEST_F(VirtualLockTest, ReleaseAndDecommitEndLocks) {
  std::byte* base = Commit(4 * kP);
  ASSERT_EQ(LockError(base, 4 * kP), ERROR_SUCCESS);
  ASSERT_TRUE(VirtualFree(base, kP, MEM_DECOMMIT));
  ASSERT_TRUE(CommitAt(base, kP));
  EXPECT_EQ(UnlockError(base, kP), ERROR_NOT_LOCKED);
  Release(base);
}

}  // namespace
}  // namespace userpager_tests
