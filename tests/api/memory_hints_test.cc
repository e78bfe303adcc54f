// MEM_RESET, OfferVirtualMemory and their kin, PrefetchVirtualMemory: one test for each rule (see
// virtual_alloc_test.cc).
#include <unistd.h>

#include <vector>

#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/eventually.h"

namespace userpager_tests {
namespace {

constexpr size_t kPages = 16;

// Whole pages of one value, so that a page that was half given up would show.
void Fill(std::byte* base, unsigned char value, size_t pages = kPages) {
  memset(base, value, pages * kP);
}
enum class Content { kOld, kZero, kMixed };
Content ContentOf(const std::byte* page, unsigned char old) {
  const unsigned first = ByteAt(page);
  for (size_t i = 1; i < kP; ++i) {
    if (ByteAt(page + i) != first) return Content::kMixed;
  }
  return first == old ? Content::kOld : first == 0 ? Content::kZero : Content::kMixed;
}
bool IsOld(const std::byte* base, unsigned char old, size_t pages = kPages) {
  for (size_t i = 0; i < pages; ++i) {
    if (ContentOf(base + i * kP, old) != Content::kOld) return false;
  }
  return true;
}

class MemoryHintsTest : public VirtualMemoryTest {
 protected:
  void SetUp() override {
    VirtualMemoryTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    base_ = Commit(kPages * kP);
  }
  void TearDown() override {
    if (base_ != nullptr) Release(base_);
    VirtualMemoryTest::TearDown();
  }
  static void PushOutAll() {
    const size_t bytes = 2 * Stats().memory_limit_bytes;
    std::byte* ballast = Commit(bytes);
    memset(ballast, 0x55, bytes);
    Release(ballast);
  }
  static DWORD ResetError(void* address, size_t bytes) {
    return AllocError(address, bytes, MEM_RESET, PAGE_NOACCESS);
  }
  static DWORD UndoError(void* address, size_t bytes) {
    return AllocError(address, bytes, MEM_RESET_UNDO, PAGE_NOACCESS);
  }

  std::byte* base_ = nullptr;
};

TEST_F(MemoryHintsTest, RS1_ResetPagesHoldTheOldOrZeros) {
  Fill(base_, 0x31);
  const uint64_t commit = CommitBytes();
  EXPECT_EQ(Alloc(base_ + 5, kPages * kP - 5, MEM_RESET, PAGE_READWRITE), base_);
  for (size_t i = 0; i < kPages; ++i) {
    EXPECT_NE(ContentOf(base_ + i * kP, 0x31), Content::kMixed) << i;
  }
  ExpectRun(base_, kPages * kP, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(CommitBytes(), commit);
}

TEST_F(MemoryHintsTest, RS2_ReservedPagesAreNoError) {
  std::byte* base = Reserve(4 * kP);
  ASSERT_TRUE(CommitAt(base + kP, kP));
  base[kP] = std::byte{1};
  EXPECT_EQ(ResetError(base, 4 * kP), ERROR_SUCCESS);
  ExpectRun(base, kP, MEM_RESERVE, 0);
  ExpectRun(base + kP, kP, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(UndoError(base, 4 * kP), ERROR_SUCCESS);
  EXPECT_EQ(ByteAt(base + kP), 1u);
  Release(base);
}

TEST_F(MemoryHintsTest, RS3_OutsideOfAReservation) {
  std::byte* base = Reserve(kG);
  EXPECT_EQ(ResetError(base + kP, kG), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(UndoError(base + kP, kG), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(ResetError(nullptr, kP), ERROR_INVALID_ADDRESS);
  EXPECT_EQ(ResetError(base, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(base, kP, MEM_RESET, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(base, kP, MEM_RESET | MEM_COMMIT, PAGE_READWRITE),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(base, kP, MEM_RESET | MEM_RESET_UNDO, PAGE_READWRITE),
            ERROR_INVALID_PARAMETER);
  Release(base);
  EXPECT_EQ(ResetError(base, kP), ERROR_INVALID_ADDRESS);
}

TEST_F(MemoryHintsTest, RS6_WrittenAfterResetIsNormalAgain) {
  Fill(base_, 0x11);
  ASSERT_EQ(ResetError(base_, kPages * kP), ERROR_SUCCESS);
  Fill(base_, 0x22);
  PushOutAll();
  EXPECT_TRUE(IsOld(base_, 0x22));
  EXPECT_EQ(UndoError(base_, kPages * kP), ERROR_SUCCESS);
  EXPECT_TRUE(IsOld(base_, 0x22));
}

TEST_F(MemoryHintsTest, RS6_TouchedAfterResetStays) {
  Fill(base_, 0x11);
  ASSERT_EQ(ResetError(base_, kPages * kP), ERROR_SUCCESS);
  std::vector<unsigned> seen;
  for (size_t i = 0; i < kPages; ++i) seen.push_back(ByteAt(base_ + i * kP));
  PushOutAll();
  for (size_t i = 0; i < kPages; ++i) EXPECT_EQ(ByteAt(base_ + i * kP), seen[i]) << i;
}

TEST_F(MemoryHintsTest, RS7_ResetPagesAreNotWritten) {
  if (Stats().memory_limit_bytes < kMemoryLimitBytes) {
    GTEST_SKIP() << "with so little memory the pages are in the page file before they are reset";
  }
  Fill(base_, 0x11);
  ASSERT_EQ(ResetError(base_, kPages * kP), ERROR_SUCCESS);
  PushOutAll();
  for (size_t i = 0; i < kPages; ++i) {
    EXPECT_EQ(ContentOf(base_ + i * kP, 0x11), Content::kZero) << i;
  }
  // All else was released; its writes may still be under way.
  EXPECT_TRUE(userpager::Eventually([] { return Stats().page_file_used_bytes == 0; }));
  EXPECT_EQ(UndoError(base_, kPages * kP), ERROR_BUSY);
  EXPECT_EQ(UndoError(base_, kPages * kP), ERROR_SUCCESS) << "it was reported";
}

TEST_F(MemoryHintsTest, UndoWithoutPressureHasEverything) {
  Fill(base_, 0x41);
  ASSERT_EQ(ResetError(base_, kPages * kP), ERROR_SUCCESS);
  EXPECT_EQ(UndoError(base_, kPages * kP), ERROR_SUCCESS);
  PushOutAll();
  EXPECT_TRUE(IsOld(base_, 0x41));
}

TEST_F(MemoryHintsTest, ResetOfDecommittedAndReleased) {
  Fill(base_, 0x41);
  ASSERT_EQ(ResetError(base_, kPages * kP), ERROR_SUCCESS);
  ASSERT_TRUE(VirtualFree(base_, 4 * kP, MEM_DECOMMIT));
  ASSERT_TRUE(CommitAt(base_, 4 * kP));
  EXPECT_TRUE(IsZero(base_, 4 * kP));
  EXPECT_EQ(UndoError(base_, kPages * kP), ERROR_SUCCESS);
}

TEST_F(MemoryHintsTest, RS10_Discard) {
  Fill(base_, 0x77);
  const uint64_t commit = CommitBytes();
  SetLastError(kUntouched);
  EXPECT_EQ(DiscardVirtualMemory(base_ + kP, 2 * kP), DWORD{ERROR_SUCCESS});
  EXPECT_TRUE(IsZero(base_ + kP, 2 * kP));
  EXPECT_TRUE(IsOld(base_, 0x77, 1));
  EXPECT_TRUE(IsOld(base_ + 3 * kP, 0x77, kPages - 3));
  ExpectRun(base_, kPages * kP, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(CommitBytes(), commit);
  Protect(base_, kP, PAGE_READONLY);
  EXPECT_EQ(DiscardVirtualMemory(base_, 2 * kP), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_TRUE(IsOld(base_, 0x77, 1));
  EXPECT_EQ(DiscardVirtualMemory(base_ + 1, kP), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_EQ(DiscardVirtualMemory(base_, kP - 1), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_EQ(DiscardVirtualMemory(base_, 0), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_EQ(DiscardVirtualMemory(base_ + kP, kPages * kP), DWORD{ERROR_INVALID_ADDRESS});
  EXPECT_EQ(GetLastError(), kUntouched) << "the error is what the function returns";
}

TEST_F(MemoryHintsTest, OR1_Arguments) {
  for (const DWORD priority : {0u, 5u, 0x1000u}) {
    EXPECT_EQ(OfferVirtualMemory(base_, kP, static_cast<OFFER_PRIORITY>(priority)),
              DWORD{ERROR_INVALID_PARAMETER});
  }
  SetLastError(kUntouched);
  EXPECT_EQ(OfferVirtualMemory(base_ + 1, kP, VmOfferPriorityLow), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_EQ(OfferVirtualMemory(base_, kP + 1, VmOfferPriorityLow), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_EQ(OfferVirtualMemory(base_, 0, VmOfferPriorityLow), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_EQ(ReclaimVirtualMemory(base_ + 1, kP), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_EQ(ReclaimVirtualMemory(base_, 0), DWORD{ERROR_INVALID_PARAMETER});
  EXPECT_EQ(GetLastError(), kUntouched);
  base_[0] = std::byte{1};
}

TEST_F(MemoryHintsTest, OR2_OfferedPagesAllowNoAccess) {
  Fill(base_, 0x12);
  ASSERT_EQ(OfferVirtualMemory(base_ + kP, kP, VmOfferPriorityNormal), DWORD{ERROR_SUCCESS});
  EXPECT_TRUE(ReadFaults(base_ + kP));
  EXPECT_TRUE(WriteFaults(base_ + kP + 100));
  EXPECT_TRUE(ReadFaults(base_ + kP));
  EXPECT_EQ(ByteAt(base_), 0x12u);
  EXPECT_EQ(ErrorOf([&] { return VirtualLock(base_, 2 * kP); }), ERROR_NOACCESS);
  ExpectRun(base_, kPages * kP, MEM_COMMIT, PAGE_READWRITE);
  ASSERT_EQ(ReclaimVirtualMemory(base_ + kP, kP), DWORD{ERROR_SUCCESS});
  EXPECT_TRUE(IsOld(base_, 0x12));
  base_[kP] = std::byte{1};
}

TEST_F(MemoryHintsTest, OR3_ReclaimWithoutPressure) {
  Fill(base_, 0x13);
  for (const OFFER_PRIORITY priority : {VmOfferPriorityVeryLow, VmOfferPriorityLow,
                                        VmOfferPriorityBelowNormal, VmOfferPriorityNormal}) {
    ASSERT_EQ(OfferVirtualMemory(base_, kPages * kP, priority), DWORD{ERROR_SUCCESS});
  }
  EXPECT_EQ(ReclaimVirtualMemory(base_, kPages * kP), DWORD{ERROR_SUCCESS});
  EXPECT_TRUE(IsOld(base_, 0x13));
  EXPECT_EQ(ReclaimVirtualMemory(base_, kPages * kP), DWORD{ERROR_SUCCESS});
  EXPECT_TRUE(IsOld(base_, 0x13));
  PushOutAll();
  EXPECT_TRUE(IsOld(base_, 0x13)) << "reclaimed pages are paged as any other";
}

TEST_F(MemoryHintsTest, OR5_ChargeStays) {
  const uint64_t charged = ChargedSinceStart();
  ASSERT_EQ(OfferVirtualMemory(base_, kPages * kP, VmOfferPriorityLow), DWORD{ERROR_SUCCESS});
  EXPECT_EQ(ChargedSinceStart(), charged);
  PushOutAll();
  EXPECT_EQ(ChargedSinceStart(), charged);
}

TEST_F(MemoryHintsTest, OR6_OnlyCommittedPages) {
  std::byte* base = Reserve(4 * kP);
  ASSERT_TRUE(CommitAt(base, kP));
  base[0] = std::byte{5};
  EXPECT_EQ(OfferVirtualMemory(base, 2 * kP, VmOfferPriorityLow), DWORD{ERROR_INVALID_ADDRESS});
  EXPECT_EQ(ReclaimVirtualMemory(base, 2 * kP), DWORD{ERROR_INVALID_ADDRESS});
  EXPECT_EQ(ByteAt(base), 5u) << "nothing was offered";
  EXPECT_EQ(OfferVirtualMemory(nullptr, kP, VmOfferPriorityLow), DWORD{ERROR_INVALID_ADDRESS});
  Release(base);
}

TEST_F(MemoryHintsTest, OR7_LowerPriorityGoesFirst) {
  if (Stats().memory_limit_bytes < kMemoryLimitBytes) {
    GTEST_SKIP() << "with so little memory the pages are in the page file before they are offered";
  }
  constexpr size_t kEach = kMemoryLimitBytes / 8;
  std::byte* low = Commit(kEach);
  std::byte* high = Commit(kEach);
  memset(low, 0x61, kEach);
  memset(high, 0x62, kEach);
  ASSERT_EQ(OfferVirtualMemory(high, kEach, VmOfferPriorityNormal), DWORD{ERROR_SUCCESS});
  ASSERT_EQ(OfferVirtualMemory(low, kEach, VmOfferPriorityLow), DWORD{ERROR_SUCCESS});
  // Fits where what is offered was, but not where it stays.
  const uint64_t written = Stats().pages_out;
  std::byte* more = Commit(kMemoryLimitBytes);
  size_t used = 0;
  while (Stats().resident_bytes + kEach / 2 < Stats().memory_limit_bytes) {
    memset(more + used, 1, 16 * kP);
    used += 16 * kP;
  }
  memset(more + used, 1, kEach + kEach / 4);
  EXPECT_EQ(Stats().pages_out, written) << "before anything is paged out";
  EXPECT_EQ(ReclaimVirtualMemory(high, kEach), DWORD{ERROR_SUCCESS});
  EXPECT_EQ(ReclaimVirtualMemory(low, kEach), DWORD{ERROR_BUSY});
  EXPECT_TRUE(IsOld(high, 0x62, kEach / kP));
  for (size_t i = 0; i < kEach / kP; ++i) {
    EXPECT_NE(ContentOf(low + i * kP, 0x61), Content::kMixed) << i;
  }
  Release(more);
  Release(low);
  Release(high);
}

TEST_F(MemoryHintsTest, OfferEndsLocks) {
  ASSERT_TRUE(VirtualLock(base_, kP));
  ASSERT_EQ(OfferVirtualMemory(base_, kP, VmOfferPriorityLow), DWORD{ERROR_SUCCESS});
  ASSERT_EQ(ReclaimVirtualMemory(base_, kP), DWORD{ERROR_SUCCESS});
  EXPECT_EQ(ErrorOf([&] { return VirtualUnlock(base_, kP); }), ERROR_NOT_LOCKED);
}

TEST_F(MemoryHintsTest, ProtectionOfOfferedPages) {
  Fill(base_, 0x21);
  ASSERT_EQ(OfferVirtualMemory(base_, 2 * kP, VmOfferPriorityLow), DWORD{ERROR_SUCCESS});
  EXPECT_EQ(Protect(base_, kP, PAGE_READONLY), DWORD{PAGE_READWRITE});
  EXPECT_TRUE(ReadFaults(base_)) << "still offered";
  ASSERT_EQ(ReclaimVirtualMemory(base_, 2 * kP), DWORD{ERROR_SUCCESS});
  EXPECT_EQ(ByteAt(base_), 0x21u);
  EXPECT_TRUE(WriteFaults(base_));
  base_[kP] = std::byte{1};
  EXPECT_EQ(Protect(base_, kP, PAGE_READWRITE), DWORD{PAGE_READONLY});
}

TEST_F(MemoryHintsTest, DecommitAndReleaseOfOfferedPages) {
  Fill(base_, 0x21);
  ASSERT_EQ(OfferVirtualMemory(base_, kPages * kP, VmOfferPriorityLow), DWORD{ERROR_SUCCESS});
  ASSERT_TRUE(VirtualFree(base_, kP, MEM_DECOMMIT));
  ASSERT_TRUE(CommitAt(base_, kP));
  EXPECT_EQ(ByteAt(base_), 0u);
  base_[0] = std::byte{1};
  EXPECT_EQ(DiscardVirtualMemory(base_ + kP, kP), DWORD{ERROR_INVALID_PARAMETER});
}

TEST_F(MemoryHintsTest, OfferedExecutablePages) {
  std::byte* code = Commit(2 * kP, PAGE_EXECUTE_READWRITE);
  memset(code, 0xc3, 2 * kP);
  ASSERT_EQ(OfferVirtualMemory(code, 2 * kP, VmOfferPriorityLow), DWORD{ERROR_SUCCESS});
  EXPECT_TRUE(ReadFaults(code));
  ASSERT_EQ(ReclaimVirtualMemory(code, 2 * kP), DWORD{ERROR_SUCCESS});
#if defined(__x86_64__)
  reinterpret_cast<void (*)()>(code)();  // ret
#endif
  EXPECT_TRUE(IsOld(code, 0xc3, 2));
  Release(code);
}

DWORD PrefetchError(HANDLE process, ULONG_PTR count, WIN32_MEMORY_RANGE_ENTRY* ranges,
                    ULONG flags = 0) {
  return ErrorOf([=] { return PrefetchVirtualMemory(process, count, ranges, flags); });
}

TEST_F(MemoryHintsTest, PF1_PF7_Arguments) {
  WIN32_MEMORY_RANGE_ENTRY range = {base_, kP};
  EXPECT_EQ(PrefetchError(GetCurrentProcess(), 0, &range), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(PrefetchError(GetCurrentProcess(), 1, nullptr), ERROR_NOACCESS);
  EXPECT_EQ(PrefetchError(GetCurrentProcess(), 1, &range, 1), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(PrefetchError(nullptr, 1, &range), ERROR_INVALID_HANDLE);
  range.NumberOfBytes = 0;
  EXPECT_EQ(PrefetchError(GetCurrentProcess(), 1, &range), ERROR_INVALID_PARAMETER);
}

TEST_F(MemoryHintsTest, PF2_PF3_PF5_AnyRangesOfBytes) {
  WIN32_MEMORY_RANGE_ENTRY ranges[] = {{base_, kP}, {base_ + 3 * kP + 5, 2}};
  EXPECT_EQ(PrefetchError(GetCurrentProcess(), 1, ranges), ERROR_SUCCESS);
  EXPECT_EQ(PrefetchError(GetCurrentProcess(), 1, ranges + 1), ERROR_SUCCESS);
  EXPECT_EQ(PrefetchError(GetCurrentProcess(), 2, ranges), ERROR_SUCCESS);
}

TEST_F(MemoryHintsTest, PF9_WhatCannotComeIsPassedOver) {
  std::byte* base = Reserve(4 * kP);
  ASSERT_TRUE(CommitAt(base, kP, PAGE_NOACCESS));
  WIN32_MEMORY_RANGE_ENTRY ranges[] = {{base, 4 * kP}, {FreeSpace(kG), kG}};
  EXPECT_EQ(PrefetchError(GetCurrentProcess(), 2, ranges), ERROR_SUCCESS);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_NOACCESS);
  ExpectRun(base + kP, 3 * kP, MEM_RESERVE, 0);
  EXPECT_TRUE(ReadFaults(base));
  EXPECT_TRUE(ReadFaults(base + kP));
  Release(base);
}

TEST_F(MemoryHintsTest, PrefetchedPagesComeOffTheDisk) {
  Fill(base_, 0x71);
  WIN32_MEMORY_RANGE_ENTRY range = {base_, kPages * kP};
  // Which pages are out, and for how many there is room when the reads begin, is not told: writes
  // of what was pushed out may hold the memory for a while. Sooner or later all of them come.
  EXPECT_TRUE(userpager::Eventually([&] {
    (void)VirtualUnlock(base_, kPages * kP);
    PushOutAll();
    const userpager_stats before = Stats();
    EXPECT_EQ(PrefetchError(GetCurrentProcess(), 1, &range), ERROR_SUCCESS);
    for (int i = 0; i < 100 && Stats().pages_in < before.pages_in + kPages; ++i) usleep(1000);
    PSAPI_WORKING_SET_EX_INFORMATION page = {base_, {}};
    EXPECT_TRUE(QueryWorkingSetEx(GetCurrentProcess(), &page, sizeof page));
    EXPECT_EQ(page.VirtualAttributes.Flags, 0u) << "not in the working set before it is touched";
    EXPECT_TRUE(IsOld(base_, 0x71));
    return Stats().pages_in > before.pages_in && Stats().hard_faults == before.hard_faults;
  }));
}

}  // namespace
}  // namespace userpager_tests
