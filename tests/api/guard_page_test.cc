// Guard pages, one test for each rule (see virtual_alloc_test.cc). One access, one exception.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <userpager/userpager.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/api/exception_recorder.h"
#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

constexpr DWORD kGuarded = PAGE_READWRITE | PAGE_GUARD;

class GuardPageTest : public VirtualMemoryTest {
 protected:
  // A committed page with content and a guard.
  static std::byte* CommitGuarded(DWORD protect = kGuarded) {
    std::byte* base = Commit(kP);
    memset(base, 0x5a, kP);
    EXPECT_EQ(Protect(base, kP, protect), DWORD{PAGE_READWRITE});
    return base;
  }
  static void Write(void* address, unsigned char value) {
    *static_cast<volatile unsigned char*>(address) = value;
  }
  // Pushes what is not in use out of memory.
  static void Press() {
    std::byte* ballast = Commit(2 * kMemoryLimitBytes);
    memset(ballast, 1, 2 * kMemoryLimitBytes);
    Release(ballast);
  }
  // Nothing to be seen or felt of the guard any more.
  static void ExpectEnded(std::byte* base, DWORD protect = PAGE_READWRITE) {
    ExpectRun(base, kP, MEM_COMMIT, protect);
    EXPECT_FALSE(ReadFaults(base));
  }
};

TEST_F(GuardPageTest, GP1_ShowsUntilItIsHit) {
  std::byte* base = Commit(kP, kGuarded);
  ExpectRun(base, kP, MEM_COMMIT, kGuarded);
  EXPECT_EQ(Query(base).AllocationProtect, kGuarded);
  {
    ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
    EXPECT_EQ(ByteAt(base + 24), 0u);
    recorder.ExpectOne(EXCEPTION_GUARD_PAGE, EXCEPTION_READ_FAULT, base + 24);
  }
  ExpectEnded(base);
  EXPECT_EQ(Query(base).AllocationProtect, kGuarded);
  Release(base);
}

TEST_F(GuardPageTest, GP5_NoSecondException) {
  std::byte* base = CommitGuarded();
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  Write(base + 8, 7);
  recorder.ExpectOne(EXCEPTION_GUARD_PAGE, EXCEPTION_WRITE_FAULT, base + 8);
  Write(base + 16, 8);
  EXPECT_EQ(ByteAt(base + 8), 7u);
  EXPECT_EQ(ByteAt(base + 17), 0x5au) << "a guard keeps the page's content";
  EXPECT_EQ(recorder.count(), 1);
  Release(base);
}

TEST_F(GuardPageTest, GP6_ArmedAgainAndAgain) {
  std::byte* base = CommitGuarded();
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  for (int round = 1; round <= 20; ++round) {
    Write(base, static_cast<unsigned char>(round));
    EXPECT_EQ(recorder.count(), round);
    EXPECT_EQ(ByteAt(base), static_cast<unsigned>(round));
    EXPECT_EQ(Protect(base, kP, kGuarded), DWORD{PAGE_READWRITE});
  }
  Release(base);
}

TEST_F(GuardPageTest, GP7_EveryKindOfAccess) {
  for (const DWORD base_protect : {DWORD{PAGE_READONLY}, DWORD{PAGE_READWRITE},
                                   DWORD{PAGE_EXECUTE_READ}, DWORD{PAGE_EXECUTE_READWRITE}}) {
    std::byte* base = CommitGuarded(base_protect | PAGE_GUARD);
    {
      ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
      EXPECT_EQ(ByteAt(base + 3), 0x5au);
      recorder.ExpectOne(EXCEPTION_GUARD_PAGE, EXCEPTION_READ_FAULT, base + 3);
    }
    ExpectEnded(base, base_protect);
    const bool writable = base_protect == PAGE_READWRITE || base_protect == PAGE_EXECUTE_READWRITE;
    EXPECT_EQ(WriteFaults(base), !writable);
    Release(base);
  }
}

// A store to a read-only guard page meets the guard first, and then the protection.
TEST_F(GuardPageTest, GP7_WriteToAReadOnlyGuardPage) {
  std::byte* base = CommitGuarded(PAGE_READONLY | PAGE_GUARD);
  ExceptionRecorder recorder([](const EXCEPTION_RECORD& record) -> LONG {
    if (record.ExceptionCode == EXCEPTION_GUARD_PAGE) return EXCEPTION_CONTINUE_EXECUTION;
    auto* address = reinterpret_cast<void*>(record.ExceptionInformation[1]);
    DWORD old = 0;
    const BOOL changed = VirtualProtect(address, 1, PAGE_READWRITE, &old);
    return changed && old == PAGE_READONLY ? EXCEPTION_CONTINUE_EXECUTION
                                           : EXCEPTION_CONTINUE_SEARCH;
  });
  Write(base, 9);
  EXPECT_EQ(recorder.count(), 2);
  EXPECT_EQ(recorder.last().ExceptionCode, EXCEPTION_GUARD_PAGE);
  EXPECT_EQ(recorder.last().ExceptionInformation[0], ULONG_PTR{EXCEPTION_WRITE_FAULT});
  EXPECT_EQ(ByteAt(base), 9u);
  Release(base);
}

// What the program has locked cannot be moved out of sight, and is mapped behind its guard.
TEST_F(GuardPageTest, GP7_AReadOnlyGuardPageThatIsLockedByMlock) {
  std::byte* base = Commit(kP);
  memset(base, 0x5a, kP);
  // The kernel's own call: the sanitizers' mlock does nothing.
  if (syscall(SYS_mlock, base, kP) != 0) GTEST_SKIP() << "mlock is not allowed here";
  EXPECT_EQ(Protect(base, kP, PAGE_READONLY | PAGE_GUARD), DWORD{PAGE_READWRITE});
  {
    ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
    EXPECT_EQ(ByteAt(base + 3), 0x5au);
    recorder.ExpectOne(EXCEPTION_GUARD_PAGE, EXCEPTION_READ_FAULT, base + 3);
  }
  ExpectEnded(base, PAGE_READONLY);
  EXPECT_TRUE(WriteFaults(base));
  EXPECT_EQ(ByteAt(base + 3), 0x5au);
  EXPECT_EQ(syscall(SYS_munlock, base, kP), 0);
  Release(base);
}

#if defined(__x86_64__)
constexpr unsigned char kReturn[] = {0xc3};
#else
constexpr unsigned char kReturn[] = {0xc0, 0x03, 0x5f, 0xd6};
#endif

// Calls the function that returns at once, which stands at `code`.
void CallCode(std::byte* code) { reinterpret_cast<void (*)()>(code)(); }

TEST_F(GuardPageTest, GP7_ExecutionOfAGuardPage) {
  std::byte* base = Commit(kP, PAGE_EXECUTE_READWRITE);
  memcpy(base, kReturn, sizeof kReturn);
  __builtin___clear_cache(reinterpret_cast<char*>(base), reinterpret_cast<char*>(base + kP));
  Protect(base, kP, PAGE_EXECUTE_READ | PAGE_GUARD);
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  CallCode(base);
  recorder.ExpectOne(EXCEPTION_GUARD_PAGE, EXCEPTION_EXECUTE_FAULT, base);
  EXPECT_EQ(recorder.last().ExceptionAddress, base);
  CallCode(base);
  EXPECT_EQ(recorder.count(), 1);
  Release(base);
}

TEST_F(GuardPageTest, GP3_LockEndsItWithoutAnException) {
  std::byte* base = CommitGuarded();
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  EXPECT_EQ(ErrorOf([=] { return VirtualLock(base, kP); }), STATUS_GUARD_PAGE_VIOLATION);
  EXPECT_EQ(ErrorOf([=] { return VirtualLock(base, kP); }), ERROR_SUCCESS);
  EXPECT_EQ(ByteAt(base), 0x5au);
  EXPECT_EQ(recorder.count(), 0);
  ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
  Release(base);
}

// Neither a guard nor the failing lock that meets it is a write.
TEST_F(GuardPageTest, GP9_GuardsAndWriteWatch) {
  const auto written = [](std::byte* base) {
    void* address = nullptr;
    ULONG_PTR count = 1;
    DWORD granularity = 0;
    EXPECT_EQ(GetWriteWatch(WRITE_WATCH_FLAG_RESET, base, kP, &address, &count, &granularity), 0u);
    return count == 1;
  };
  std::byte* base = Alloc(nullptr, kP, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH, kGuarded);
  EXPECT_FALSE(written(base));
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  Write(base, 1);
  recorder.ExpectOne(EXCEPTION_GUARD_PAGE, EXCEPTION_WRITE_FAULT, base);
  EXPECT_TRUE(written(base));
  Protect(base, kP, kGuarded);
  EXPECT_EQ(ByteAt(base), 1u);
  EXPECT_EQ(recorder.count(), 2);
  EXPECT_FALSE(written(base));
  Protect(base, kP, kGuarded);
  EXPECT_FALSE(VirtualLock(base, kP));
  EXPECT_FALSE(written(base));
  EXPECT_TRUE(VirtualLock(base, kP));
  EXPECT_FALSE(written(base)) << "as on Windows 8; later versions count the lock as a write";
  EXPECT_EQ(recorder.count(), 2);
  Release(base);
}

TEST_F(GuardPageTest, GP10_CommitArmsItAgain) {
  std::byte* base = CommitGuarded();
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  EXPECT_EQ(ByteAt(base), 0x5au);
  ASSERT_TRUE(CommitAt(base, kP, kGuarded));
  EXPECT_EQ(recorder.count(), 1);
  EXPECT_EQ(ByteAt(base), 0x5au);
  EXPECT_EQ(recorder.count(), 2);
  Release(base);
}

TEST_F(GuardPageTest, GP13_ManyThreadsOneException) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 50;
  std::byte* base = CommitGuarded();
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  std::atomic<int> ready{0};
  std::atomic<int> done{0};
  std::atomic<int> round{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int r = 1; r <= kRounds; ++r) {
        ready.fetch_add(1);
        while (round.load() < r) std::this_thread::yield();
        // Some read and some write, each its own byte.
        if (i % 2 == 0) {
          Write(base + 64 * i, static_cast<unsigned char>(r));
        } else {
          wrong.fetch_add(ByteAt(base + 64 * i) != 0x5a);
        }
        done.fetch_add(1);
      }
    });
  }
  for (int r = 1; r <= kRounds; ++r) {
    while (ready.load() < r * kThreads) std::this_thread::yield();
    round.store(r);
    while (done.load() < r * kThreads) std::this_thread::yield();
    EXPECT_EQ(recorder.count(), r);
    EXPECT_EQ(Protect(base, kP, kGuarded), DWORD{PAGE_READWRITE});
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  Protect(base, kP, PAGE_READWRITE);
  for (int i = 0; i < kThreads; i += 2) {
    EXPECT_EQ(ByteAt(base + 64 * i), unsigned{kRounds});
  }
  Release(base);
}

// A system call gets its exception as EFAULT, once.
TEST_F(GuardPageTest, FA7_SystemCallEndsItWithEfault) {
  if (Stats().kernel_mode_faults == 0) {
    GTEST_SKIP() << "needs the right to have faults of system calls answered (CAP_SYS_PTRACE)";
  }
  const char* chosen = getenv("USERPAGER_TEST_OPTIONS");
  userpager_options options;
  userpager_options_init(&options);
  ASSERT_EQ(userpager_options_parse(&options, chosen == nullptr ? "" : chosen), 0);
  if ((options.without & USERPAGER_FEATURE_THREAD_ID) != 0) {
    GTEST_SKIP() << "without thread_id nobody knows which thread is in a system call";
  }
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  std::byte* base = CommitGuarded();
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  for (int round = 0; round < 20; ++round) {
    Protect(base, kP, kGuarded);
    errno = 0;
    EXPECT_EQ(write(ends[1], base + 100, 8), -1);
    EXPECT_EQ(errno, EFAULT);
    ExpectRun(base, kP, MEM_COMMIT, PAGE_READWRITE);
    EXPECT_EQ(write(ends[1], base + 100, 8), 8) << errno;
    Protect(base, kP, kGuarded);
    errno = 0;
    EXPECT_EQ(read(ends[0], base + 200, 8), -1);
    EXPECT_EQ(errno, EFAULT);
    EXPECT_EQ(write(ends[1], base + 100, 8), 8) << errno;
    EXPECT_EQ(read(ends[0], base + 200, 8), 8) << errno;
  }
  EXPECT_EQ(recorder.count(), 0) << "the call has failed; no exception besides";
  EXPECT_EQ(ByteAt(base + 200), 0x5au);
  Release(base);
  close(ends[0]);
  close(ends[1]);
}

// Whatever the page was before its guard, and wherever its content is.
TEST_F(GuardPageTest, PagedOutContentComesBackBehindTheGuard) {
  std::byte* base = Commit(kP);
  memset(base, 0x33, kP);
  Press();
  Protect(base, kP, kGuarded);
  Press();
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  EXPECT_EQ(ByteAt(base + kP - 1), 0x33u);
  recorder.ExpectOne(EXCEPTION_GUARD_PAGE, EXCEPTION_READ_FAULT, base + kP - 1);
  for (size_t at = 0; at < kP; ++at) ASSERT_EQ(ByteAt(base + at), 0x33u);
  EXPECT_EQ(recorder.count(), 1);
  Release(base);
}

// Every page of a range has a guard of its own, and neighbours in one mapping do not lose theirs.
TEST_F(GuardPageTest, EachPageOfARange) {
  constexpr size_t kPages = 600;  // more than traps are kept at a time
  std::byte* base = Commit(kPages * kP, kGuarded);
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  for (size_t i = 0; i < kPages; i += 2) Write(base + i * kP, 1);
  EXPECT_EQ(recorder.count(), int{kPages / 2});
  for (size_t i = 0; i < kPages; ++i) {
    ExpectRun(base + i * kP, kP, MEM_COMMIT, i % 2 == 0 ? DWORD{PAGE_READWRITE} : kGuarded);
  }
  for (size_t i = 1; i < kPages; i += 2) Write(base + i * kP, 1);
  EXPECT_EQ(recorder.count(), int{kPages});
  ExpectRun(base, kPages * kP, MEM_COMMIT, PAGE_READWRITE);
  Release(base);
}

TEST_F(GuardPageTest, VP5_ProtectAndDecommitEndIt) {
  std::byte* base = CommitGuarded();
  ExceptionRecorder recorder(&ExceptionRecorder::GoOn);
  EXPECT_EQ(Protect(base, kP, PAGE_READWRITE), kGuarded);
  EXPECT_EQ(ByteAt(base), 0x5au);
  Protect(base, kP, kGuarded);
  ASSERT_TRUE(VirtualFree(base, kP, MEM_DECOMMIT));
  ASSERT_TRUE(CommitAt(base, kP));
  EXPECT_EQ(ByteAt(base), 0u);
  EXPECT_EQ(recorder.count(), 0);
  Release(base);
}

// AC7.
TEST_F(GuardPageTest, AC7_StaysCharged) {
  std::byte* base = Commit(4 * kP);
  const uint64_t before = ChargedSinceStart();
  Protect(base, 4 * kP, kGuarded);
  EXPECT_EQ(ChargedSinceStart(), before);
  Release(base);
}

// Without a vectored handler, the program's own handler gets a plain SIGSEGV, once.
TEST_F(GuardPageTest, ProgramsOwnHandlerGetsOneSignal) {
  std::byte* base = CommitGuarded();
  EXPECT_TRUE(ReadFaults(base + 9));
  ExpectEnded(base);
  Protect(base, kP, kGuarded);
  EXPECT_TRUE(WriteFaults(base + 10));
  ExpectEnded(base);
  EXPECT_EQ(ByteAt(base + 10), 0x5au) << "the store was not made";
  Release(base);
}

}  // namespace
}  // namespace userpager_tests
