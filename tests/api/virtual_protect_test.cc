// VirtualProtect and guard pages, one test for each rule (see virtual_alloc_test.cc).
#include <vector>

#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

using VirtualProtectTest = VirtualMemoryTest;

TEST_F(VirtualProtectTest, VP1_VP2_AllPagesMustBeCommitted) {
  std::byte* base = Reserve(kG);
  DWORD old = 0;
  EXPECT_EQ(ProtectError(base, kP, PAGE_READONLY, &old), ERROR_INVALID_ADDRESS);
  ASSERT_TRUE(CommitAt(base, kP));
  EXPECT_EQ(ProtectError(base, 2 * kP, PAGE_READONLY, &old), ERROR_INVALID_ADDRESS);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
  Release(base);
}

TEST_F(VirtualProtectTest, VP3_OldProtectionIsReturned) {
  std::byte* base = Commit(kP, PAGE_NOACCESS);
  EXPECT_EQ(Protect(base, kP, PAGE_READONLY), DWORD{PAGE_NOACCESS});
  EXPECT_EQ(Protect(base, kP, PAGE_READWRITE), DWORD{PAGE_READONLY});
  Release(base);
}

TEST_F(VirtualProtectTest, VP3_OldProtectionIsTheFirstPages) {
  std::byte* base = Commit(3 * kP);
  EXPECT_EQ(Protect(base + kP, kP, PAGE_READONLY), DWORD{PAGE_READWRITE});
  EXPECT_EQ(Protect(base + kP, 2 * kP, PAGE_NOACCESS), DWORD{PAGE_READONLY});
  EXPECT_EQ(Protect(base, 3 * kP, PAGE_READWRITE), DWORD{PAGE_READWRITE});
  Release(base);
}

TEST_F(VirtualProtectTest, VP5_OldPointerIsRequired) {
  std::byte* base = Commit(kP);
  EXPECT_EQ(ProtectError(base, kP, PAGE_READONLY, nullptr), ERROR_NOACCESS);
  EXPECT_EQ(Protect(base, kP, PAGE_READONLY), DWORD{PAGE_READWRITE});
  Release(base);
}

TEST_F(VirtualProtectTest, VP6_ProtectionsThatAreNone) {
  std::byte* base = Commit(kP);
  DWORD old = kUntouched;
  for (const DWORD protect : {DWORD{0}, DWORD{PAGE_READWRITE | PAGE_EXECUTE_WRITECOPY},
                              DWORD{PAGE_GUARD}, DWORD{PAGE_WRITECOPY}}) {
    EXPECT_EQ(ProtectError(base, kP, protect, &old), ERROR_INVALID_PARAMETER);
    EXPECT_EQ(ProtectError(base, kP, protect, nullptr), ERROR_INVALID_PARAMETER) << "checked first";
  }
  EXPECT_EQ(ProtectError(base, 0, PAGE_READONLY, &old), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(old, kUntouched);
  Release(base);
}

TEST_F(VirtualProtectTest, VP7_TableOfProtections) {
  std::byte* base = Commit(2 * kP, PAGE_NOACCESS);
  for (DWORD protect = 0; protect < 0x100; ++protect) {
    const bool valid = protect == PAGE_NOACCESS || protect == PAGE_READONLY ||
                       protect == PAGE_READWRITE || protect == PAGE_EXECUTE ||
                       protect == PAGE_EXECUTE_READ || protect == PAGE_EXECUTE_READWRITE;
    DWORD old = 0;
    if (!valid) {
      EXPECT_EQ(ProtectError(base, kP, protect, &old), ERROR_INVALID_PARAMETER) << protect;
      EXPECT_EQ(Query(base).Protect, DWORD{PAGE_NOACCESS});
      continue;
    }
    EXPECT_EQ(ProtectError(base, kP, protect, &old), ERROR_SUCCESS) << protect;
    EXPECT_EQ(old, DWORD{PAGE_NOACCESS});
    EXPECT_EQ(Query(base).Protect, protect);
    EXPECT_EQ(Query(base).AllocationProtect, DWORD{PAGE_NOACCESS});
    EXPECT_EQ(Query(base).RegionSize, protect == PAGE_NOACCESS ? 2 * kP : kP);
    EXPECT_EQ(Protect(base, kP, PAGE_NOACCESS), protect);
  }
  Release(base);
}

TEST_F(VirtualProtectTest, VP9_OneByteIsItsPage) {
  std::byte* base = Commit(2 * kP);
  Protect(base + 1, 1, PAGE_READONLY);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READONLY);
  ExpectRun(base + kP, kP, MEM_COMMIT, PAGE_READWRITE);
  Release(base);
}

TEST_F(VirtualProtectTest, VP10_VP11_FailuresSetTheOldProtection) {
  std::byte* base = Commit(kP);
  DWORD old = kUntouched;
  EXPECT_EQ(ProtectError(base, kG + 1, PAGE_READONLY, &old), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(old, DWORD{PAGE_NOACCESS});
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
  old = kUntouched;
  EXPECT_EQ(ProtectError(nullptr, kP, PAGE_READONLY, &old), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(old, DWORD{PAGE_NOACCESS});
  Release(base);
}

TEST_F(VirtualProtectTest, VP13_ContentsOutliveProtections) {
  std::byte* base = Commit(kP);
  ASSERT_FALSE(WriteFaults(base, 0xff));
  Protect(base, kP, PAGE_READONLY);
  EXPECT_TRUE(WriteFaults(base, 1));
  EXPECT_EQ(ByteAt(base), 0xffu);
  Protect(base, kP, PAGE_NOACCESS);
  EXPECT_TRUE(ReadFaults(base));
  EXPECT_TRUE(WriteFaults(base, 1));
  Protect(base, kP, PAGE_READONLY);
  EXPECT_EQ(ByteAt(base), 0xffu);
  Release(base);
}

TEST_F(VirtualProtectTest, VP14_AC7_PagesWithoutAccessStayCharged) {
  std::byte* base = Commit(4 * kP);
  Protect(base, 2 * kP, PAGE_NOACCESS);
  Protect(base + 2 * kP, 2 * kP, PAGE_READWRITE | PAGE_GUARD);
  EXPECT_EQ(ChargedSinceStart(), 4 * kP);
  Release(base);
}

TEST_F(VirtualProtectTest, VP15_NoCacheBelongsToTheAllocation) {
  std::byte* base = Commit(kP, PAGE_READWRITE | PAGE_NOCACHE);
  EXPECT_EQ(Protect(base, kP, PAGE_READWRITE), DWORD{PAGE_READWRITE | PAGE_NOCACHE});
  EXPECT_EQ(Query(base).Protect, DWORD{PAGE_READWRITE | PAGE_NOCACHE});
  Protect(base, kP, PAGE_READONLY);
  EXPECT_EQ(Query(base).Protect, DWORD{PAGE_READONLY | PAGE_NOCACHE});
  Release(base);
  std::byte* plain = Commit(kP);
  Protect(plain, kP, PAGE_READONLY | PAGE_NOCACHE);
  EXPECT_EQ(Query(plain).Protect, DWORD{PAGE_READONLY});
  Release(plain);
}

std::byte* handled_page = nullptr;

void MakeWritable(int, siginfo_t*, void*) {
  DWORD old = 0;
  VirtualProtect(handled_page, 16, PAGE_EXECUTE_READWRITE, &old);
}

TEST_F(VirtualProtectTest, VP17_ProtectInAFaultHandler) {
  std::byte* base = Commit(kP, PAGE_READONLY);
  handled_page = base;
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_sigaction = &MakeWritable;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &before);
  *static_cast<volatile unsigned char*>(static_cast<void*>(base)) = 42;
  sigaction(SIGSEGV, &before, nullptr);
  EXPECT_EQ(ByteAt(base), 42u);
  EXPECT_EQ(Query(base).Protect, DWORD{PAGE_EXECUTE_READWRITE});
  Release(base);
}

TEST_F(VirtualProtectTest, VP18_PagedOutDataOutlivesProtections) {
  constexpr size_t kBytes = 2 * kMemoryLimitBytes;
  std::byte* base = Commit(kBytes);
  for (size_t at = 0; at < kBytes; at += kP) memset(base + at, static_cast<int>(at / kP), 8);
  Protect(base, kBytes, PAGE_READONLY);
  for (size_t at = 0; at < kBytes; at += 64 * kP) EXPECT_TRUE(WriteFaults(base + at, 0xee));
  for (size_t at = 0; at < kBytes; at += kP) ASSERT_EQ(ByteAt(base + at), at / kP % 256) << at;
  Release(base);
}

TEST_F(VirtualProtectTest, GP1_GP2_GuardShowsUntilItIsTakenAway) {
  std::byte* base = Commit(kP, PAGE_READWRITE | PAGE_GUARD);
  ASSERT_NE(base, nullptr);
  EXPECT_EQ(Query(base).Protect, DWORD{PAGE_READWRITE | PAGE_GUARD});
  EXPECT_EQ(Query(base).AllocationProtect, DWORD{PAGE_READWRITE | PAGE_GUARD});
  EXPECT_EQ(Protect(base, kP, PAGE_READWRITE), DWORD{PAGE_READWRITE | PAGE_GUARD});
  EXPECT_FALSE(WriteFaults(base + 4));
  EXPECT_EQ(Protect(base, kP, PAGE_READWRITE | PAGE_GUARD), DWORD{PAGE_READWRITE});
  Release(base);
}

TEST_F(VirtualProtectTest, GP3_LK2_LockEndsAGuardOnce) {
  std::byte* base = Commit(2 * kP);
  base[0] = std::byte{11};
  Protect(base, 2 * kP, PAGE_READWRITE | PAGE_GUARD);
  EXPECT_EQ(ErrorOf([=] { return VirtualLock(base, kP); }), STATUS_GUARD_PAGE_VIOLATION);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
  ExpectRun(base + kP, kP, MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD);
  EXPECT_EQ(ErrorOf([=] { return VirtualLock(base, kP); }), ERROR_SUCCESS);
  EXPECT_EQ(ByteAt(base), 11u);
  EXPECT_TRUE(VirtualUnlock(base, kP));
  EXPECT_EQ(ErrorOf([=] { return VirtualLock(base, 2 * kP); }), STATUS_GUARD_PAGE_VIOLATION);
  Release(base);
}

TEST_F(VirtualProtectTest, GP10_CommitArmsAGuardAgain) {
  std::byte* base = Commit(kP);
  base[1] = std::byte{5};
  ASSERT_TRUE(CommitAt(base, kP, PAGE_READWRITE | PAGE_GUARD));
  EXPECT_TRUE(ReadFaults(base + 1));
  ASSERT_TRUE(CommitAt(base, kP, PAGE_READWRITE));
  EXPECT_EQ(ByteAt(base + 1), 5u);
  Release(base);
}

}  // namespace
}  // namespace userpager_tests
