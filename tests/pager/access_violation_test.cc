// Touches that the page's state or protection forbids: a real SIGSEGV at the exact address, EFAULT
// for a system call, and nothing lost of what the page holds.
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "runtime/pager/trap_ring.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

constexpr uint64_t kOffset = 0x128;  // within the page: si_addr is exact, not the page's address

class AccessViolation : public GatedPager {
 protected:
  static uint64_t AddressIn(PageIndex page) { return AddressOf(page) + kOffset; }

  static void ExpectReadRefused(PageIndex page) {
    const uint64_t address = AddressIn(page);
    const AccessOutcome read = TryRead(reinterpret_cast<void*>(address));
    EXPECT_EQ(read.signal, SIGSEGV);
    EXPECT_EQ(read.address, address);
  }
  static void ExpectWriteRefused(PageIndex page) {
    const uint64_t address = AddressIn(page);
    const AccessOutcome write = TryWrite(reinterpret_cast<void*>(address), 1);
    EXPECT_EQ(write.signal, SIGSEGV);
    EXPECT_EQ(write.address, address);
  }
  static void ExpectNoAccess(PageIndex page) {
    for (unsigned again = 0; again < 2; ++again) {
      ExpectReadRefused(page);
      ExpectWriteRefused(page);
    }
  }
  static void ExpectReadOnly(PageIndex page) {
    for (unsigned again = 0; again < 2; ++again) {
      EXPECT_TRUE(IsFilled(page));
      ExpectWriteRefused(page);
    }
  }
};

// Where the kernel faults for the program, which only messages allow.
class AccessViolationOfSystemCalls : public AccessViolation {};

size_t MappingsOfProcess() {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) ++count;
  return count;
}

// Where the kernel installs no guard: memory that the program has locked, as it is touched.
TEST_P(AccessViolation, ReservedInLockedMemory) {
  Vad* vad = pager_->Reserve(4, kReadWrite, false);
  const PageIndex page = vad->range.begin;
  {
    std::lock_guard hold(pager_->tree_lock());
    ASSERT_EQ((*pager_)->Commit(*vad, PageRange(page + PageCount(1), PageCount(1)), kReadWrite), 0);
  }
  if (syscall(SYS_mlock2, PointerTo(page), 4 * kPageBytes, MLOCK_ONFAULT) != 0) {
    GTEST_SKIP() << "mlock2 is not allowed here: " << strerror(errno);
  }
  ExpectNoAccess(page);
  EXPECT_EQ(TryWrite(PointerTo(page + PageCount(1)), 3).signal, 0);
  Commit(vad);
  EXPECT_EQ(TryWrite(PointerTo(page), 4).signal, 0);
  EXPECT_EQ(FirstWord(page), 4u);
  EXPECT_EQ(syscall(SYS_munlock, PointerTo(page), 4 * kPageBytes), 0);
  EXPECT_TRUE(IsSound());
}

TEST_P(AccessViolation, Reserved) {
  Vad* vad = pager_->Reserve(4, kReadWrite, false);
  const PageIndex page = vad->range.begin;
  ExpectNoAccess(page);
  // In a span that the kernel lets be accessed, because a neighbour may be.
  {
    std::lock_guard hold(pager_->tree_lock());
    ASSERT_EQ((*pager_)->Commit(*vad, PageRange(page + PageCount(1), PageCount(1)), kReadWrite), 0);
  }
  ExpectNoAccess(page);
  EXPECT_GE(pager_->Counters().access_violations.value(), 1u);
  Commit(vad);
  EXPECT_EQ(TryWrite(PointerTo(page), 4).signal, 0);
  EXPECT_EQ(FirstWord(page), 4u);
  EXPECT_TRUE(IsSound());
}

TEST_P(AccessViolation, NoAccess) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  Protect(vad, kNoAccess);
  ExpectNoAccess(page);
  Protect(vad, kReadWrite);
  EXPECT_TRUE(IsFilled(page));
  // A page that was never touched.
  Vad* fresh = pager_->Reserve(1, kNoAccess);
  ExpectNoAccess(fresh->range.begin);
  Protect(fresh, kReadWrite);
  EXPECT_EQ(FirstWord(fresh->range.begin), 0u);
  EXPECT_TRUE(IsSound());
}

TEST_P(AccessViolation, NoAccessOutOfMemory) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  Protect(vad, kNoAccess);
  ASSERT_TRUE(pager_->PushOut(*vad));
  ExpectNoAccess(page);
  EXPECT_EQ(StateOf(vad), PageState::kPagedOut);
  Protect(vad, kReadWrite);
  EXPECT_TRUE(IsFilled(page));
}

TEST_P(AccessViolation, ReadOnly) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  Protect(vad, kReadOnly);
  ExpectReadOnly(page);
  Protect(vad, kReadWrite);
  EXPECT_EQ(TryWrite(PointerTo(page), 5).signal, 0);
  EXPECT_TRUE(IsFilledBut(page, 5));
}

// By whichever way a page comes back, it stays read-only.
TEST_P(AccessViolation, ReadOnlyThroughPaging) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  Protect(vad, kReadOnly);
  ExpectWriteRefused(page);
  Trim(vad);
  ExpectReadOnly(page);
  ASSERT_TRUE(pager_->PushOut(*vad));
  ExpectReadOnly(page);
  ASSERT_TRUE(pager_->PushOut(*vad));
  ExpectWriteRefused(page);
  ExpectReadOnly(page);
  EXPECT_TRUE(IsSound());
}

TEST_P(AccessViolation, ReadOnlyZeros) {
  Vad* vad = pager_->Reserve(1, kReadOnly);
  const PageIndex page = vad->range.begin;
  ExpectWriteRefused(page);
  EXPECT_EQ(FirstWord(page), 0u);
  ExpectWriteRefused(page);
  Protect(vad, kReadWrite);
  EXPECT_EQ(TryWrite(PointerTo(page), 6).signal, 0);
  EXPECT_EQ(FirstWord(page), 6u);
}

TEST_P(AccessViolation, Decommitted) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  Decommit(vad);
  ExpectNoAccess(page);
  Commit(vad);
  EXPECT_EQ(FirstWord(page), 0u);
  // Once more, from the page file and with a trap in between.
  Fill(page);
  ASSERT_TRUE(pager_->PushOut(*vad));
  Decommit(vad);
  ExpectNoAccess(page);
  Decommit(vad);
  ExpectNoAccess(page);
  Commit(vad);
  EXPECT_EQ(FirstWord(page), 0u);
  EXPECT_TRUE(IsSound());
}

TEST_P(AccessViolationOfSystemCalls, GetEfault) {
  if (!(*pager_)->features().kernel_faults) {
    GTEST_SKIP() << "needs the right to have faults of system calls answered (CAP_SYS_PTRACE)";
  }
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  char* const address = reinterpret_cast<char*>(AddressIn(page));
  const auto send = [&] { return write(ends[1], address, 8) == 8 ? 0 : errno; };
  const auto receive = [&] { return read(ends[0], address, 8) == 8 ? 0 : errno; };
  // What is in the page, also from the page file, goes through the pipe and back.
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_EQ(send(), 0);
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_EQ(receive(), 0);
  EXPECT_TRUE(IsFilled(page));
  Protect(vad, kReadOnly);
  EXPECT_EQ(send(), 0);
  EXPECT_EQ(receive(), EFAULT);
  Protect(vad, kNoAccess);
  EXPECT_EQ(send(), EFAULT);
  EXPECT_EQ(receive(), EFAULT);
  Protect(vad, kReadWrite);
  EXPECT_TRUE(IsFilled(page));
  Decommit(vad);
  EXPECT_EQ(send(), EFAULT);
  EXPECT_EQ(receive(), EFAULT);
  Commit(vad);
  EXPECT_EQ(receive(), 0);
  EXPECT_EQ(TryRead(address).value,
            stress::ContentWord(stress::ContentKey(7, 1), kOffset / sizeof(uint64_t)));
  close(ends[0]);
  close(ends[1]);
}

// Traps are bounded in number: the oldest is removed, and a later touch traps again.
TEST_P(AccessViolation, MoreTrapsThanAreKept) {
  constexpr uint64_t kPages = 3 * TrapRing::kCapacity;
  Vad* vad = pager_->Reserve(kPages, kReadWrite, false);
  for (unsigned round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < kPages; ++i) ExpectReadRefused(vad->range.begin + PageCount(i));
  }
  uint64_t trapped = 0;
  for (PageIndex page = vad->range.begin; page < vad->range.end; ++page) {
    trapped += vad->Load(page).trapped();
  }
  EXPECT_LE(trapped, uint64_t{TrapRing::kCapacity});
  Commit(vad);
  for (uint64_t i = 0; i < kPages; ++i) {
    EXPECT_EQ(TryWrite(PointerTo(vad->range.begin + PageCount(i)), i).signal, 0);
  }
  for (uint64_t i = 0; i < kPages; ++i) EXPECT_EQ(FirstWord(vad->range.begin + PageCount(i)), i);
}

// Pages with content are trapped by the kernel's protection, which costs mappings.
TEST_P(AccessViolation, TrapsOfPagesWithContentAreBoundedToo) {
  constexpr uint64_t kPages = 3 * TrapRing::kCapacity;
  ASSERT_EQ((*pager_)->SetMemoryLimit(PageCount(4 * kPages)), 0);
  Vad* vad = pager_->Reserve(2 * kPages);
  for (PageIndex page = vad->range.begin; page < vad->range.end; ++page) FirstWord(page) = 1;
  Protect(vad, kReadOnly);
  const size_t mappings = MappingsOfProcess();
  // Every other page, so that the mappings cannot join.
  for (uint64_t i = 0; i < kPages; ++i) ExpectWriteRefused(vad->range.begin + PageCount(2 * i));
  EXPECT_LE(MappingsOfProcess(), mappings + 2 * TrapRing::kCapacity + 16);
  Protect(vad, kReadWrite);
  uint64_t refused = 0;
  for (PageIndex page = vad->range.begin; page < vad->range.end; ++page) {
    refused += TryWrite(PointerTo(page), 2).signal != 0;
  }
  EXPECT_EQ(refused, 0u);
  EXPECT_LE(MappingsOfProcess(), mappings + 16);
}

// Executable pages as well leave memory when they may not be accessed.
TEST_P(AccessViolation, ExecutablePageWithoutAccess) {
  constexpr Protection kAll{BaseProtection::kExecuteReadWrite};
  Vad* vad = pager_->Reserve(8, kAll);
  for (PageIndex page = vad->range.begin; page < vad->range.end; ++page) Fill(page);
  Protect(vad, kNoAccess);
  ExpectNoAccess(vad->range.begin);
  EXPECT_TRUE(pager_->PushOut(*vad));
  Protect(vad, kAll);
  for (PageIndex page = vad->range.begin; page < vad->range.end; ++page)
    EXPECT_TRUE(IsFilled(page));
}

INSTANTIATE_TEST_SUITE_P(Roads, AccessViolationOfSystemCalls,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1}),
                         [](const auto& tested) { return tested.param.Name(); });
INSTANTIATE_TEST_SUITE_P(Roads, AccessViolation,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kUring, 1},
                                         Road{true, IoEngineKind::kUring, 1,
                                              FaultDelivery::kSignals},
                                         Road{false, IoEngineKind::kUring, 1,
                                              FaultDelivery::kSignals}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
