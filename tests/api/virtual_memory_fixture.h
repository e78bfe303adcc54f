// What the tests of the VirtualAlloc family share: before each test nothing is in memory or in the
// page file; after each test everything is given back and the runtime's own structures agree; short
// forms of calls; and touches that survive SIGSEGV.
#ifndef USERPAGER_TESTS_API_VIRTUAL_MEMORY_FIXTURE_H_
#define USERPAGER_TESTS_API_VIRTUAL_MEMORY_FIXTURE_H_

#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/api/runtime.h"
#include "tests/api/memory_fixture.h"
#include "tests/support/eventually.h"

namespace userpager_tests {

// `P` and `G` of the rules that the tests are named after.
inline constexpr std::size_t kP = kPageBytes;
inline constexpr std::size_t kG = kGranularityBytes;

inline std::byte* Alloc(void* address, std::size_t bytes, DWORD type, DWORD protect) {
  return static_cast<std::byte*>(VirtualAlloc(address, bytes, type, protect));
}
inline std::byte* Reserve(std::size_t bytes, DWORD protect = PAGE_READWRITE) {
  return Alloc(nullptr, bytes, MEM_RESERVE, protect);
}
inline std::byte* Commit(std::size_t bytes, DWORD protect = PAGE_READWRITE) {
  return Alloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, protect);
}
inline bool CommitAt(void* address, std::size_t bytes, DWORD protect = PAGE_READWRITE) {
  return VirtualAlloc(address, bytes, MEM_COMMIT, protect) != nullptr;
}
inline void Release(void* base) {
  EXPECT_TRUE(VirtualFree(base, 0, MEM_RELEASE)) << GetLastError();
}

// An address with `bytes` of free space behind it, which nobody else is given meanwhile (a
// sanitizer's runtime maps memory when it likes): the kernel hands addresses out from far above.
// Of the two places ThreadSanitizer allows the first, AddressSanitizer the second.
inline std::byte* FreeSpace(std::size_t bytes) {
  for (const uint64_t at : {uint64_t{0x40'0000'0000}, uint64_t{0x2000'0000'0000}}) {
    void* map = mmap(reinterpret_cast<void*>(at), bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (map == MAP_FAILED) continue;
    munmap(map, bytes);
    if (reinterpret_cast<uint64_t>(map) == at) return static_cast<std::byte*>(map);
  }
  ADD_FAILURE() << "neither place is free";
  return nullptr;
}

// A call that fails leaves its error; one that does not, nothing.
inline constexpr DWORD kUntouched = 0xfeedface;
template <typename Call>
DWORD ErrorOf(Call call) {
  SetLastError(kUntouched);
  const bool worked = static_cast<bool>(call());
  if (!worked) return GetLastError();
  EXPECT_EQ(GetLastError(), kUntouched) << "a call that works leaves the last error alone";
  return ERROR_SUCCESS;
}
inline DWORD AllocError(void* address, std::size_t bytes, DWORD type, DWORD protect) {
  return ErrorOf([=] { return VirtualAlloc(address, bytes, type, protect); });
}
inline DWORD FreeError(void* address, std::size_t bytes, DWORD type) {
  return ErrorOf([=] { return VirtualFree(address, bytes, type); });
}
inline DWORD ProtectError(void* address, std::size_t bytes, DWORD protect, DWORD* old) {
  return ErrorOf([=] { return VirtualProtect(address, bytes, protect, old); });
}
// The old protection; a test failure where the call fails.
inline DWORD Protect(void* address, std::size_t bytes, DWORD protect) {
  DWORD old = 0;
  EXPECT_TRUE(VirtualProtect(address, bytes, protect, &old)) << GetLastError();
  return old;
}

namespace probe {
inline thread_local sigjmp_buf resume;
inline thread_local volatile bool armed = false;
inline thread_local volatile uint64_t fault_address = 0;

inline void OnSignal(int signal, siginfo_t* info, void*) {
  if (!armed) {
    ::signal(signal, SIG_DFL);
    return;
  }
  fault_address = reinterpret_cast<uint64_t>(info->si_addr);
  siglongjmp(resume, signal);
}
}  // namespace probe

// Runs `touch` and returns whether it got a SIGSEGV, which must name exactly `address`.
template <typename Touch>
bool Faults(const void* address, Touch touch) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_sigaction = &probe::OnSignal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &before);
  const int signal = sigsetjmp(probe::resume, 1);
  if (signal == 0) {
    probe::armed = true;
    touch();
  }
  probe::armed = false;
  sigaction(SIGSEGV, &before, nullptr);
  if (signal != 0) {
    EXPECT_EQ(probe::fault_address, reinterpret_cast<uint64_t>(address));
  }
  return signal == SIGSEGV;
}
inline bool ReadFaults(const void* address) {
  return Faults(address, [=] { (void)*static_cast<const volatile unsigned char*>(address); });
}
inline bool WriteFaults(void* address, unsigned char value = 1) {
  return Faults(address, [=] { *static_cast<volatile unsigned char*>(address) = value; });
}
inline unsigned ByteAt(const void* address) {
  return *static_cast<const volatile unsigned char*>(address);
}
inline bool IsZero(const std::byte* memory, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    if (memory[i] != std::byte{0}) return false;
  }
  return true;
}

inline void ExpectRun(const void* page, std::size_t bytes, DWORD state, DWORD protect) {
  const MEMORY_BASIC_INFORMATION information = Query(page);
  EXPECT_EQ(information.BaseAddress, page);
  EXPECT_EQ(information.RegionSize, bytes);
  EXPECT_EQ(information.State, state);
  EXPECT_EQ(information.Protect, protect);
}

class VirtualMemoryTest : public MemoryTest {
 protected:
  void SetUp() override {
    MemoryTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    commit_before_ = CommitBytes();
    reservations_started_ = true;
    if (commit_before_ != 0) return;
    // Writes of what the test before has released may hold memory for a while.
    EXPECT_TRUE(userpager::Eventually([] { return Stats().page_file_used_bytes == 0; }));
  }
  void TearDown() override {
    if (!reservations_started_) return;
    EXPECT_EQ(CommitBytes(), commit_before_) << "commit charge was lost or not given back";
    userpager::Runtime* runtime = userpager::Runtime::Get();
    EXPECT_TRUE(runtime->reservations().CheckConsistency());
    EXPECT_TRUE(runtime->pager().CheckConsistency());
  }
  uint64_t ChargedSinceStart() const { return CommitBytes() - commit_before_; }

 private:
  uint64_t commit_before_ = 0;
  bool reservations_started_ = false;
};

}  // namespace userpager_tests

#endif  // USERPAGER_TESTS_API_VIRTUAL_MEMORY_FIXTURE_H_
