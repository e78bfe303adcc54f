// GetWriteWatch and ResetWriteWatch, one test for each rule (see virtual_alloc_test.cc).
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

constexpr size_t kPages = 16;
constexpr DWORD kWatch = MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH;

struct Watched {
  UINT result = 0;
  std::vector<size_t> pages;  // offsets from the base, in pages
};

Watched Ask(std::byte* base, size_t bytes, DWORD flags = 0, size_t room = 4096) {
  Watched answer;
  std::vector<void*> addresses(room);
  ULONG_PTR count = room;
  DWORD granularity = 0;
  answer.result = GetWriteWatch(flags, base, bytes, addresses.data(), &count, &granularity);
  if (answer.result != 0) return answer;
  EXPECT_EQ(granularity, kP);
  EXPECT_LE(count, room);
  for (size_t i = 0; i < count; ++i) {
    answer.pages.push_back(static_cast<size_t>(static_cast<std::byte*>(addresses[i]) - base) / kP);
  }
  return answer;
}
std::vector<size_t> Written(std::byte* base, size_t pages = kPages, DWORD flags = 0) {
  const Watched answer = Ask(base, pages * kP, flags);
  EXPECT_EQ(answer.result, 0u) << GetLastError();
  return answer.pages;
}
std::vector<size_t> WrittenAndReset(std::byte* base, size_t pages = kPages) {
  return Written(base, pages, WRITE_WATCH_FLAG_RESET);
}
DWORD AskError(DWORD flags, void* base, size_t bytes, void** addresses, ULONG_PTR* count,
               DWORD* granularity) {
  return ErrorOf(
      [=] { return GetWriteWatch(flags, base, bytes, addresses, count, granularity) == 0; });
}
using Pages = std::vector<size_t>;
Pages All(size_t count) {
  Pages pages(count);
  for (size_t i = 0; i < count; ++i) pages[i] = i;
  return pages;
}

class WriteWatchTest : public VirtualMemoryTest {
 protected:
  void SetUp() override {
    VirtualMemoryTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    base_ = Alloc(nullptr, kPages * kP, kWatch, PAGE_READWRITE);
    ASSERT_NE(base_, nullptr) << GetLastError();
  }
  void TearDown() override {
    if (base_ != nullptr) Release(base_);
    VirtualMemoryTest::TearDown();
  }
  // Uses more memory than there is, so that all else leaves it.
  void PushOut() {
    const size_t bytes = 2 * Stats().memory_limit_bytes;
    std::byte* ballast = Commit(bytes);
    memset(ballast, 0x55, bytes);
    unsigned char state = 0;
    EXPECT_EQ(mincore(base_, 1, &state), 0);
    EXPECT_EQ(state & 1, 0) << "the pages should be out by now";
    Release(ballast);
  }

  std::byte* base_ = nullptr;
};

TEST_F(WriteWatchTest, WW1_ShowsNoTrace) {
  ExpectRun(base_, kPages * kP, MEM_COMMIT, PAGE_READWRITE);
  EXPECT_EQ(Query(base_).Type, DWORD{MEM_PRIVATE});
}

TEST_F(WriteWatchTest, WW2_GoesWithReserveOnly) {
  std::byte* base = Alloc(nullptr, kP, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
  ASSERT_NE(base, nullptr);
  EXPECT_EQ(AllocError(base, kP, MEM_WRITE_WATCH, PAGE_READWRITE), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AllocError(base, kP, MEM_COMMIT | MEM_WRITE_WATCH, PAGE_READWRITE),
            ERROR_INVALID_PARAMETER);
  ASSERT_TRUE(CommitAt(base, kP));
  EXPECT_EQ(Written(base, 1), Pages{});
  base[0] = std::byte{1};
  EXPECT_EQ(Written(base, 1), Pages{0});
  Release(base);
}

TEST_F(WriteWatchTest, WW3_OnlyOfWatchedMemory) {
  std::byte* plain = Commit(kP);
  void* addresses[4];
  ULONG_PTR count = 4;
  DWORD granularity = 0;
  EXPECT_EQ(AskError(0, nullptr, kP, addresses, &count, &granularity), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AskError(0, plain, kP, addresses, &count, &granularity), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(GetWriteWatch(0, plain, kP, addresses, &count, &granularity), ~UINT{0});
  EXPECT_EQ(ResetWriteWatch(plain, kP), ~UINT{0});
  EXPECT_EQ(ResetWriteWatch(nullptr, kP), ~UINT{0});
  EXPECT_EQ(count, 4u) << "a call that fails writes nothing";
  Release(plain);
}

TEST_F(WriteWatchTest, WW5_StaysWrittenUntilReset) {
  base_[kP] = std::byte{1};
  EXPECT_EQ(Written(base_), Pages{1});
  EXPECT_EQ(Written(base_), Pages{1});
}

TEST_F(WriteWatchTest, WW6_ResetClears) {
  base_[kP + 7] = std::byte{1};
  EXPECT_EQ(WrittenAndReset(base_), Pages{1});
  EXPECT_EQ(Written(base_), Pages{});
  base_[kP + 7] = std::byte{1};
  EXPECT_EQ(Written(base_), Pages{1}) << "the same value written again is a write";
}

TEST_F(WriteWatchTest, WW7_Ascending) {
  base_[5 * kP] = std::byte{1};
  base_[2 * kP] = std::byte{1};
  EXPECT_EQ(Written(base_), (Pages{2, 5}));
}

TEST_F(WriteWatchTest, WW9_ResetOfASubRange) {
  base_[0] = base_[2 * kP] = base_[4 * kP] = std::byte{1};
  EXPECT_EQ(ResetWriteWatch(base_ + kP + 5, 2 * kP), 0u);
  EXPECT_EQ(Written(base_), (Pages{0, 4}));
  EXPECT_EQ(ResetWriteWatch(base_, kPages * kP), 0u);
  EXPECT_EQ(Written(base_), Pages{});
}

TEST_F(WriteWatchTest, WW10_WriteAcrossAPageBorder) {
  const uint32_t word = 0x01020304;
  memcpy(base_ + 3 * kP - 2, &word, sizeof word);
  EXPECT_EQ(Written(base_), (Pages{2, 3}));
}

TEST_F(WriteWatchTest, WW11_LittleRoomResetsWhatItReturns) {
  base_[0] = base_[3 * kP] = base_[9 * kP] = std::byte{1};
  EXPECT_EQ(Ask(base_, kPages * kP, WRITE_WATCH_FLAG_RESET, 1).pages, Pages{0});
  EXPECT_EQ(Written(base_), (Pages{3, 9}));
}

TEST_F(WriteWatchTest, WW13_CommitDoesNotMark) {
  std::byte* base = Alloc(nullptr, 4 * kP, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_NOACCESS);
  EXPECT_EQ(Written(base, 4), Pages{});
  EXPECT_EQ(ResetWriteWatch(base, 4 * kP), 0u);
  ASSERT_TRUE(CommitAt(base, kP, PAGE_NOACCESS));
  ASSERT_TRUE(CommitAt(base + kP, kP));
  EXPECT_EQ(Written(base, 4), Pages{});
  EXPECT_EQ(ResetWriteWatch(base, 4 * kP), 0u);
  Release(base);
}

TEST_F(WriteWatchTest, WW14_ProtectionKeepsIt) {
  base_[5 * kP] = std::byte{1};
  Protect(base_ + 5 * kP, kP, PAGE_NOACCESS);
  EXPECT_EQ(Written(base_), Pages{5});
  EXPECT_EQ(ResetWriteWatch(base_, kPages * kP), 0u);
  EXPECT_EQ(Written(base_), Pages{});
  Protect(base_ + 5 * kP, kP, PAGE_READWRITE);
  EXPECT_EQ(Written(base_), Pages{});
  EXPECT_EQ(ByteAt(base_ + 5 * kP), 1u);
  EXPECT_EQ(Written(base_), Pages{}) << "coming back by a read is no write";
  base_[5 * kP] = std::byte{2};
  EXPECT_EQ(Written(base_), Pages{5});
}

TEST_F(WriteWatchTest, WW14_ReadOnlyAndBack) {
  base_[0] = base_[kP] = std::byte{1};
  EXPECT_EQ(WrittenAndReset(base_), (Pages{0, 1}));
  Protect(base_, 2 * kP, PAGE_READONLY);
  EXPECT_TRUE(WriteFaults(base_));
  EXPECT_EQ(Written(base_), Pages{}) << "a refused store is no write";
  Protect(base_, 2 * kP, PAGE_READWRITE);
  EXPECT_EQ(Written(base_), Pages{});
  base_[kP] = std::byte{2};
  EXPECT_EQ(Written(base_), Pages{1});
}

TEST_F(WriteWatchTest, WW15_DecommitClears) {
  base_[kP] = base_[2 * kP] = std::byte{1};
  ASSERT_TRUE(VirtualFree(base_ + kP, kP, MEM_DECOMMIT));
  EXPECT_EQ(Written(base_), Pages{2});
  ASSERT_TRUE(CommitAt(base_ + kP, kP));
  EXPECT_EQ(Written(base_), Pages{2});
}

TEST_F(WriteWatchTest, WW17_SystemCallsCount) {
  if (Stats().kernel_mode_faults == 0) {
    GTEST_SKIP() << "this process may not have faults of system calls answered";
  }
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const char text[] = "written by the kernel";
  ASSERT_EQ(write(ends[1], text, sizeof text), static_cast<ssize_t>(sizeof text));
  EXPECT_EQ(Written(base_), Pages{});
  ASSERT_EQ(read(ends[0], base_ + 3 * kP, kPages * kP - 3 * kP), static_cast<ssize_t>(sizeof text));
  EXPECT_EQ(WrittenAndReset(base_), Pages{3});
  EXPECT_STREQ(reinterpret_cast<const char*>(base_ + 3 * kP), text);
  // Into a page that is resident and was written before, too.
  ASSERT_EQ(write(ends[1], text, sizeof text), static_cast<ssize_t>(sizeof text));
  ASSERT_EQ(read(ends[0], base_ + 3 * kP, 8), 8);
  EXPECT_EQ(Written(base_), Pages{3});
  // What a system call reads is not written.
  EXPECT_EQ(write(ends[1], base_ + 7 * kP, 64), 64);
  EXPECT_EQ(Written(base_), Pages{3});
  EXPECT_EQ(read(-1, base_, kP), -1);
  EXPECT_EQ(Written(base_), Pages{3});
  close(ends[0]);
  close(ends[1]);
}

TEST_F(WriteWatchTest, WW19_Arguments) {
  void* addresses[4] = {};
  ULONG_PTR room = 4;
  ULONG_PTR none = 0;
  DWORD unit = 0;
  EXPECT_EQ(AskError(0, base_, kP, addresses, &none, &unit), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AskError(0, base_, kP, addresses, nullptr, &unit), ERROR_NOACCESS);
  EXPECT_EQ(AskError(0, base_, kP, addresses, &room, nullptr), ERROR_NOACCESS);
  EXPECT_EQ(AskError(0, base_, kP, nullptr, &room, &unit), ERROR_NOACCESS);
  EXPECT_EQ(AskError(0, base_, kP, nullptr, &none, &unit), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AskError(0xdeadbeef, base_, kP, addresses, &room, &unit), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AskError(0, base_, 0, addresses, &room, &unit), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AskError(0, base_, kPages * kP + 1, addresses, &room, &unit),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AskError(0, base_ + (kPages - 1) * kP, kP + 1, addresses, &room, &unit),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(AskError(0, base_, SIZE_MAX, addresses, &room, &unit), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(room, 4u);
  EXPECT_EQ(AskError(0, base_ + 5, kP, addresses, &room, &unit), ERROR_SUCCESS);
  const auto reset_error = [&](void* base, size_t bytes) {
    return ErrorOf([=] { return ResetWriteWatch(base, bytes) == 0; });
  };
  EXPECT_EQ(reset_error(base_, 0), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(reset_error(base_, kPages * kP + 1), ERROR_INVALID_PARAMETER);
  EXPECT_EQ(reset_error(base_, kPages * kP), ERROR_SUCCESS);
}

TEST_F(WriteWatchTest, WW21_ManyPages) {
  constexpr size_t kMany = 2048;
  std::byte* base = Alloc(nullptr, kMany * kP, kWatch, PAGE_READWRITE);
  Pages expected;
  for (size_t i = 0; i < kMany; i += 2) {
    base[i * kP] = std::byte{1};
    expected.push_back(i);
  }
  Protect(base, kMany / 2 * kP, PAGE_READONLY);
  EXPECT_EQ(Written(base, kMany), expected);
  EXPECT_EQ(WrittenAndReset(base, kMany), expected);
  EXPECT_EQ(Written(base, kMany), Pages{});
  Release(base);
}

TEST_F(WriteWatchTest, WW23_AllOfThem) {
  memset(base_, 1, kPages * kP);
  EXPECT_EQ(WrittenAndReset(base_), All(kPages));
  memset(base_, 0, kPages * kP);
  EXPECT_EQ(Written(base_), All(kPages)) << "zeros are written, too";
}

TEST_F(WriteWatchTest, WW25_ReadsNeverMark) {
  for (size_t i = 0; i < kPages; ++i) EXPECT_EQ(ByteAt(base_ + i * kP), 0u);
  EXPECT_EQ(Written(base_), Pages{});
  // Neighbours of a page that is written came as zeros by reads, one after the other.
  base_[8 * kP] = std::byte{1};
  EXPECT_EQ(Written(base_), Pages{8});
}

TEST_F(WriteWatchTest, WW26_PagingKeepsIt) {
  memset(base_, 7, kPages * kP);
  EXPECT_EQ(WrittenAndReset(base_), All(kPages));
  base_[3 * kP] = std::byte{9};
  base_[4 * kP] = std::byte{0};
  memset(base_ + 5 * kP, 0, kP);
  PushOut();
  EXPECT_EQ(Written(base_), (Pages{3, 4, 5}));
  for (size_t i = 0; i < kPages; ++i) (void)ByteAt(base_ + i * kP);
  EXPECT_EQ(Written(base_), (Pages{3, 4, 5}));
  base_[10 * kP] = std::byte{1};
  base_[12 * kP] = std::byte{1};
  EXPECT_EQ(Written(base_), (Pages{3, 4, 5, 10, 12}));
  EXPECT_EQ(ResetWriteWatch(base_, kPages * kP), 0u);
  PushOut();
  base_[6 * kP] = std::byte{1};
  EXPECT_EQ(Written(base_), Pages{6}) << "a store that brings the page from disk";
}

TEST_F(WriteWatchTest, WW26_TrimmedAndPrefetched) {
  base_[2 * kP] = std::byte{3};
  EXPECT_FALSE(VirtualUnlock(base_, kPages * kP));
  WIN32_MEMORY_RANGE_ENTRY range = {base_, kPages * kP};
  EXPECT_TRUE(PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0));
  EXPECT_EQ(WrittenAndReset(base_), Pages{2});
  EXPECT_EQ(ByteAt(base_ + 2 * kP), 3u);
  EXPECT_EQ(Written(base_), Pages{});
  EXPECT_FALSE(VirtualUnlock(base_, kPages * kP));
  base_[2 * kP] = std::byte{4};
  EXPECT_EQ(Written(base_), Pages{2}) << "a store that takes a parked page back";
}

// Every thread counts in a page of its own; between two counts it does other things, and the
// collector sums up the pages that it was told of.
TEST_F(WriteWatchTest, WW27_NoWriteIsLost) {
  constexpr unsigned kThreads = 3;
  constexpr uint64_t kCounts = 3000;
  std::atomic<unsigned> running{kThreads};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto* counters = reinterpret_cast<std::atomic<uint64_t>*>(base_);
      for (uint64_t i = 1; i <= kCounts; ++i) {
        const size_t page = (t + kThreads * (i % 4)) % kPages;
        counters[page * kP / 8 + t].store(i, std::memory_order_relaxed);
      }
      running.fetch_sub(1);
    });
  }
  // What the pages held when they were last reported.
  std::vector<uint64_t> seen(kPages * kThreads);
  for (bool last = false; !last;) {
    last = running.load() == 0;
    for (const size_t page : WrittenAndReset(base_)) {
      const auto* counters = reinterpret_cast<const std::atomic<uint64_t>*>(base_ + page * kP);
      for (unsigned t = 0; t < kThreads; ++t) {
        seen[page * kThreads + t] = counters[t].load(std::memory_order_relaxed);
      }
    }
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t page = 0; page < kPages; ++page) {
    const auto* counters = reinterpret_cast<const std::atomic<uint64_t>*>(base_ + page * kP);
    for (unsigned t = 0; t < kThreads; ++t) {
      EXPECT_EQ(counters[t].load(), seen[page * kThreads + t]) << "page " << page;
    }
  }
}

TEST_F(WriteWatchTest, RS9_ResetDoesNotMark) {
  base_[kP] = std::byte{1};
  EXPECT_EQ(WrittenAndReset(base_), Pages{1});
  EXPECT_NE(Alloc(base_, kPages * kP, MEM_RESET, PAGE_READWRITE), nullptr);
  EXPECT_EQ(Written(base_), Pages{});
  (void)ByteAt(base_ + kP);
  EXPECT_EQ(Written(base_), Pages{});
  base_[kP] = std::byte{2};
  EXPECT_EQ(Written(base_), Pages{1});
}

TEST_F(WriteWatchTest, LockedPagesAreWatched) {
  ASSERT_TRUE(VirtualLock(base_, 4 * kP));
  EXPECT_EQ(Written(base_), Pages{}) << "coming by VirtualLock is no write";
  base_[kP] = std::byte{1};
  EXPECT_EQ(WrittenAndReset(base_), Pages{1});
  base_[kP] = std::byte{2};
  EXPECT_EQ(Written(base_), Pages{1});
  EXPECT_TRUE(VirtualUnlock(base_, 4 * kP));
}

// A system call may write to them at any time, so they can be reset only afterwards.
TEST_F(WriteWatchTest, HeldPagesStayWritten) {
  const int zeros = open("/dev/zero", O_RDONLY);
  base_[0] = base_[3 * kP] = std::byte{1};
  EXPECT_EQ(WrittenAndReset(base_), (Pages{0, 3}));
  ASSERT_EQ(userpager_hold(base_ + kP, 2 * kP, USERPAGER_HOLD_FOR_WRITING), 0);
  EXPECT_EQ(WrittenAndReset(base_), (Pages{1, 2}));
  EXPECT_EQ(ResetWriteWatch(base_, kPages * kP), 0u);
  EXPECT_EQ(read(zeros, base_ + kP, 2 * kP), static_cast<ssize_t>(2 * kP));
  base_[3 * kP] = std::byte{2};
  EXPECT_EQ(Written(base_), (Pages{1, 2, 3}));
  ASSERT_EQ(userpager_release(base_ + kP, 2 * kP), 0);
  EXPECT_EQ(WrittenAndReset(base_), (Pages{1, 2, 3}));
  EXPECT_EQ(Written(base_), Pages{});
  close(zeros);
}

// The results go to the watched memory itself: that is a write as any other.
TEST_F(WriteWatchTest, ResultsInWatchedMemory) {
  base_[4 * kP] = std::byte{1};
  auto** addresses = reinterpret_cast<void**>(base_);
  ULONG_PTR count = 8;
  DWORD granularity = 0;
  ASSERT_EQ(GetWriteWatch(0, base_, kPages * kP, addresses, &count, &granularity), 0u);
  ASSERT_EQ(count, 1u);
  EXPECT_EQ(addresses[0], base_ + 4 * kP);
  EXPECT_EQ(Written(base_), (Pages{0, 4}));
}

}  // namespace
}  // namespace userpager_tests
