// Vectored exception handlers, and how they share SIGSEGV and SIGBUS with the program's own
// handlers, whichever was there first.
#include <sys/mman.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/api/exception_recorder.h"
#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/sanitizers.h"

namespace userpager_tests {
namespace {

using ExceptionTest = VirtualMemoryTest;

// A store with everything before it done, and nothing behind it, for the handlers that it calls.
void Put(void* address, unsigned value) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  *static_cast<volatile unsigned char*>(address) = static_cast<unsigned char>(value);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// Commits or opens the page of the access, so that it works when it is repeated.
LONG OpenPage(const EXCEPTION_RECORD& record) {
  auto* address = reinterpret_cast<void*>(record.ExceptionInformation[1]);
  return VirtualAlloc(address, 1, MEM_COMMIT, PAGE_EXECUTE_READWRITE) != nullptr
             ? EXCEPTION_CONTINUE_EXECUTION
             : EXCEPTION_CONTINUE_SEARCH;
}

TEST_F(ExceptionTest, VA37_ReservedPages) {
  std::byte* base = Reserve(kG);
  {
    ExceptionRecorder recorder(&OpenPage);
    EXPECT_EQ(ByteAt(base + 12), 0u);
    recorder.ExpectOne(EXCEPTION_ACCESS_VIOLATION, EXCEPTION_READ_FAULT, base + 12);
  }
  ExceptionRecorder recorder(&OpenPage);
  Put(base + kP + 13, 5);
  recorder.ExpectOne(EXCEPTION_ACCESS_VIOLATION, EXCEPTION_WRITE_FAULT, base + kP + 13);
  EXPECT_EQ(ByteAt(base + kP + 13), 5u);
  Release(base);
}

TEST_F(ExceptionTest, VA37_NoAccessPages) {
  std::byte* base = Commit(kP, PAGE_NOACCESS);
  ExceptionRecorder recorder(&OpenPage);
  EXPECT_EQ(ByteAt(base), 0u);
  recorder.ExpectOne(EXCEPTION_ACCESS_VIOLATION, EXCEPTION_READ_FAULT, base);
  Release(base);
}

// VP17.
TEST_F(ExceptionTest, VP17_WriteToReadOnlyRepaired) {
  std::byte* base = Commit(kP);
  Put(base, 3);
  Protect(base, kP, PAGE_READONLY);
  ExceptionRecorder recorder(&OpenPage);
  EXPECT_EQ(ByteAt(base), 3u);
  EXPECT_EQ(recorder.count(), 0);
  Put(base + 1, 4);
  recorder.ExpectOne(EXCEPTION_ACCESS_VIOLATION, EXCEPTION_WRITE_FAULT, base + 1);
  EXPECT_EQ(ByteAt(base), 3u);
  EXPECT_EQ(ByteAt(base + 1), 4u);
  Release(base);
}

#if defined(__x86_64__)
constexpr unsigned char kReturn[] = {0xc3};
#else
constexpr unsigned char kReturn[] = {0xc0, 0x03, 0x5f, 0xd6};
#endif

TEST_F(ExceptionTest, ExecutionOfData) {
  std::byte* base = Commit(kP);
  memcpy(base, kReturn, sizeof kReturn);
  ExceptionRecorder recorder(&OpenPage);
  __builtin___clear_cache(reinterpret_cast<char*>(base), reinterpret_cast<char*>(base + kP));
  reinterpret_cast<void (*)()>(base)();
  recorder.ExpectOne(EXCEPTION_ACCESS_VIOLATION, EXCEPTION_EXECUTE_FAULT, base);
  EXPECT_EQ(recorder.last().ExceptionAddress, base);
  Release(base);
}

// Memory that is not managed: the same exceptions.
TEST_F(ExceptionTest, OrdinaryMemory) {
  void* page = mmap(nullptr, kP, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  ExceptionRecorder recorder([](const EXCEPTION_RECORD& record) -> LONG {
    auto* address = reinterpret_cast<void*>(record.ExceptionInformation[1] & ~(kP - 1));
    return mprotect(address, kP, PROT_READ | PROT_WRITE) == 0 ? EXCEPTION_CONTINUE_EXECUTION
                                                              : EXCEPTION_CONTINUE_SEARCH;
  });
  auto* byte = static_cast<unsigned char*>(page) + 77;
  Put(byte, 6);
  recorder.ExpectOne(EXCEPTION_ACCESS_VIOLATION, EXCEPTION_WRITE_FAULT, byte);
  EXPECT_EQ(ByteAt(byte), 6u);
  munmap(page, kP);
}

#if defined(__x86_64__)
// The context is the thread's: a handler may change where it goes on.
LONG StepOver(PEXCEPTION_POINTERS pointers) {
  // movb (%rdi), %al: two bytes.
  pointers->ContextRecord->uc_mcontext.gregs[REG_RIP] += 2;
  pointers->ContextRecord->uc_mcontext.gregs[REG_RAX] = 0x77;
  return EXCEPTION_CONTINUE_EXECUTION;
}

TEST_F(ExceptionTest, ContextMayBeChanged) {
  std::byte* base = Reserve(kP);
  PVOID handle = AddVectoredExceptionHandler(0, &StepOver);
  unsigned long long read = 0;
  asm volatile("movb (%%rdi), %%al" : "=a"(read) : "D"(base), "a"(0ull) : "memory");
  EXPECT_NE(RemoveVectoredExceptionHandler(handle), 0u);
  EXPECT_EQ(read, 0x77u);
  Release(base);
}

// An address that no program can have comes without its value.
TEST_F(ExceptionTest, AddressThatNobodyHas) {
  PVOID handle = AddVectoredExceptionHandler(0, &StepOver);
  {
    ExceptionRecorder recorder(&ExceptionRecorder::Search);
    unsigned long long read = 0;
    asm volatile("movb (%%rdi), %%al" : "=a"(read) : "D"(uint64_t{1} << 62), "a"(0ull) : "memory");
    EXPECT_EQ(read, 0x77u);
    recorder.ExpectOne(EXCEPTION_ACCESS_VIOLATION, EXCEPTION_READ_FAULT,
                       reinterpret_cast<void*>(UINT64_MAX));
  }
  EXPECT_NE(RemoveVectoredExceptionHandler(handle), 0u);
}
#endif

std::string asked;
template <char kName, LONG kAnswer>
LONG Ask(PEXCEPTION_POINTERS pointers) {
  asked += kName;
  return kAnswer == EXCEPTION_CONTINUE_EXECUTION ? OpenPage(*pointers->ExceptionRecord) : kAnswer;
}

TEST_F(ExceptionTest, HandlersAreAskedInOrder) {
  std::byte* base = Reserve(4 * kP);
  asked.clear();
  PVOID c = AddVectoredExceptionHandler(0, &Ask<'c', EXCEPTION_CONTINUE_EXECUTION>);
  PVOID d = AddVectoredExceptionHandler(0, &Ask<'d', EXCEPTION_CONTINUE_EXECUTION>);
  PVOID b = AddVectoredExceptionHandler(1, &Ask<'b', EXCEPTION_CONTINUE_SEARCH>);
  PVOID a = AddVectoredExceptionHandler(1, &Ask<'a', EXCEPTION_CONTINUE_SEARCH>);
  Put(base, 1);
  EXPECT_EQ(asked, "abc");
  EXPECT_NE(RemoveVectoredExceptionHandler(c), 0u);
  EXPECT_NE(RemoveVectoredExceptionHandler(a), 0u);
  Put(base + kP, 1);
  EXPECT_EQ(asked, "abcbd");
  EXPECT_NE(RemoveVectoredExceptionHandler(b), 0u);
  EXPECT_NE(RemoveVectoredExceptionHandler(d), 0u);
  EXPECT_TRUE(WriteFaults(base + 2 * kP));
  EXPECT_EQ(asked, "abcbd");
  Release(base);
}

TEST_F(ExceptionTest, BadArguments) {
  EXPECT_EQ(ErrorOf([] { return AddVectoredExceptionHandler(0, nullptr); }),
            ERROR_INVALID_PARAMETER);
  EXPECT_EQ(ErrorOf([] { return RemoveVectoredExceptionHandler(nullptr); }),
            ERROR_INVALID_PARAMETER);
  PVOID handle = nullptr;
  EXPECT_EQ(ErrorOf([&] {
              return handle = AddVectoredExceptionHandler(0, &Ask<'x', EXCEPTION_CONTINUE_SEARCH>);
            }),
            ERROR_SUCCESS);
  EXPECT_EQ(ErrorOf([=] { return RemoveVectoredExceptionHandler(handle); }), ERROR_SUCCESS);
  EXPECT_EQ(ErrorOf([=] { return RemoveVectoredExceptionHandler(handle); }),
            ERROR_INVALID_PARAMETER);
}

// A handler may remove itself, and meet an exception of its own.
PVOID own_handle = nullptr;
std::byte* nested_page = nullptr;
LONG RemoveItselfAndFault(PEXCEPTION_POINTERS pointers) {
  asked += 'r';
  EXPECT_NE(RemoveVectoredExceptionHandler(own_handle), 0u);
  Put(nested_page, 8);
  return OpenPage(*pointers->ExceptionRecord);
}

TEST_F(ExceptionTest, HandlerThatRemovesItselfAndFaults) {
  if (userpager::kThreadSanitizer) {
    GTEST_SKIP() << "ThreadSanitizer blocks every signal while a handler runs";
  }
  std::byte* base = Reserve(2 * kP);
  nested_page = base + kP;
  asked.clear();
  PVOID other = AddVectoredExceptionHandler(0, &Ask<'o', EXCEPTION_CONTINUE_EXECUTION>);
  own_handle = AddVectoredExceptionHandler(1, &RemoveItselfAndFault);
  Put(base, 9);
  EXPECT_EQ(asked, "ro") << "the nested exception went to the other one";
  EXPECT_EQ(ByteAt(base), 9u);
  EXPECT_EQ(ByteAt(nested_page), 8u);
  EXPECT_NE(RemoveVectoredExceptionHandler(other), 0u);
  Release(base);
}

TEST_F(ExceptionTest, ManyThreadsAtOnceWhileHandlersComeAndGo) {
  constexpr int kThreads = 4;
  constexpr size_t kPagesEach = 200;
  std::byte* base = Reserve(kThreads * kPagesEach * kP);
  std::vector<std::thread> threads;
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    while (!stop.load()) {
      PVOID handle = AddVectoredExceptionHandler(
          1, [](PEXCEPTION_POINTERS) -> LONG { return EXCEPTION_CONTINUE_SEARCH; });
      if (RemoveVectoredExceptionHandler(handle) == 0) ADD_FAILURE() << GetLastError();
    }
  });
  {
    ExceptionRecorder recorder(&OpenPage);
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([=] {
        for (size_t i = 0; i < kPagesEach; ++i) {
          Put(base + (static_cast<size_t>(t) * kPagesEach + i) * kP, static_cast<unsigned>(i));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(recorder.count(), int{kThreads * kPagesEach});
  }
  stop.store(true);
  changer.join();
  for (size_t i = 0; i < kThreads * kPagesEach; ++i) {
    EXPECT_EQ(ByteAt(base + i * kP), i % kPagesEach) << i;
  }
  Release(base);
}

}  // namespace
}  // namespace userpager_tests
