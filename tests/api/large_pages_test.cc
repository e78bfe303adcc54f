// MEM_LARGE_PAGES: given whole, zeroed, charged, never paged; or refused as documented.
#include <fstream>
#include <string>

#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

constexpr DWORD kLarge = MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES;

class LargePagesTest : public VirtualMemoryTest {
 protected:
  void SetUp() override {
    VirtualMemoryTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    large_ = GetLargePageMinimum();
    if (large_ == 0) GTEST_SKIP() << "this kernel cannot be asked for large pages";
    std::byte* page = Alloc(nullptr, large_, kLarge, PAGE_READWRITE);
    if (page == nullptr && GetLastError() == ERROR_PRIVILEGE_NOT_HELD) {
      GTEST_SKIP() << "this process may not lock 2 MiB of memory (RLIMIT_MEMLOCK)";
    }
    if (page == nullptr && GetLastError() == ERROR_NO_SYSTEM_RESOURCES) {
      GTEST_SKIP() << "this kernel has no large page to give now";
    }
    ASSERT_NE(page, nullptr) << GetLastError();
    Release(page);
  }
  size_t large_ = 0;
};

// A figure of the mapping that `address` begins, in KiB; -1 where there is none.
long MappingFigure(const void* address, const std::string& name) {
  std::ifstream smaps("/proc/self/smaps");
  char begin[32];
  snprintf(begin, sizeof begin, "%lx-", reinterpret_cast<unsigned long>(address));
  bool found = false;
  for (std::string line; std::getline(smaps, line);) {
    found = found || line.rfind(begin, 0) == 0;
    if (found && line.rfind(name + ":", 0) == 0) return std::stol(line.substr(name.size() + 1));
  }
  return -1;
}

TEST_F(LargePagesTest, AreWholeAlignedZeroAndCharged) {
  EXPECT_EQ(large_, 2 * kMiB);
  const uint64_t resident = Stats().resident_bytes;
  std::byte* base = Alloc(nullptr, 2 * large_, kLarge, PAGE_READWRITE);
  ASSERT_NE(base, nullptr) << GetLastError();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(base) % large_, 0u);
  EXPECT_TRUE(IsZero(base, 2 * large_));
  ExpectRun(base, 2 * large_, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(Query(base).AllocationProtect, DWORD{PAGE_READWRITE});
  EXPECT_EQ(Query(base).Type, DWORD{MEM_PRIVATE});
  EXPECT_EQ(ChargedSinceStart(), 2 * large_);
  EXPECT_EQ(Stats().resident_bytes, resident + 2 * large_);
  EXPECT_EQ(MappingFigure(base, "AnonHugePages"), static_cast<long>(2 * large_ / 1024));
  EXPECT_EQ(MappingFigure(base, "Locked"), static_cast<long>(2 * large_ / 1024));
  memset(base, 0x5a, 2 * large_);
  Release(base);
  EXPECT_EQ(Stats().resident_bytes, resident);
  base = Alloc(base, large_, kLarge, PAGE_READWRITE);
  ASSERT_NE(base, nullptr) << GetLastError();
  EXPECT_TRUE(IsZero(base, large_)) << "old contents came back";
  Release(base);
}

TEST_F(LargePagesTest, SizeAddressAndProtectionAreChecked) {
  std::byte* space = FreeSpace(4 * large_);
  auto* aligned = reinterpret_cast<std::byte*>(
      (reinterpret_cast<uintptr_t>(space) + large_ - 1) / large_ * large_);
  EXPECT_EQ(AllocError(nullptr, large_ + kP, kLarge, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(nullptr, kG, kLarge, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(aligned + kG, large_, kLarge, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(nullptr, large_, kLarge, PAGE_READONLY), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(nullptr, large_, kLarge, PAGE_READWRITE | PAGE_NOCACHE),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(nullptr, large_, MEM_RESERVE | MEM_LARGE_PAGES, PAGE_READWRITE),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(nullptr, large_, kLarge | MEM_WRITE_WATCH, PAGE_READWRITE),
            ERROR_INVALID_PARAMETER);
  ASSERT_EQ(Alloc(aligned, large_, kLarge, PAGE_READWRITE), aligned);
  EXPECT_EQ(AllocError(aligned, large_, kLarge, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(AllocError(aligned + kG, kG, MEM_RESERVE, PAGE_READWRITE), ERROR_INVALID_ADDRESS);
  Release(aligned);
  std::byte* top = Alloc(nullptr, large_, kLarge | MEM_TOP_DOWN, PAGE_READWRITE);
  ASSERT_NE(top, nullptr);
  Release(top);
}

TEST_F(LargePagesTest, ArePagesThatNothingChanges) {
  std::byte* base = Alloc(nullptr, large_, kLarge, PAGE_READWRITE);
  ASSERT_NE(base, nullptr);
  base[kP] = std::byte{4};
  DWORD old = 0;
  EXPECT_EQ(ProtectError(base, kP, PAGE_READONLY, &old), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(Protect(base, kP, PAGE_READWRITE), DWORD{PAGE_READWRITE});
  EXPECT_EQ(AllocError(base, kP, MEM_COMMIT, PAGE_READONLY), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(Alloc(base + kP, kP, MEM_COMMIT, PAGE_READWRITE), base + kP);
  EXPECT_EQ(FreeError(base, kP, MEM_DECOMMIT), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(FreeError(base, large_, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER),
            ERROR_INVALID_ADDRESS);
  EXPECT_EQ(ErrorOf([&] { return VirtualLock(base, large_); }), ERROR_SUCCESS);
  EXPECT_EQ(ErrorOf([&] { return VirtualUnlock(base, large_); }), ERROR_NOT_LOCKED);
  EXPECT_EQ(ByteAt(base + kP), 4u);
  ExpectRun(base, large_, MEM_COMMIT, PAGE_READWRITE);
  Release(base);
}

TEST_F(LargePagesTest, StayInMemoryWhileOthersArePagedOut) {
  // Memory is full before: the large pages' is freed for them.
  constexpr size_t kPressureBytes = 2 * kMemoryLimitBytes;
  std::byte* pressure = Commit(kPressureBytes);
  memset(pressure, 1, kPressureBytes);
  std::byte* base = Alloc(nullptr, 2 * large_, kLarge, PAGE_READWRITE);
  ASSERT_NE(base, nullptr) << GetLastError();
  memset(base, 0x77, 2 * large_);
  memset(pressure, 2, kPressureBytes);
  EXPECT_LE(Stats().resident_bytes_peak, kMemoryLimitBytes);
  EXPECT_EQ(MappingFigure(base, "Rss"), static_cast<long>(2 * large_ / 1024));
  for (size_t at = 0; at < kPressureBytes; at += kP) ASSERT_EQ(ByteAt(pressure + at), 2u);
  for (size_t at = 0; at < 2 * large_; at += kP) ASSERT_EQ(ByteAt(base + at), 0x77u);
  Release(base);
  Release(pressure);
}

TEST_F(LargePagesTest, AreLimitedWithLockedPages) {
  EXPECT_EQ(AllocError(nullptr, kMemoryLimitBytes, kLarge, PAGE_READWRITE),
            ERROR_NO_SYSTEM_RESOURCES);
  EXPECT_EQ(AllocError(nullptr, size_t{1} << 40, kLarge, PAGE_READWRITE), ERROR_COMMITMENT_LIMIT);
  EXPECT_EQ(ChargedSinceStart(), 0u);
  std::byte* base = Alloc(nullptr, 2 * large_, kLarge, PAGE_READWRITE);
  ASSERT_NE(base, nullptr);
  std::byte* ordinary = Commit(2 * large_);
  // The working set's own quota of locks is not what is tried here.
  const HANDLE process = GetCurrentProcess();
  EXPECT_TRUE(SetProcessWorkingSetSize(process, 4 * large_, 5 * large_)) << GetLastError();
  EXPECT_EQ(ErrorOf([&] { return VirtualLock(ordinary, 2 * large_); }), ERROR_WORKING_SET_QUOTA);
  Release(base);
  EXPECT_TRUE(VirtualLock(ordinary, 2 * large_));
  Release(ordinary);
  EXPECT_TRUE(SetProcessWorkingSetSize(process, 204800, 1413120));
}

}  // namespace
}  // namespace userpager_tests
