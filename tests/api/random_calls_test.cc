// Random calls of the VirtualAlloc family from several threads, under a memory limit that not half
// of it fits into, against the model of call_model.h: results, errors, VirtualQuery over
// everything, which pages were written, and every byte. Each thread has a window of address space
// for itself, so its model is exact; they disturb each other through memory and locks.
#include <array>
#include <map>
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
constexpr unsigned kCallsEachRound = 800;
constexpr size_t kLimitBytes = 1 << 20;
// Of one thread: all of them keep below what the minimum working set and the memory limit allow.
constexpr size_t kMostLocked = 8;

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
    CheckLocks();
    CheckContents();
  }
  // Of the first thing that was wrong.
  const std::string& story() const { return story_; }
  // How often each call worked.
  const std::map<std::string, unsigned>& worked() const { return worked_; }
  void ReleaseAll() {
    // Parts of placeholders begin at any page.
    for (size_t page = 0; page < kWindowPages; ++page) {
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
    switch (Draw(24)) {
      case 0: case 1: case 8: case 9: case 10: return Alloc(offset, bytes);
      case 11: return Lock(offset, bytes);
      case 12: case 13: case 14: return ChangePlaceholder(offset, bytes);
      case 15: return Draw(4) == 0 ? CallsAtZero() : AllocAnywhere(bytes);
      case 2: case 16: return Free(offset, bytes);
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
    if (worked) ++worked_[what];
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

  DWORD DrawType() {
    static constexpr std::array<DWORD, 12> kTypes = {
        MEM_RESERVE, MEM_RESERVE | MEM_COMMIT, MEM_RESERVE | MEM_WRITE_WATCH,
        MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH, MEM_COMMIT, MEM_COMMIT, MEM_COMMIT, MEM_COMMIT,
        MEM_RESET, MEM_WRITE_WATCH, MEM_RESET | MEM_COMMIT, 0};
    return kTypes[Draw(kTypes.size())];
  }

  void Alloc(size_t offset, size_t bytes) {
    const DWORD type = DrawType();
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
    static constexpr std::array<DWORD, 8> kTypes = {
        MEM_RELEASE,  MEM_RELEASE,  MEM_RELEASE,                0,
        MEM_DECOMMIT, MEM_DECOMMIT, MEM_DECOMMIT | MEM_RELEASE, MEM_DECOMMIT};
    const DWORD type = kTypes[Draw(kTypes.size())];
    const ModelRange whole = model_.whole(offset / kP);
    if (type == MEM_RELEASE && Draw(4) != 0 && whole.end != 0) offset = whole.begin * kP;
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
  template <typename Predicate>
  size_t NextPage(size_t from, Predicate is_meant) {
    while (from < kWindowPages && !is_meant(model_.page(from))) ++from;
    return from;
  }
  void Lock(size_t offset, size_t bytes) {
    bytes = std::min(bytes, (1 + Draw(kMostLocked)) * kP);
    const size_t aim =
        NextPage(offset / kP, [](const ModelPage& page) { return page.committed; });
    if (aim + kMostLocked < kWindowPages && Draw(2) == 0) offset = aim * kP;
    if (model_.locked_pages() + bytes / kP + 2 > kMostLocked) return Unlock(offset, bytes);
    const DWORD expected = model_.Lock(offset, bytes);
    SetLastError(kUntouched);
    const BOOL worked = VirtualLock(base_ + offset, bytes);
    ExpectError(expected, worked, "VirtualLock", offset);
  }
  // Where not all are locked, those that are not leave the working set.
  void Unlock(size_t offset, size_t bytes) {
    // Often what is locked, so that locks end.
    const size_t locked = NextPage(0, [](const ModelPage& page) { return page.locked; });
    if (locked < kWindowPages && Draw(2) == 0) {
      offset = locked * kP;
      bytes = kP;
    }
    SetLastError(kUntouched);
    const BOOL worked = VirtualUnlock(base_ + offset, bytes);
    ExpectError(model_.Unlock(offset, bytes), worked, "VirtualUnlock", offset);
  }
  // Often of exactly what there is, or of a part of it.
  void ChangePlaceholder(size_t offset, size_t bytes) {
    const ModelRange whole = model_.whole(offset / kP);
    const bool aimed = whole.begin != whole.end && Draw(4) != 0;
    const auto aim_at = [&](size_t begin, size_t end) {
      offset = begin * kP;
      bytes = (end - begin) * kP;
    };
    switch (Draw(5)) {
      case 0: return ReservePlaceholder(offset, bytes);
      case 1: case 2:
        if (aimed) aim_at(whole.begin, whole.end);
        return ReplacePlaceholder(offset, bytes);
      case 3:
        if (aimed && model_.is_placeholder(whole.begin)) {
          const size_t begin = whole.begin + Draw(whole.end - whole.begin);
          aim_at(begin, begin + 1 + Draw(whole.end - begin));
        } else if (aimed) {
          aim_at(whole.begin, whole.end);
        }
        return Preserve(offset, bytes);
      default: {
        // From some placeholder on that has a neighbour of its kind.
        const ModelRange first = aimed ? PlaceholderWithNeighbour(whole.begin) : ModelRange{};
        if (first.end != 0) aim_at(first.begin, model_.whole(first.end).end);
        return Coalesce(offset, bytes);
      }
    }
  }
  ModelRange PlaceholderWithNeighbour(size_t from) {
    for (size_t i = from; i < kWindowPages; ++i) {
      const ModelRange whole = model_.whole(i);
      const bool first = model_.is_placeholder(i) && whole.end < kWindowPages;
      if (first && model_.is_placeholder(whole.end)) return whole;
    }
    return {};
  }
  void ReservePlaceholder(size_t offset, size_t bytes) {
    const DWORD protect = Draw(6) == 0 ? DrawProtection() : PAGE_NOACCESS;
    const DWORD expected = model_.ReservePlaceholder(offset, bytes, protect);
    SetLastError(kUntouched);
    const void* got = VirtualAlloc2(nullptr, base_ + offset, bytes,
                                    MEM_RESERVE | MEM_RESERVE_PLACEHOLDER, protect, nullptr, 0);
    ExpectError(expected, got != nullptr, "VirtualAlloc2 of a placeholder", offset);
    Expect(got == nullptr || got == base_ + offset / kG * kG, "address of a placeholder", offset);
  }
  void ReplacePlaceholder(size_t offset, size_t bytes) {
    static constexpr std::array<DWORD, 4> kMore = {0, MEM_COMMIT, MEM_COMMIT,
                                                   MEM_COMMIT | MEM_WRITE_WATCH};
    const DWORD type = MEM_RESERVE | MEM_REPLACE_PLACEHOLDER | kMore[Draw(kMore.size())];
    const DWORD protect = DrawProtection();
    const DWORD expected = model_.ReplacePlaceholder(offset, bytes, type, protect);
    SetLastError(kUntouched);
    const void* got =
        VirtualAlloc2(nullptr, base_ + offset, bytes, type, protect, nullptr, 0);
    ExpectError(expected, got != nullptr, "VirtualAlloc2 over a placeholder", offset);
    Expect(got == nullptr || got == base_ + offset, "address of a replacement", offset);
  }
  void Preserve(size_t offset, size_t bytes) {
    const DWORD expected = model_.PreservePlaceholder(offset, bytes);
    SetLastError(kUntouched);
    const BOOL worked =
        VirtualFree(base_ + offset, bytes, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER);
    ExpectError(expected, worked, "MEM_PRESERVE_PLACEHOLDER", offset);
  }
  void Coalesce(size_t offset, size_t bytes) {
    const DWORD expected = model_.CoalescePlaceholders(offset, bytes);
    SetLastError(kUntouched);
    const BOOL worked =
        VirtualFree(base_ + offset, bytes, MEM_RELEASE | MEM_COALESCE_PLACEHOLDERS);
    ExpectError(expected, worked, "MEM_COALESCE_PLACEHOLDERS", offset);
  }
  // NULL means anywhere: a reservation outside of all windows, which is a model of its own.
  void AllocAnywhere(size_t bytes) {
    DWORD type = DrawType();
    const DWORD protect = DrawProtection();
    const DWORD as_if = type == MEM_COMMIT ? MEM_RESERVE | MEM_COMMIT : type;
    const size_t pages = (bytes / kP / kUnitPages + 2) * kUnitPages;
    const DWORD expected = CallModel(nullptr, pages).Alloc(0, bytes, as_if, protect);
    SetLastError(kUntouched);
    std::byte* got = userpager_tests::Alloc(nullptr, bytes, type, protect);
    ExpectError(expected, got != nullptr, "VirtualAlloc at NULL", bytes);
    if (got == nullptr) return;
    Expect(reinterpret_cast<uint64_t>(got) % kG == 0, "address of VirtualAlloc at NULL", bytes);
    CallModel there(got, pages);
    (void)there.Alloc(0, bytes, as_if, protect);
    const MEMORY_BASIC_INFORMATION answer = userpager_tests::Query(got);
    Expect(AreEqual(there.Query(0), answer), "answer of VirtualQuery at NULL", bytes);
    if (there.page(0).readable()) Expect(IsZero(got, bytes), "fresh memory", bytes);
    if (there.page(0).writable()) memset(got, 0x5a, bytes);
    SetLastError(kUntouched);
    ExpectError(0, VirtualFree(got, 0, MEM_RELEASE), "VirtualFree at NULL", bytes);
  }
  // To all other calls 0 is an address that nobody has.
  void CallsAtZero() {
    DWORD old = 0;
    const auto expect = [this](DWORD expected, const char* what, auto call) {
      SetLastError(kUntouched);
      const bool worked = call();
      ExpectError(expected, worked, what, 0);
    };
    expect(ERROR_INVALID_ADDRESS, "VirtualFree of 0",
           [] { return VirtualFree(nullptr, 0, MEM_RELEASE); });
    expect(ERROR_INVALID_ADDRESS, "MEM_DECOMMIT of 0",
           [] { return VirtualFree(nullptr, kP, MEM_DECOMMIT); });
    expect(ERROR_INVALID_ADDRESS, "VirtualProtect of 0",
           [&] { return VirtualProtect(nullptr, kP, PAGE_READONLY, &old); });
    Expect(old == PAGE_NOACCESS, "old protection of 0", 0);
    expect(ERROR_INVALID_ADDRESS, "VirtualLock of 0", [] { return VirtualLock(nullptr, kP); });
    expect(ERROR_INVALID_ADDRESS, "VirtualUnlock of 0",
           [] { return VirtualUnlock(nullptr, kP); });
    expect(ERROR_INVALID_PARAMETER, "ResetWriteWatch of 0",
           [] { return ResetWriteWatch(nullptr, kP) == 0; });
    Expect(userpager_tests::Query(nullptr).State == MEM_FREE, "state of 0", 0);
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
  // A locked page is in memory, and only such a page says that it is locked.
  void CheckLocks() {
    std::array<PSAPI_WORKING_SET_EX_INFORMATION, kWindowPages> told;
    for (size_t i = 0; i < kWindowPages; ++i) told[i] = {base_ + i * kP, {}};
    Expect(QueryWorkingSetEx(GetCurrentProcess(), told.data(), sizeof told) != 0,
           "QueryWorkingSetEx", 0);
    for (size_t i = 0; i < kWindowPages && story_.empty(); ++i) {
      const auto& attributes = told[i].VirtualAttributes.Attributes;
      const bool locked = model_.page(i).locked;
      Expect((attributes.Locked != 0) == locked, "lock", i * kP);
      Expect(!locked || attributes.Valid != 0, "residence of a locked page", i * kP);
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
  std::map<std::string, unsigned> worked_;
};

using RandomCallsTest = VirtualMemoryTest;

TEST_F(RandomCallsTest, AgreeWithTheModel) {
  const uint64_t limit = Stats().memory_limit_bytes;
  ASSERT_EQ(userpager_set_memory_limit(kLimitBytes), 0) << userpager_error_message();
  std::byte* windows = FreeSpace(kThreads * kWindowPages * kP);
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
  std::map<std::string, unsigned> worked;
  for (const Caller& caller : callers) {
    for (const auto& [call, times] : caller.worked()) worked[call] += times;
  }
  for (const char* call :
       {"VirtualAlloc", "VirtualAlloc at NULL", "VirtualAlloc2 of a placeholder",
        "VirtualAlloc2 over a placeholder", "VirtualFree", "MEM_PRESERVE_PLACEHOLDER",
        "MEM_COALESCE_PLACEHOLDERS", "VirtualProtect", "VirtualLock", "VirtualUnlock",
        "GetWriteWatch"}) {
    EXPECT_GT(worked[call], 0u) << call << " never worked";
  }
  for (Caller& caller : callers) caller.ReleaseAll();
  EXPECT_EQ(ChargedSinceStart(), 0u);
  EXPECT_EQ(userpager_set_memory_limit(limit), 0) << userpager_error_message();
  userpager::Counted("operations", kThreads * kRounds * kCallsEachRound);
}

}  // namespace
}  // namespace userpager_tests
