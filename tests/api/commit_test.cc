// The commit charge, one test for each rule (see virtual_alloc_test.cc).
#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

using CommitTest = VirtualMemoryTest;

constexpr uint64_t kSeed = 88172645463325252u;

// Marsaglia's xorshift: no page comes out like another, and none is zero.
uint64_t NextRandom(uint64_t value) {
  value ^= value << 13;
  value ^= value >> 7;
  return value ^ value << 17;
}

TEST_F(CommitTest, AC1_AC2_ChargeFollowsCommit) {
  std::byte* base = Reserve(kG);
  EXPECT_EQ(ChargedSinceStart(), 0u);
  ASSERT_TRUE(CommitAt(base, 4 * kP));
  EXPECT_EQ(ChargedSinceStart(), 4 * kP);
  ASSERT_TRUE(CommitAt(base + 2 * kP, 4 * kP));
  EXPECT_EQ(ChargedSinceStart(), 6 * kP);
  ASSERT_TRUE(VirtualFree(base + kP, 2 * kP, MEM_DECOMMIT));
  EXPECT_EQ(ChargedSinceStart(), 4 * kP);
  ASSERT_TRUE(VirtualFree(base, 0, MEM_DECOMMIT));
  EXPECT_EQ(ChargedSinceStart(), 0u);
  Release(base);
}

TEST_F(CommitTest, AC3_OverTheLimitChangesNothing) {
  const uint64_t limit = Stats().commit_limit_bytes;
  std::byte* base = Reserve(limit + kG);
  ASSERT_TRUE(CommitAt(base, kP));
  base[0] = std::byte{1};
  EXPECT_EQ(AllocError(base, limit + kG, MEM_COMMIT, PAGE_READONLY), ERROR_COMMITMENT_LIMIT);
  EXPECT_EQ(AllocError(nullptr, limit + kG, MEM_COMMIT, PAGE_READWRITE), ERROR_COMMITMENT_LIMIT);
  EXPECT_EQ(ChargedSinceStart(), kP);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
  ExpectRun(base + kP, limit + kG - kP, MEM_RESERVE, 0);
  base[0] = std::byte{2};
  Release(base);
}

// Every page of a promise that was given can be kept: all of it is filled and read back.
TEST_F(CommitTest, AC9_WhatIsPromisedIsKept) {
  const userpager_stats before = Stats();
  const size_t bytes = (before.commit_limit_bytes - before.commit_bytes) / kG * kG;
  std::byte* base = Commit(bytes);
  ASSERT_NE(base, nullptr) << GetLastError();
  auto* words = reinterpret_cast<uint64_t*>(base);
  uint64_t value = kSeed;
  for (size_t i = 0; i < bytes / 8; ++i) words[i] = value = NextRandom(value);
  value = kSeed;
  size_t wrong = 0;
  for (size_t i = 0; i < bytes / 8; ++i) wrong += words[i] != (value = NextRandom(value));
  EXPECT_EQ(wrong, 0u);
  EXPECT_LE(Stats().resident_bytes_peak, kMemoryLimitBytes);
  Release(base);
}

TEST_F(CommitTest, AC10_PeakNeverDrops) {
  std::byte* base = Commit(32 * kP);
  const uint64_t peak = Stats().commit_bytes_peak;
  EXPECT_GE(peak, 32 * kP);
  Release(base);
  EXPECT_EQ(Stats().commit_bytes_peak, peak);
}

}  // namespace
}  // namespace userpager_tests
