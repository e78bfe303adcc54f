// Random calls of the VirtualAlloc family from several threads, under a memory limit that not half
// of it fits into, against the model of call_model.h: results, errors, VirtualQuery over
// everything, which pages were written, and every byte. Each thread has a window of address space
// for itself, so its model is exact; they disturb each other through memory and locks.
#include <array>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/call_model.h"
#include "tests/support/counted.h"
#include "tests/support/guarded_access.h"
#include "tests/support/seed.h"

namespace userpager_tests {
namespace {

constexpr size_t kWindowPages = 384;
constexpr size_t kUnitPages = kG / kP;
constexpr unsigned kThreads = 4;
constexpr unsigned kRounds = 5;
constexpr unsigned kCallsEachRound = 400;
constexpr size_t kLimitBytes = 1 << 20;

bool AreEqual(const MEMORY_BASIC_INFORMATION& a, const MEMORY_BASIC_INFORMATION& b) {
  return a.BaseAddress == b.BaseAddress && a.AllocationBase == b.AllocationBase &&
         a.AllocationProtect == b.AllocationProtect && a.RegionSize == b.RegionSize &&
         a.State == b.State && a.Protect == b.Protect && a.Type == b.Type;
}

// One thread's window, and what has been done in it.
class Caller {
 public:
  Caller(std::byte* base, uint64_t seed)
      : base_(base), random_(seed), model_(base, kWindowPages) {}

  void Run(unsigned calls) {
    for (unsigned i = 0; i < calls && story_.empty(); ++i) Step();
    CheckQueries();
    CheckContents();
  }
  // Of the first thing that was wrong.
  const std::string& story() const { return story_; }
  void ReleaseAll() {
    for (size_t page = 0; page < kWindowPages; page += kUnitPages) {
      (void)VirtualFree(base_ + page * kP, 0, MEM_RELEASE);
    }
  }

 private:
  size_t Draw(size_t below) { return random_() % below; }

  void Step() {
    // Mostly whole pages; the end lies in the window, up to whole units.
    size_t offset = Draw(kWindowPages) * kP;
    size_t bytes = (1 + Draw(Draw(3) == 0 ? 100 : 10)) * kP;
    if (Draw(3) == 0) {
      offset += Draw(kP);
      bytes -= Draw(kP);
    }
    bytes = Draw(30) == 0 ? 0 : std::min(bytes, kWindowPages * kP - offset);
    switch (Draw(20)) {
      case 0: case 1: case 8: case 9: case 10: return Alloc(offset, bytes);
      case 2: return Free(offset, bytes);
      case 3: case 4: return Protect(offset, bytes);
      case 5: return Unlock(offset, bytes);
      case 6: return Watch(offset, bytes);
      case 7: return TouchByte(offset);
      default: return Write(offset, bytes);
    }
  }

  void Expect(bool right, const char* what, size_t offset) {
    if (right || !story_.empty()) return;
    story_ = std::string(what) + " at offset " + std::to_string(offset);
  }
  // A call that works leaves the last error alone.
  void ExpectError(DWORD expected, bool worked, const char* what, size_t offset) {
    const DWORD got = GetLastError();
    if (got == (expected == 0 ? kUntouched : expected) && worked == (expected == 0)) return;
    Expect(false, (std::string(what) + " gave " + std::to_string(got) + " instead of " +
                   std::to_string(expected)).c_str(), offset);
  }

  DWORD DrawProtection() {
    static constexpr std::array<DWORD, 10> kChoices = {
        PAGE_READWRITE, PAGE_READWRITE, PAGE_READWRITE,              PAGE_READWRITE, PAGE_READONLY,
        PAGE_READONLY,  PAGE_NOACCESS,  PAGE_READWRITE | PAGE_GUARD, PAGE_WRITECOPY, 0};
    return kChoices[Draw(kChoices.size())];
  }

  void Alloc(size_t offset, size_t bytes) {
    static constexpr std::array<DWORD, 12> kTypes = {
        MEM_RESERVE, MEM_RESERVE | MEM_COMMIT, MEM_RESERVE | MEM_WRITE_WATCH,
        MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH, MEM_COMMIT, MEM_COMMIT, MEM_COMMIT, MEM_COMMIT,
        MEM_RESET, MEM_WRITE_WATCH, MEM_RESET | MEM_COMMIT, 0};
    const DWORD type = kTypes[Draw(kTypes.size())];
    const DWORD protect = DrawProtection();
    const bool reserves = (type & MEM_RESERVE) != 0;
    const DWORD expected = model_.Alloc(offset, bytes, type, protect);
    SetLastError(kUntouched);
    std::byte* got = userpager_tests::Alloc(base_ + offset, bytes, type, protect);
    ExpectError(expected, got != nullptr, "VirtualAlloc", offset);
    const size_t unit = reserves ? kG : kP;
    Expect(got == nullptr || got == base_ + offset / unit * unit, "address of VirtualAlloc",
           offset);
  }
  void Free(size_t offset, size_t bytes) {
    static constexpr std::array<DWORD, 6> kTypes = {
        MEM_RELEASE, MEM_DECOMMIT, MEM_DECOMMIT, MEM_DECOMMIT, MEM_DECOMMIT | MEM_RELEASE, 0};
    const DWORD type = kTypes[Draw(kTypes.size())];
    if (type == MEM_RELEASE && Draw(2) == 0) offset = offset / kG * kG;
    if (type == MEM_RELEASE && Draw(8) != 0) bytes = 0;
    const DWORD expected = model_.Free(offset, bytes, type);
    SetLastError(kUntouched);
    const BOOL worked = VirtualFree(base_ + offset, bytes, type);
    ExpectError(expected, worked, "VirtualFree", offset);
  }
  void Protect(size_t offset, size_t bytes) {
    const DWORD protect = DrawProtection();
    DWORD expected_old = kUntouched;
    DWORD old = kUntouched;
    const DWORD expected = model_.Protect(offset, bytes, protect, &expected_old);
    SetLastError(kUntouched);
    const BOOL worked = VirtualProtect(base_ + offset, bytes, protect, &old);
    ExpectError(expected, worked, "VirtualProtect", offset);
    Expect(old == expected_old, "old protection", offset);
  }
  // Nothing is ever locked: the pages leave the working set.
  void Unlock(size_t offset, size_t bytes) {
    SetLastError(kUntouched);
    const BOOL worked = VirtualUnlock(base_ + offset, bytes);
    ExpectError(model_.Unlock(offset, bytes), worked, "VirtualUnlock", offset);
  }
  void Watch(size_t offset, size_t bytes) {
    const bool reset = Draw(2) == 0;
    std::vector<size_t> expected_pages;
    const DWORD expected = model_.Watch(offset, bytes, reset, &expected_pages);
    std::array<void*, kWindowPages> found;
    ULONG_PTR count = found.size();
    DWORD granularity = 0;
    SetLastError(kUntouched);
    const UINT result = GetWriteWatch(reset ? WRITE_WATCH_FLAG_RESET : 0, base_ + offset, bytes,
                                      found.data(), &count, &granularity);
    ExpectError(expected, result == 0, "GetWriteWatch", offset);
    if (result != 0) return;
    Expect(count == expected_pages.size(), "count of written pages", offset);
    for (size_t i = 0; i < std::min<size_t>(count, expected_pages.size()); ++i) {
      Expect(found[i] == base_ + expected_pages[i] * kP, "written page", offset);
    }
  }
  // An access to any page; a guard ends with it.
  void TouchByte(size_t offset) {
    const size_t at = offset / 8 * 8;
    ModelPage& page = model_.page(at / kP);
    const bool readable = page.readable();
    const userpager::AccessOutcome read = userpager::TryRead(base_ + at);
    Expect((read.signal == 0) == readable, "access to read", offset);
    if (page.committed && page.guarded()) page.protect &= ~DWORD{PAGE_GUARD};
    if (!readable) return;
    const bool writable = page.writable();
    Settle(at / kP);
    uint64_t expected = 0;
    memcpy(&expected, model_.content(0) + at, sizeof expected);
    Expect(read.value == expected, "word", offset);
    const userpager::AccessOutcome write = userpager::TryWrite(base_ + at, ~expected);
    Expect((write.signal == 0) == writable, "access to write", offset);
    if (!writable) return;
    expected = ~expected;
    memcpy(model_.content(0) + at, &expected, sizeof expected);
    page.written = true;
  }
  void Write(size_t offset, size_t bytes) {
    for (size_t at = offset; at < offset + bytes;) {
      const size_t end = std::min(offset + bytes, (at / kP + 1) * kP);
      ModelPage& page = model_.page(at / kP);
      if (page.writable()) {
        Settle(at / kP);
        const int value = static_cast<int>(Draw(4) == 0 ? 0 : random_() & 255);
        memset(base_ + at, value, end - at);
        memset(model_.content(0) + at, value, end - at);
        page.written = true;
      }
      at = end;
    }
  }
  // A page that was reset has its content or zeros, as a whole; from now on it is known which.
  void Settle(size_t i) {
    ModelPage& page = model_.page(i);
    if (page.maybe_zero && IsZero(base_ + i * kP, kP)) memset(model_.content(i), 0, kP);
    page.maybe_zero = false;
  }
  void CheckContents() {
    for (size_t i = 0; i < kWindowPages && story_.empty(); ++i) {
      if (!model_.page(i).readable()) continue;
      Settle(i);
      Expect(memcmp(base_ + i * kP, model_.content(i), kP) == 0, "content", i * kP);
    }
  }
  void CheckQueries() {
    for (size_t i = 0; i < kWindowPages && story_.empty(); ++i) {
      MEMORY_BASIC_INFORMATION expected = model_.Query(i);
      MEMORY_BASIC_INFORMATION got = {};
      Expect(VirtualQuery(base_ + i * kP + Draw(kP), &got, sizeof got) == sizeof got, "query",
             i * kP);
      // How far free space reaches depends on what is behind the window.
      if (expected.State == MEM_FREE) expected.RegionSize = got.RegionSize;
      Expect(AreEqual(expected, got), "answer of VirtualQuery", i * kP);
    }
  }

  std::byte* const base_;
  std::mt19937_64 random_;
  CallModel model_;
  std::string story_;
};

using RandomCallsTest = VirtualMemoryTest;

TEST_F(RandomCallsTest, AgreeWithTheModel) {
  const uint64_t limit = Stats().memory_limit_bytes;
  ASSERT_EQ(userpager_set_memory_limit(kLimitBytes), 0) << userpager_error_message();
  std::byte* windows = FarSpace(kThreads * kWindowPages * kP);
  ASSERT_NE(windows, nullptr);
  std::vector<Caller> callers;
  callers.reserve(kThreads);
  for (unsigned t = 0; t < kThreads; ++t) {
    callers.emplace_back(windows + t * kWindowPages * kP, userpager::TestSeed() + t);
  }
  for (unsigned round = 0; round < kRounds; ++round) {
    std::vector<std::thread> threads;
    for (Caller& caller : callers) {
      threads.emplace_back([&caller] { caller.Run(kCallsEachRound); });
    }
    for (std::thread& thread : threads) thread.join();
    for (Caller& caller : callers) ASSERT_EQ(caller.story(), "") << "round " << round;
  }
  // It was not all done in memory.
  EXPECT_GT(Stats().pages_out, 0u);
  for (Caller& caller : callers) caller.ReleaseAll();
  EXPECT_EQ(ChargedSinceStart(), 0u);
  EXPECT_EQ(userpager_set_memory_limit(limit), 0) << userpager_error_message();
  userpager::Counted("operations", kThreads * kRounds * kCallsEachRound);
}

}  // namespace
}  // namespace userpager_tests
