// Exceptions where a process has one of something for good: who has the signals first, how a
// process ends, and a page file that is damaged. Each case in a process of its own, on both roads.
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/support/child_process.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kMiB = size_t{1} << 20;

class ExceptionProcess : public testing::TestWithParam<userpager_move_mode> {
 protected:
  // Runs the body in a child that has a pager, with its page file in `path`.
  static void InStarted(const std::string& path, std::string (*body)(const std::string& path),
                        const std::string& expected = "") {
    const std::string problem = InChild([&]() -> std::string {
      userpager_options options;
      userpager_options_init(&options);
      options.memory_limit_bytes = 8 * kMiB;
      options.page_file_max_bytes = 64 * kMiB;
      options.move = GetParam();
      snprintf(options.page_file, sizeof options.page_file, "%s", path.c_str());
      const int started = userpager_start(&options);
      if (started == USERPAGER_ERROR_NO_USERFAULTFD || started == USERPAGER_ERROR_NO_IO_URING) {
        return std::string("skip: ") + userpager_error_message();
      }
      if (started != 0) return userpager_error_message();
      return body(path);
    });
    if (problem.rfind("skip: ", 0) == 0) GTEST_SKIP() << "the pager cannot run here: " << problem;
    EXPECT_EQ(problem, expected);
  }
  static void InStarted(std::string (*body)(const std::string& path),
                        const std::string& expected = "") {
    InStarted("/var/tmp", body, expected);
  }
};

unsigned char* Committed(DWORD protect, size_t bytes = kPage) {
  return static_cast<unsigned char*>(
      VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, protect));
}
void Store(unsigned char* address) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  *static_cast<volatile unsigned char*>(address) = 1;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// ---- The program's own handler, and a page that it opens. ----

volatile sig_atomic_t own_signals = 0;
void* volatile own_address = nullptr;
volatile sig_atomic_t own_code = 0;
volatile sig_atomic_t own_mask_held = 0;

void OwnHandler(int signal, siginfo_t* info, void* context) {
  own_signals = own_signals + 1;
  own_address = info->si_addr;
  own_code = info->si_code;
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  own_mask_held =
      sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, signal) == 1 && context != nullptr;
  if (info->si_code <= 0) return;
  auto* page = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(info->si_addr) & ~(kPage - 1));
  DWORD old = 0;
  if (!VirtualProtect(page, kPage, PAGE_READWRITE, &old)) {
    mprotect(page, kPage, PROT_READ | PROT_WRITE);
  }
}

void SetOwnHandler() {
  struct sigaction action = {};
  action.sa_sigaction = &OwnHandler;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGUSR1);
  sigaction(SIGSEGV, &action, nullptr);
}

volatile sig_atomic_t vectored_calls = 0;
LONG Decline(PEXCEPTION_POINTERS) {
  vectored_calls = vectored_calls + 1;
  return EXCEPTION_CONTINUE_SEARCH;
}
LONG AcceptGuards(PEXCEPTION_POINTERS pointers) {
  vectored_calls = vectored_calls + 1;
  return pointers->ExceptionRecord->ExceptionCode == EXCEPTION_GUARD_PAGE
             ? EXCEPTION_CONTINUE_EXECUTION
             : EXCEPTION_CONTINUE_SEARCH;
}

// Both handlers are there, in whichever order they came.
std::string UseBoth() {
  unsigned char* guarded = Committed(PAGE_READWRITE | PAGE_GUARD);
  Store(guarded + 1);
  if (vectored_calls != 1 || own_signals != 0) return "a guard page went to the program's handler";
  unsigned char* closed = Committed(PAGE_READONLY);
  Store(closed + 2);
  if (vectored_calls != 2 || own_signals != 1) return "an access violation did not go on";
  if (own_address != closed + 2 || own_code != SEGV_ACCERR) return "another siginfo went on";
  if (own_mask_held != 1) return "the program's handler ran without its mask";
  auto* foreign = static_cast<unsigned char*>(
      mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  Store(foreign + 3);
  if (own_signals != 2 || own_address != foreign + 3) return "ordinary memory did not go on";
  raise(SIGSEGV);
  if (vectored_calls != 3 || own_signals != 3) return "a signal that was sent became an exception";
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  if (sigismember(&mask, SIGUSR1) == 1) return "the program's mask was kept";
  struct sigaction shown = {};
  sigaction(SIGSEGV, nullptr, &shown);
  if (shown.sa_sigaction != &OwnHandler) return "sigaction shows another handler";
  if ((shown.sa_flags & SA_SIGINFO) == 0 || sigismember(&shown.sa_mask, SIGUSR1) != 1) {
    return "sigaction shows another action";
  }
  return "";
}

TEST_P(ExceptionProcess, ProgramsHandlerWasThereFirst) {
  InStarted([](const std::string&) -> std::string {
    SetOwnHandler();
    AddVectoredExceptionHandler(1, &AcceptGuards);
    return UseBoth();
  });
}

TEST_P(ExceptionProcess, ProgramsHandlerComesLater) {
  InStarted([](const std::string&) -> std::string {
    AddVectoredExceptionHandler(1, &AcceptGuards);
    SetOwnHandler();
    return UseBoth();
  });
}

// Installed by the first guard page alone; without vectored handlers all goes to the program.
TEST_P(ExceptionProcess, GuardPagesWithTheProgramsHandlerAlone) {
  InStarted([](const std::string&) -> std::string {
    for (const bool handler_first : {true, false}) {
      if (handler_first) SetOwnHandler();
      unsigned char* guarded = Committed(PAGE_READWRITE | PAGE_GUARD);
      if (!handler_first) SetOwnHandler();
      own_signals = 0;
      Store(guarded);
      if (own_signals != 1 || own_address != guarded) return "the guard raised no signal";
      Store(guarded);
      if (own_signals != 1) return "the guard raised a second signal";
    }
    return "";
  });
}

volatile sig_atomic_t plain_signals = 0;
void PlainHandler(int) {
  plain_signals = plain_signals + 1;
  SetOwnHandler();
}

TEST_P(ExceptionProcess, HandlerSetBySignal) {
  InStarted([](const std::string&) -> std::string {
    AddVectoredExceptionHandler(1, &Decline);
    signal(SIGSEGV, SIG_DFL);  // a sanitizer may have had one
    if (signal(SIGSEGV, &PlainHandler) != SIG_DFL) return "signal told of another handler";
    Store(Committed(PAGE_READONLY));
    if (plain_signals != 1 || own_signals != 1) return "the handlers were not called once each";
    if (signal(SIGSEGV, SIG_DFL) == SIG_DFL) return "signal did not tell of the handler";
    errno = 0;
    if (signal(SIGSEGV, SIG_ERR) != SIG_ERR || errno != EINVAL) return "signal took SIG_ERR";
    return "";
  });
}

TEST_P(ExceptionProcess, HandlerThatIsResetWhenItIsCalled) {
  InStarted([](const std::string&) -> std::string {
    AddVectoredExceptionHandler(1, &Decline);
    struct sigaction action = {};
    action.sa_sigaction = &OwnHandler;
    action.sa_flags = SA_SIGINFO | static_cast<int>(SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, nullptr);
    Store(Committed(PAGE_READONLY));
    if (own_signals != 1) return "the handler was not called";
    struct sigaction shown = {};
    sigaction(SIGSEGV, nullptr, &shown);
    return shown.sa_handler == SIG_DFL ? "" : "the handler is still there";
  });
}

std::string KilledBy(int signal) { return "killed by signal " + std::to_string(signal); }

TEST_P(ExceptionProcess, GuardPageWithoutAHandlerEndsTheProcess) {
  InStarted(
      [](const std::string&) -> std::string {
        signal(SIGSEGV, SIG_DFL);
        Store(Committed(PAGE_READWRITE | PAGE_GUARD));
        return "the store went through";
      },
      KilledBy(SIGSEGV));
}

TEST_P(ExceptionProcess, ViolationThatNobodyTakesEndsTheProcess) {
  InStarted(
      [](const std::string&) -> std::string {
        signal(SIGSEGV, SIG_IGN);
        AddVectoredExceptionHandler(1, &Decline);
        raise(SIGSEGV);
        Store(Committed(PAGE_READONLY));
        return "the store went through";
      },
      KilledBy(SIGSEGV));
}

TEST_P(ExceptionProcess, ForkedChildHasTheProgramsHandlerAlone) {
  InStarted([](const std::string&) -> std::string {
    AddVectoredExceptionHandler(1, &Decline);
    SetOwnHandler();
    return InChild([]() -> std::string {
      auto* page = static_cast<unsigned char*>(
          mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      Store(page);
      if (own_signals != 1 || vectored_calls != 0) return "the signal went elsewhere";
      if (AddVectoredExceptionHandler(1, &Decline) != nullptr) return "a handler was added";
      if (GetLastError() != ERROR_NOT_SUPPORTED) return "another error";
      signal(SIGSEGV, SIG_DFL);
      return "";
    });
  });
}

// ---- A page file that is damaged behind the pager's back. ----

constexpr size_t kPages = 64;
EXCEPTION_RECORD lost_record;
volatile sig_atomic_t lost_count = 0;

// Gives the page new content: it is made anew, and the access is repeated.
LONG MakeAnew(PEXCEPTION_POINTERS pointers) {
  lost_record = *pointers->ExceptionRecord;
  lost_count = lost_count + 1;
  auto* address = reinterpret_cast<void*>(lost_record.ExceptionInformation[1]);
  return VirtualFree(address, 1, MEM_DECOMMIT) &&
                 VirtualAlloc(address, 1, MEM_COMMIT, PAGE_READWRITE) != nullptr
             ? EXCEPTION_CONTINUE_EXECUTION
             : EXCEPTION_CONTINUE_SEARCH;
}

// Waits until the pager has written all that it is going to: a write that ends later would mend
// what is damaged, or make a file long again that was cut.
bool AwaitEndOfWrites() {
  uint64_t written_before = 0;
  int quiet_looks = 0;
  for (int look = 0; look < 4'000 && quiet_looks < 40; ++look) {
    userpager_stats stats = {};
    stats.struct_bytes = sizeof stats;
    if (userpager_get_stats(&stats) != 0) return false;
    // The one is counted when a write begins, the other when it has ended.
    const bool quiet = stats.pages_out * kPage == stats.file_write_bytes &&
                       stats.file_write_bytes == written_before;
    quiet_looks = quiet ? quiet_looks + 1 : 0;
    written_before = stats.file_write_bytes;
    usleep(5'000);
  }
  return quiet_looks == 40;
}

// Pages of random words that are out of memory; nullptr where they are not.
unsigned char* PagedOut() {
  unsigned char* base = Committed(PAGE_READWRITE, kPages * kPage);
  if (base == nullptr) return nullptr;
  for (size_t at = 0; at < kPages * kPage; ++at) base[at] = static_cast<unsigned char>(at * 7 + 1);
  unsigned char* ballast = Committed(PAGE_READWRITE, 12 * kMiB);
  if (ballast == nullptr) return nullptr;
  memset(ballast, 9, 12 * kMiB);
  if (!AwaitEndOfWrites()) return nullptr;
  // Free memory, so that the pager has no reason to write again.
  VirtualFree(ballast, 0, MEM_RELEASE);
  return base;
}

// Bytes of every slot become others, for as far as the file goes.
bool Garble(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) return false;
  bool written = true;
  for (off_t at = kPage; at < status.st_size; at += kPage) {
    written = written && pwrite(file, "damaged", 7, at + 100) == 7;
  }
  // EIO says that the pager's direct writes, some still under way, met these in the page cache.
  written = (fsync(file) == 0 || errno == EIO) && written;
  close(file);
  return written;
}

std::string TouchLost(unsigned char* base, DWORD status) {
  AddVectoredExceptionHandler(0, &MakeAnew);
  Store(base + 5);
  if (lost_count != 1) return std::to_string(lost_count) + " exceptions";
  const ULONG_PTR* told = lost_record.ExceptionInformation;
  if (lost_record.ExceptionCode != EXCEPTION_IN_PAGE_ERROR) return "another exception";
  if (lost_record.NumberParameters != 3) return "another number of parameters";
  if (told[0] != EXCEPTION_WRITE_FAULT) return "another access";
  if (told[1] != reinterpret_cast<ULONG_PTR>(base + 5)) return "another address";
  if (told[2] != status) return "status " + std::to_string(told[2]);
  return base[5] == 1 && base[6] == 0 ? "" : "the page was not made anew";
}

TEST_P(ExceptionProcess, DamagedPageIsAnInPageError) {
  TempDirectory directory;
  const std::string path = directory / "page_file";
  WriteFile(path, "");
  InStarted(path, [](const std::string& file) -> std::string {
    unsigned char* base = PagedOut();
    if (base == nullptr || !Garble(file)) return "the page file could not be damaged";
    return TouchLost(base, STATUS_CRC_ERROR);
  });
}

TEST_P(ExceptionProcess, UnreadablePageIsAnInPageError) {
  TempDirectory directory;
  const std::string path = directory / "page_file";
  WriteFile(path, "");
  InStarted(path, [](const std::string& file) -> std::string {
    unsigned char* base = PagedOut();
    if (base == nullptr || truncate(file.c_str(), kPage) != 0) {
      return "the page file could not be damaged";
    }
    return TouchLost(base, STATUS_IO_DEVICE_ERROR);
  });
}

// Without a vectored handler it is SIGBUS, for the program's handler or the process's end.
TEST_P(ExceptionProcess, LostPageIsSigbusOtherwise) {
  TempDirectory directory;
  const std::string path = directory / "page_file";
  WriteFile(path, "");
  InStarted(
      path,
      [](const std::string& file) -> std::string {
        AddVectoredExceptionHandler(0, &Decline);
        unsigned char* base = PagedOut();
        if (base == nullptr || !Garble(file)) return "the page file could not be damaged";
        signal(SIGBUS, SIG_DFL);
        Store(base + 5);
        return "the store went through";
      },
      KilledBy(SIGBUS));
}

// SIGBUS of a mapped file is the program's.
TEST_P(ExceptionProcess, SigbusOfOrdinaryMemoryIsTheProgramsOwn) {
  TempDirectory directory;
  const std::string path = directory / "short";
  WriteFile(path, "");
  const std::string problem = InChild([&]() -> std::string {
    AddVectoredExceptionHandler(0, &Decline);
    static unsigned char* mapped = nullptr;
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    mapped = static_cast<unsigned char*>(
        mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    struct sigaction action = {};
    action.sa_sigaction = [](int, siginfo_t* info, void*) {
      own_signals = own_signals + 1;
      own_address = info->si_addr;
      mmap(mapped, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    };
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, nullptr);
    Store(mapped + 4);
    if (own_signals != 1 || own_address != mapped + 4) return "the handler was not called once";
    return vectored_calls == 0 ? "" : "it became an exception";
  });
  EXPECT_EQ(problem, "");
}

INSTANTIATE_TEST_SUITE_P(Roads, ExceptionProcess,
                         testing::Values(USERPAGER_MOVE_AUTO, USERPAGER_MOVE_OFF),
                         [](const auto& tested) {
                           return tested.param == USERPAGER_MOVE_AUTO ? "Move" : "InPlace";
                         });

}  // namespace
}  // namespace userpager
