// faults:inline as the program sees it: its signal handlers, its stacks, its system calls. Each
// case is in a process of its own, as a process has one pager for good.
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <userpager/exceptions.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kLimitPages = 2 * kMiB / kPageSize;

userpager_options InlineOptions() {
  userpager_options options;
  userpager_options_init(&options);
  options.memory_limit_bytes = kLimitPages * kPageSize;
  options.page_file_max_bytes = 64 * kMiB;
  options.faults = USERPAGER_FAULTS_INLINE;
  return options;
}

std::string Start(const userpager_options& options = InlineOptions()) {
  return userpager_start(&options) == 0 ? "" : userpager_error_message();
}

userpager_stats Stats() {
  userpager_stats stats = {};
  stats.struct_bytes = sizeof stats;
  if (userpager_get_stats(&stats) != 0) abort();
  return stats;
}

volatile unsigned char* Allocate(uint64_t pages) {
  return static_cast<volatile unsigned char*>(
      VirtualAlloc(nullptr, pages * kPageSize, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
}

unsigned char ByteOf(uint64_t page) { return static_cast<unsigned char>(page % 251 + 1); }

void Fill(volatile unsigned char* memory, uint64_t pages) {
  for (uint64_t i = 0; i < pages; ++i) memory[i * kPageSize] = ByteOf(i);
}

bool IsFilled(volatile unsigned char* memory, uint64_t pages) {
  for (uint64_t i = 0; i < pages; ++i) {
    if (memory[i * kPageSize] != ByteOf(i)) return false;
  }
  return true;
}

// Pages with content, all of them out but for the last.
volatile unsigned char* AllocatePagedOut(uint64_t pages) {
  volatile unsigned char* const memory = Allocate(pages + 4 * kLimitPages);
  if (memory != nullptr) Fill(memory, pages + 4 * kLimitPages);
  return memory;
}

// The program's own handler of SIGBUS.
sigjmp_buf after_signal;
volatile uintptr_t signal_address = 0;
volatile sig_atomic_t signals_sent = 0;

void OnOwnSignal(int, siginfo_t* info, void*) {
  if (info->si_code <= 0) {
    signals_sent = signals_sent + 1;
    return;
  }
  signal_address = reinterpret_cast<uintptr_t>(info->si_addr);
  siglongjmp(after_signal, 1);
}

void SetOwnHandler() {
  struct sigaction action = {};
  action.sa_sigaction = OnOwnSignal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

// Whether reading there raises SIGBUS at that address.
bool RaisesSigbus(volatile unsigned char* address) {
  signal_address = 0;
  if (sigsetjmp(after_signal, 1) == 0) {
    static_cast<void>(*address);
    return false;
  }
  return signal_address == reinterpret_cast<uintptr_t>(address);
}

class InlineFaultsTest : public testing::Test {
 protected:
  void SetUp() override {
    static const std::string problem = InChild([] { return Start(); });
    if (!problem.empty()) GTEST_SKIP() << "the pager cannot run here: " << problem;
  }
};

TEST_F(InlineFaultsTest, EverythingIsAnsweredAndCounted) {
  EXPECT_EQ(InChild([]() -> std::string {
    if (std::string problem = Start(); !problem.empty()) return problem;
    constexpr uint64_t kPages = 3 * kLimitPages;
    volatile unsigned char* const memory = Allocate(kPages);
    if (memory == nullptr) return "no memory";
    errno = 77;
    Fill(memory, kPages);
    for (unsigned round = 0; round < 2; ++round) {
      if (!IsFilled(memory, kPages)) return "a byte is wrong";
    }
    if (errno != 77) return "errno has changed";
    const userpager_stats stats = Stats();
    if (stats.kernel_mode_faults != 0) return "system calls are said to work";
    if (stats.hard_faults == 0 || stats.pages_out == 0) return "nothing was paged";
    if (stats.hard_latency.count != stats.hard_faults) return "latencies are not counted";
    return VirtualFree(const_cast<unsigned char*>(memory), 0, MEM_RELEASE) ? "" : "VirtualFree";
  }), "");
}

TEST_F(InlineFaultsTest, TheEnvironmentChoosesIt) {
  EXPECT_EQ(InChild([]() -> std::string {
    setenv("USERPAGER_CONF", "memory:8M,page_file_max:64M,faults:inline", 1);
    auto* const page = const_cast<unsigned char*>(Allocate(1));
    if (page == nullptr) return "no memory";
    const int zeros = open("/dev/zero", O_RDONLY);
    if (read(zeros, page, 1) != -1 || errno != EFAULT) return "a system call was answered";
    *static_cast<volatile unsigned char*>(page) = 1;
    return read(zeros, page, 1) == 1 ? "" : "a page that is in was refused";
  }), "");
}

TEST_F(InlineFaultsTest, SystemCallsTakeWhatIsHeld) {
  EXPECT_EQ(InChild([]() -> std::string {
    if (std::string problem = Start(); !problem.empty()) return problem;
    constexpr uint64_t kPages = 4;
    volatile unsigned char* const memory = AllocatePagedOut(kPages);
    int ends[2];
    if (memory == nullptr || pipe(ends) != 0) return "no memory or no pipe";
    auto* const buffer = const_cast<unsigned char*>(memory);
    constexpr size_t kBytes = kPages * kPageSize;
    if (write(ends[1], buffer, kBytes) != -1 || errno != EFAULT) return "no EFAULT of write";
    if (userpager_hold(buffer, kBytes, USERPAGER_HOLD_FOR_READING) != 0) {
      return userpager_error_message();
    }
    if (write(ends[1], buffer, kBytes) != static_cast<ssize_t>(kBytes)) return "write failed";
    // The pages are clean, and thus write-protected.
    if (read(ends[0], buffer, kBytes) != -1 || errno != EFAULT) return "no EFAULT of read";
    if (userpager_hold(buffer, kBytes, USERPAGER_HOLD_FOR_WRITING) != 0) {
      return userpager_error_message();
    }
    for (uint64_t i = 0; i < kPages; ++i) memory[i * kPageSize] = 0;
    if (read(ends[0], buffer, kBytes) != static_cast<ssize_t>(kBytes)) return "read failed";
    if (!IsFilled(memory, kPages)) return "a byte is wrong";
    // One of two holds is left: nothing that is pressed with pushes the pages out.
    if (userpager_release(buffer, kBytes) != 0) return userpager_error_message();
    Fill(memory + kBytes, 4 * kLimitPages);
    if (write(ends[1], buffer, kBytes) != static_cast<ssize_t>(kBytes)) return "not held";
    if (userpager_release(buffer, kBytes) != 0) return userpager_error_message();
    if (userpager_release(buffer, kBytes) != USERPAGER_ERROR_BAD_RANGE) return "released thrice";
    Fill(memory + kBytes, 4 * kLimitPages);
    if (read(ends[0], buffer, kBytes) != -1 || errno != EFAULT) return "held for ever";
    return IsFilled(memory, kPages) ? "" : "a byte is wrong in the end";
  }), "");
}

// A hold is one thing and VirtualLock another: neither ends the other.
TEST_F(InlineFaultsTest, HoldsAreApartFromLocks) {
  EXPECT_EQ(InChild([]() -> std::string {
    if (std::string problem = Start(); !problem.empty()) return problem;
    volatile unsigned char* const memory = AllocatePagedOut(1);
    auto* const buffer = const_cast<unsigned char*>(memory);
    const int null = open("/dev/zero", O_RDONLY);
    const auto is_in = [&] { return read(null, buffer + 1, 1) == 1; };
    if (!VirtualLock(buffer, 1)) return "VirtualLock";
    if (userpager_hold(buffer, 1, USERPAGER_HOLD_FOR_WRITING) != 0) return "hold";
    if (!VirtualUnlock(buffer, 1)) return "VirtualUnlock";
    Fill(memory + kPageSize, 4 * kLimitPages);
    if (!is_in()) return "unlocking has ended the hold";
    if (!VirtualLock(buffer, 1)) return "VirtualLock of what is held";
    if (userpager_release(buffer, 1) != 0) return "release";
    Fill(memory + kPageSize, 4 * kLimitPages);
    if (!is_in()) return "releasing has ended the lock";
    return VirtualUnlock(buffer, 1) ? "" : "VirtualUnlock in the end";
  }), "");
}

TEST_F(InlineFaultsTest, HoldsAreRefusedWithAReason) {
  EXPECT_EQ(InChild([]() -> std::string {
    unsigned char here = 0;
    if (userpager_hold(&here, 1, USERPAGER_HOLD_FOR_READING) != USERPAGER_ERROR_NOT_STARTED) {
      return "held without a pager";
    }
    if (std::string problem = Start(); !problem.empty()) return problem;
    auto* const buffer = const_cast<unsigned char*>(Allocate(2 * kLimitPages));
    DWORD old = 0;
    if (!VirtualProtect(buffer, kPageSize, PAGE_READONLY, &old)) return "VirtualProtect";
    struct Case {
      void* address;
      uint64_t bytes;
      userpager_hold_use use;
      int error;
    };
    const Case cases[] = {
        {&here, 1, USERPAGER_HOLD_FOR_READING, USERPAGER_ERROR_BAD_RANGE},
        {buffer, 0, USERPAGER_HOLD_FOR_READING, USERPAGER_ERROR_BAD_RANGE},
        {buffer, kPageSize, USERPAGER_HOLD_FOR_WRITING, USERPAGER_ERROR_BAD_RANGE},
        {buffer, kPageSize, USERPAGER_HOLD_FOR_READING, 0},
        {buffer, 2 * kLimitPages * kPageSize, USERPAGER_HOLD_FOR_READING, USERPAGER_ERROR_BUSY},
    };
    for (const Case& tried : cases) {
      const int got = userpager_hold(tried.address, tried.bytes, tried.use);
      if (got != tried.error) return "case " + std::to_string(&tried - cases) + ": " +
                                     std::to_string(got);
    }
    // As often as a page can be held, and once more.
    for (unsigned i = 1; i < 255; ++i) {
      if (userpager_hold(buffer, 1, USERPAGER_HOLD_FOR_READING) != 0) return "too few holds";
    }
    if (userpager_hold(buffer, 1, USERPAGER_HOLD_FOR_READING) != USERPAGER_ERROR_BUSY) {
      return "too many holds";
    }
    for (unsigned i = 0; i < 255; ++i) {
      if (userpager_release(buffer, 1) != 0) return "a hold is missing";
    }
    return userpager_release(buffer, 1) == USERPAGER_ERROR_BAD_RANGE ? "" : "a hold is left";
  }), "");
}

// What is not the pager's goes to the program's handler: a file that is too short, a signal that
// was sent.
TEST_F(InlineFaultsTest, OwnHandlerKeepsWorking) {
  EXPECT_EQ(InChild([]() -> std::string {
    SetOwnHandler();
    if (std::string problem = Start(); !problem.empty()) return problem;
    const int file = memfd_create("short", 0);
    void* const mapped = mmap(nullptr, kPageSize, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) return "no mapping";
    for (unsigned i = 0; i < 3; ++i) {
      if (!RaisesSigbus(static_cast<volatile unsigned char*>(mapped))) return "no SIGBUS";
    }
    raise(SIGBUS);
    if (signals_sent != 1) return "a signal that was sent has not come";
    constexpr uint64_t kPages = 3 * kLimitPages;
    volatile unsigned char* const memory = Allocate(kPages);
    Fill(memory, kPages);
    return IsFilled(memory, kPages) ? "" : "a byte is wrong";
  }), "");
}

// A guard page is one for one access, as ever, and the handler sees which.
volatile uint32_t exception_code = 0;
LONG NoteException(EXCEPTION_POINTERS* pointers) {
  exception_code = pointers->ExceptionRecord->ExceptionCode;
  return exception_code == EXCEPTION_GUARD_PAGE ? EXCEPTION_CONTINUE_EXECUTION
                                                : EXCEPTION_CONTINUE_SEARCH;
}

TEST_F(InlineFaultsTest, GuardPagesAreExceptions) {
  EXPECT_EQ(InChild([]() -> std::string {
    if (std::string problem = Start(); !problem.empty()) return problem;
    if (AddVectoredExceptionHandler(1, NoteException) == nullptr) return "no handler";
    auto* const page = static_cast<volatile unsigned char*>(VirtualAlloc(
        nullptr, kPageSize, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD));
    if (page == nullptr) return "no memory";
    *page = 5;
    if (exception_code != EXCEPTION_GUARD_PAGE) return "no exception";
    exception_code = 0;
    return *page == 5 && exception_code == 0 ? "" : "the guard has not ended";
  }), "");
}

// Overwrites a page file behind the pager's back, and then touches what it held.
std::string LosePage(const std::string& path, bool* raised) {
  userpager_options options = InlineOptions();
  if (path.size() >= sizeof options.page_file) return "the path is too long";
  path.copy(options.page_file, path.size());
  options.page_file[path.size()] = '\0';
  if (std::string problem = Start(options); !problem.empty()) return problem;
  volatile unsigned char* const memory = AllocatePagedOut(1);
  if (memory == nullptr) return "no memory";
  const int file = open(path.c_str(), O_RDWR);
  const std::vector<unsigned char> noise(kMiB, 0xa5);
  for (off_t at = static_cast<off_t>(kPageSize); at < static_cast<off_t>(16 * kMiB);
       at += static_cast<off_t>(noise.size())) {
    if (pwrite(file, noise.data(), noise.size(), at) < 0) return "the page file is not overwritten";
  }
  // EIO says that the pager's direct writes, some still under way, met these in the page cache.
  if (fsync(file) != 0 && errno != EIO) return "fsync";
  *raised = RaisesSigbus(memory);
  return Stats().lost_pages > 0 ? "" : "no page was lost";
}

TEST_F(InlineFaultsTest, LostPageIsTheProgramsSigbus) {
  const TempDirectory directory;
  WriteFile(directory / "pages", "");
  EXPECT_EQ(InChild([&]() -> std::string {
    SetOwnHandler();
    bool raised = false;
    if (std::string problem = LosePage(directory / "pages", &raised); !problem.empty()) {
      return problem;
    }
    return raised ? "" : "no SIGBUS came";
  }), "");
}

TEST_F(InlineFaultsTest, LostPageEndsAProgramWithoutAHandler) {
  const TempDirectory directory;
  WriteFile(directory / "pages", "");
  EXPECT_EQ(InChild([&]() -> std::string {
    // What a sanitizer has put in is not the program's.
    signal(SIGBUS, SIG_DFL);
    bool raised = false;
    return LosePage(directory / "pages", &raised) + " survived";
  }), "killed by signal " + std::to_string(SIGBUS));
}

// A handler that is set when the pager runs already takes no fault from it.
TEST_F(InlineFaultsTest, OwnHandlerMayComeLater) {
  EXPECT_EQ(InChild([]() -> std::string {
    if (std::string problem = Start(); !problem.empty()) return problem;
    SetOwnHandler();
    constexpr uint64_t kPages = 3 * kLimitPages;
    volatile unsigned char* const memory = Allocate(kPages);
    Fill(memory, kPages);
    if (!IsFilled(memory, kPages)) return "a byte is wrong";
    raise(SIGBUS);
    return signals_sent == 1 ? "" : "a signal that was sent has not come";
  }), "");
}

// A handler of the program touches managed memory at any moment, also while its thread waits for a
// page, and in both the thread's own content is kept.
volatile unsigned char* touched_by_handler;
std::atomic<uint64_t> handler_runs{0};
std::atomic<uint64_t> handler_errors{0};
void TouchInHandler(int) {
  const uint64_t page = handler_runs.fetch_add(1) * 37 % (2 * kLimitPages);
  if (touched_by_handler[page * kPageSize] != ByteOf(page)) ++handler_errors;
}

TEST_F(InlineFaultsTest, OtherSignalsHandlersMayFault) {
  if (userpager::kThreadSanitizer) {
    GTEST_SKIP() << "ThreadSanitizer calls handlers late, with all signals blocked";
  }
  EXPECT_EQ(InChild([]() -> std::string {
    if (std::string problem = Start(); !problem.empty()) return problem;
    constexpr uint64_t kPages = 2 * kLimitPages;
    touched_by_handler = Allocate(kPages);
    volatile unsigned char* const memory = Allocate(kPages);
    Fill(touched_by_handler, kPages);
    Fill(memory, kPages);
    signal(SIGUSR1, TouchInHandler);
    const pthread_t toucher = pthread_self();
    std::atomic<bool> stop{false};
    std::thread sender([&] {
      while (!stop.load()) {
        pthread_kill(toucher, SIGUSR1);
        usleep(200);
      }
    });
    bool right = true;
    for (unsigned round = 0; round < 2 || handler_runs.load() < 20; ++round) {
      right = right && IsFilled(memory, kPages);
    }
    stop.store(true);
    sender.join();
    if (!right) return "a byte is wrong";
    return handler_errors.load() == 0 ? "" : "a handler saw a wrong byte";
  }), "");
}

// The least stack that the kernel can put a signal's frame on, and a few hundred bytes.
TEST_F(InlineFaultsTest, SmallAlternateStackIsEnough) {
  if (kInstrumented) GTEST_SKIP() << "stacks are not switched under this sanitizer";
  EXPECT_EQ(InChild([]() -> std::string {
    if (std::string problem = Start(); !problem.empty()) return problem;
    std::vector<char> stack(getauxval(AT_MINSIGSTKSZ) + 2048);
    stack_t alternate = {};
    alternate.ss_sp = stack.data();
    alternate.ss_size = stack.size();
    if (sigaltstack(&alternate, nullptr) != 0) return "sigaltstack";
    volatile unsigned char* const memory = AllocatePagedOut(kLimitPages);
    return IsFilled(memory, kLimitPages) ? "" : "a byte is wrong";
  }), "");
}

// A stack in managed memory grows into pages that are out.
ucontext_t main_context;
ucontext_t coroutine_context;
std::atomic<uint64_t> depth_reached{0};
[[gnu::noinline]] void GoDeep(unsigned depth) {
  volatile unsigned char frame[2 * kPageSize];
  frame[0] = 1;
  depth_reached.fetch_add(frame[0]);
  if (depth > 1) GoDeep(depth - 1);
  frame[1] = 1;
}
void RunCoroutine() { GoDeep(50); }

TEST_F(InlineFaultsTest, ManagedStackWorksWithAnAlternateOne) {
  if (kInstrumented) GTEST_SKIP() << "this sanitizer must know about every stack";
  EXPECT_EQ(InChild([]() -> std::string {
    if (std::string problem = Start(); !problem.empty()) return problem;
    std::vector<char> stack(64 * 1024);
    stack_t alternate = {};
    alternate.ss_sp = stack.data();
    alternate.ss_size = stack.size();
    sigaltstack(&alternate, nullptr);
    constexpr uint64_t kStackPages = 256;
    auto* const managed = const_cast<unsigned char*>(Allocate(kStackPages));
    getcontext(&coroutine_context);
    coroutine_context.uc_stack.ss_sp = managed;
    coroutine_context.uc_stack.ss_size = kStackPages * kPageSize;
    coroutine_context.uc_link = &main_context;
    makecontext(&coroutine_context, RunCoroutine, 0);
    if (swapcontext(&main_context, &coroutine_context) != 0) return "swapcontext";
    return depth_reached.load() == 50 ? "" : "the coroutine has not come to its end";
  }), "");
}

}  // namespace
}  // namespace userpager
