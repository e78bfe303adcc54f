// How the pager starts, and how it refuses to: each case in a process of its own, as a process has
// one pager for good.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/captured_log.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

userpager_options SmallOptions() {
  userpager_options options;
  userpager_options_init(&options);
  options.memory_limit_bytes = 8 * kMiB;
  options.page_file_max_bytes = 64 * kMiB;
  return options;
}

// "" if `result` is `code` and the message contains all of `parts`, else what is wrong.
std::string Expect(int result, int code, const std::vector<std::string>& parts) {
  const std::string message = userpager_error_message();
  if (result != code) {
    return "result " + std::to_string(result) + " instead of " + std::to_string(code) + ": " +
           message;
  }
  if (message.find('\n') != std::string::npos) return "more than one line: " + message;
  for (const std::string& part : parts) {
    if (message.find(part) == std::string::npos) return "no \"" + part + "\" in: " + message;
  }
  return "";
}

unsigned char ByteOf(uint64_t page) { return static_cast<unsigned char>(page % 251 + 1); }

// Whether the pager works, used by way of the public functions alone.
std::string UsePager() {
  constexpr uint64_t kPages = 4096;
  auto* memory = static_cast<unsigned char*>(
      VirtualAlloc(nullptr, kPages * 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
  if (memory == nullptr) return "VirtualAlloc: " + std::to_string(GetLastError());
  for (uint64_t page = 0; page < kPages; ++page) memory[page * 4096] = ByteOf(page);
  for (uint64_t page = 0; page < kPages; ++page) {
    if (memory[page * 4096] != ByteOf(page)) return "a byte is wrong";
  }
  return VirtualFree(memory, 0, MEM_RELEASE) ? "" : "VirtualFree failed";
}

std::string StartAndUse(const userpager_options& options) {
  if (const int failed = userpager_start(&options); failed != 0) {
    return std::to_string(failed) + ": " + userpager_error_message();
  }
  return UsePager();
}

bool CanStart() {
  return InChild([] { return StartAndUse(SmallOptions()); }).empty();
}

class StartTest : public testing::Test {
 protected:
  void SetUp() override {
    static const bool can_start = CanStart();
    if (!can_start) GTEST_SKIP() << "the pager cannot run here; see the test ExplainsItself";
  }
};

TEST(StartWithoutRightsTest, ExplainsItself) {
  const std::string problem = InChild([] { return StartAndUse(SmallOptions()); });
  if (!problem.empty()) GTEST_SKIP() << "the pager cannot run here: " << problem;
}

constexpr const char* kHasTheRight =
    "ordinary users have the right to faults of kernel mode here: by the sysctl"
    " vm.unprivileged_userfaultfd or by /dev/userfaultfd";

// What userpager_hold brings in can be read from and written to by the kernel until it is released,
// while everything else leaves memory.
std::string HoldForSystemCalls(int file) {
  constexpr size_t kBytes = 8 * 4096;
  auto* buffer = static_cast<unsigned char*>(VirtualAlloc(nullptr, kBytes, MEM_COMMIT,
                                                          PAGE_READWRITE));
  if (buffer == nullptr) return "VirtualAlloc failed";
  std::fill_n(buffer, kBytes, static_cast<unsigned char>(7));
  if (std::string problem = UsePager(); !problem.empty()) return problem;
  if (userpager_hold(buffer, kBytes, USERPAGER_HOLD_FOR_READING) != 0) {
    return userpager_error_message();
  }
  if (std::string problem = UsePager(); !problem.empty()) return problem;
  if (write(file, buffer, kBytes) != static_cast<ssize_t>(kBytes)) return "it was not read from";
  if (userpager_release(buffer, kBytes) != 0) return userpager_error_message();
  if (userpager_hold(buffer, kBytes, USERPAGER_HOLD_FOR_WRITING) != 0) {
    return userpager_error_message();
  }
  const int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  if (read(zeros, buffer, kBytes) != static_cast<ssize_t>(kBytes)) return "it was not written to";
  close(zeros);
  if (userpager_release(buffer, kBytes) != 0) return userpager_error_message();
  return std::count(buffer, buffer + kBytes, 0) == static_cast<ptrdiff_t>(kBytes)
             ? ""
             : "not all was written";
}

// All that strict commit promises fits, beside what is encrypted into, which takes a part of memory
// that is large where the limit is.
TEST_F(StartTest, PromisesAreKeptWhereThePageFileIsEncrypted) {
  EXPECT_EQ(InChild([]() -> std::string {
    userpager_options options = SmallOptions();
    options.memory_limit_bytes = 160 * kMiB;
    options.page_file_max_bytes = 32 * kMiB;
    options.encrypt = USERPAGER_ENCRYPT_AES_XTS;
    if (userpager_start(&options) != 0) return userpager_error_message();
    userpager_stats stats;
    stats.struct_bytes = sizeof stats;
    if (userpager_get_stats(&stats) != 0) return userpager_error_message();
    const size_t pages = (stats.commit_limit_bytes - stats.commit_bytes) / 65536 * 16;
    auto* memory = static_cast<unsigned char*>(
        VirtualAlloc(nullptr, pages * 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    if (memory == nullptr) return "VirtualAlloc: " + std::to_string(GetLastError());
    for (size_t page = 0; page < pages; ++page) memory[page * 4096] = ByteOf(page);
    for (size_t page = 0; page < pages; ++page) {
      if (memory[page * 4096] != ByteOf(page)) return "a byte is wrong";
    }
    if (VirtualAlloc(nullptr, size_t{1} << 20, MEM_COMMIT, PAGE_READWRITE) != nullptr) {
      return "more is promised than it said";
    }
    if (userpager_get_stats(&stats) != 0) return userpager_error_message();
    return stats.resident_bytes_peak <= options.memory_limit_bytes ? "" : "the limit was passed";
  }), "");
}

// Without the right to faults of kernel mode the program's own accesses work, system calls on pages
// that are out fail, and both the log and the statistics say so.
TEST_F(StartTest, OrdinaryUserIsToldWhatSystemCallsCannotDo) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user for this test";
  const std::string outcome = InChild([]() -> std::string {
    constexpr uid_t kNobody = 65534;
    if (setresgid(kNobody, kNobody, kNobody) != 0 || setresuid(kNobody, kNobody, kNobody) != 0) {
      return "could not become an ordinary user";
    }
    int log[2];
    if (pipe2(log, O_NONBLOCK) != 0 || dup2(log[1], STDERR_FILENO) < 0) return "no pipe";
    if (std::string problem = StartAndUse(SmallOptions()); !problem.empty()) return problem;
    userpager_stats stats;
    stats.struct_bytes = sizeof stats;
    if (userpager_get_stats(&stats) != 0) return userpager_error_message();
    char text[4096] = {};
    const bool told = read(log[0], text, sizeof text - 1) > 0 &&
                      std::strstr(text, "will fail with EFAULT") != nullptr;
    if (stats.kernel_mode_faults != 0) return told ? "a line without a reason" : kHasTheRight;
    if (!told) return "nothing was said";
    // A page that was never touched is out.
    void* page = VirtualAlloc(nullptr, 4096, MEM_COMMIT, PAGE_READWRITE);
    if (page == nullptr) return "VirtualAlloc failed";
    if (write(log[1], page, 1) != -1 || errno != EFAULT) return "a system call was not refused";
    if (*static_cast<char*>(page) != 0 || write(log[1], page, 1) != 1) return "the page is wrong";
    return HoldForSystemCalls(log[1]);
  });
  if (outcome == kHasTheRight) GTEST_SKIP() << outcome;
  EXPECT_EQ(outcome, "");
}

TEST_F(StartTest, EveryEngineAndRoad) {
  for (const userpager_io_engine io : {USERPAGER_IO_URING, USERPAGER_IO_THREADS}) {
    for (const userpager_move_mode move : {USERPAGER_MOVE_AUTO, USERPAGER_MOVE_OFF}) {
      for (const uint32_t shards : {1u, 3u}) {
        EXPECT_EQ(InChild([=]() -> std::string {
          userpager_options options = SmallOptions();
          options.io = io;
          options.move = move;
          options.shards = shards;
          if (std::string problem = StartAndUse(options); !problem.empty()) return problem;
          userpager_stats stats;
          stats.struct_bytes = sizeof stats;
          if (userpager_get_stats(&stats) != 0) return userpager_error_message();
          const bool told = stats.io == io && stats.shards == shards &&
                            (move == USERPAGER_MOVE_AUTO || stats.uses_move == 0);
          return told ? "" : "the statistics tell of other options";
        }), "") << io << " " << move << " " << shards;
      }
    }
  }
}

TEST_F(StartTest, FirstCallStartsFromTheEnvironment) {
  EXPECT_EQ(InChild([]() -> std::string {
    setenv("USERPAGER_CONF", "memory:8M,page_file_max:64M", 1);
    if (std::string problem = UsePager(); !problem.empty()) return problem;
    userpager_stats stats;
    stats.struct_bytes = sizeof stats;
    if (userpager_get_stats(&stats) != 0) return userpager_error_message();
    if (stats.memory_limit_bytes != 8 * kMiB) return "another memory limit";
    return Expect(userpager_start(nullptr), USERPAGER_ERROR_ALREADY_STARTED, {"started before"});
  }), "");
}

TEST_F(StartTest, ManyFirstCallsAtOnce) {
  EXPECT_EQ(InChild([]() -> std::string {
    setenv("USERPAGER_CONF", "memory:8M,page_file_max:64M", 1);
    std::vector<std::thread> threads;
    std::string problems[8];
    for (std::string& problem : problems) {
      threads.emplace_back([&problem] {
        void* page = VirtualAlloc(nullptr, 4096, MEM_COMMIT, PAGE_READWRITE);
        if (page == nullptr || !VirtualFree(page, 0, MEM_RELEASE)) problem = "failed";
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& problem : problems) {
      if (!problem.empty()) return problem + ": " + userpager_error_message();
    }
    return "";
  }), "");
}

// A pipe in place of standard error; Text() is what was written to it.
class CapturedErrors {
 public:
  CapturedErrors() {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) != 0) abort();
    read_end_ = ends[0];
    dup2(ends[1], STDERR_FILENO);
  }
  std::string Text() {
    char buffer[4096];
    const ssize_t got = read(read_end_, buffer, sizeof buffer);
    return got <= 0 ? "" : std::string(buffer, static_cast<size_t>(got));
  }

 private:
  int read_end_;
};

TEST_F(StartTest, FailingFirstCallSaysSoOnce) {
  EXPECT_EQ(InChild([]() -> std::string {
    CapturedErrors errors;
    setenv("USERPAGER_CONF", "memory:banana", 1);
    for (int i = 0; i < 3; ++i) {
      SetLastError(0);
      if (VirtualAlloc(nullptr, 4096, MEM_COMMIT, PAGE_READWRITE) != nullptr) return "it worked";
      if (GetLastError() != ERROR_NO_SYSTEM_RESOURCES) return "error of VirtualAlloc";
    }
    const std::string said = errors.Text();
    if (said.find("USERPAGER_CONF: option \"memory\": \"banana\"") == said.npos) return said;
    if (said.find('\n') != said.size() - 1) return "not one line: " + said;
    if (std::string wrong = Expect(0, 0, {"banana"}); !wrong.empty()) return wrong;
    // An explicit start may still put it right.
    return StartAndUse(SmallOptions());
  }), "");
}

TEST_F(StartTest, BadEnvironmentIsNamed) {
  EXPECT_EQ(InChild([] {
    setenv("USERPAGER_CONF", "memory:1G,colour:red", 1);
    return Expect(userpager_start(nullptr), USERPAGER_ERROR_INVALID_OPTION,
                  {"USERPAGER_CONF", "\"colour\""});
  }), "");
}

TEST_F(StartTest, BadOptionsAreNamed) {
  EXPECT_EQ(InChild([] {
    userpager_options options = SmallOptions();
    options.struct_bytes = 12;
    return Expect(userpager_start(&options), USERPAGER_ERROR_INVALID_OPTION, {"struct_bytes"});
  }), "");
  EXPECT_EQ(InChild([] {
    userpager_options options = SmallOptions();
    options.shards = 65;
    return Expect(userpager_start(&options), USERPAGER_ERROR_INVALID_OPTION, {"shards"});
  }), "");
}

TEST_F(StartTest, ParseExplainsItself) {
  userpager_options options = SmallOptions();
  EXPECT_EQ(Expect(userpager_options_parse(&options, "io:fast"), USERPAGER_ERROR_INVALID_OPTION,
                   {"\"io\"", "\"fast\"", "auto, uring or threads"}), "");
  EXPECT_EQ(userpager_options_parse(&options, "memory:1%,io:threads"), 0);
  EXPECT_GT(options.memory_limit_bytes, 0u);
  EXPECT_EQ(options.io, USERPAGER_IO_THREADS);
}

TEST_F(StartTest, LimitBelowTheSmallestOrAboveTheMachine) {
  EXPECT_EQ(InChild([] {
    userpager_options options = SmallOptions();
    options.memory_limit_bytes = 4096;
    return Expect(userpager_start(&options), USERPAGER_ERROR_MEMORY_LIMIT, {"4096", "memory"});
  }), "");
  EXPECT_EQ(InChild([] {
    userpager_options options = SmallOptions();
    options.memory_limit_bytes = uint64_t{1} << 60;
    return Expect(userpager_start(&options), USERPAGER_ERROR_MEMORY_LIMIT, {"memory"});
  }), "");
}

TEST_F(StartTest, PageFileThatCannotBe) {
  const TempDirectory directory;
  const std::string missing = directory / "no/such/place";
  EXPECT_EQ(InChild([&] {
    userpager_options options = SmallOptions();
    strcpy(options.page_file, missing.c_str());
    return Expect(userpager_start(&options), USERPAGER_ERROR_PAGE_FILE, {missing, "page_file"});
  }), "");
  WriteFile(directory / "letters", std::string(10'000, 'x'));
  EXPECT_EQ(InChild([&] {
    userpager_options options = SmallOptions();
    strcpy(options.page_file, (directory / "letters").c_str());
    return Expect(userpager_start(&options), USERPAGER_ERROR_PAGE_FILE, {"letters"});
  }), "");
  EXPECT_EQ(ContentOf(directory / "letters"), std::string(10'000, 'x'));
}

// A mistyped directory would otherwise become a file that fills the disk.
TEST_F(StartTest, MissingPageFileIsRefusedAndNotMade) {
  const TempDirectory directory;
  const std::string path = directory / "pages";
  EXPECT_EQ(InChild([&]() -> std::string {
    userpager_options options = SmallOptions();
    strcpy(options.page_file, path.c_str());
    std::string wrong = Expect(userpager_start(&options), USERPAGER_ERROR_PAGE_FILE,
                               {path, "does not exist", "empty file", "page_file"});
    if (!wrong.empty()) return wrong;
    if (directory.entries() != 0) return "something was made";
    // What the line advises works, in the same process.
    WriteFile(path, "");
    return StartAndUse(options);
  }), "");
}

TEST_F(StartTest, PageFileInUse) {
  const TempDirectory directory;
  const std::string path = directory / "pages";
  const int holder = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(holder, 0);
  ASSERT_EQ(flock(holder, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(InChild([&] {
    userpager_options options = SmallOptions();
    strcpy(options.page_file, path.c_str());
    return Expect(userpager_start(&options), USERPAGER_ERROR_PAGE_FILE_IN_USE, {path, "in use"});
  }), "");
  close(holder);
  EXPECT_EQ(InChild([&] {
    userpager_options options = SmallOptions();
    strcpy(options.page_file, path.c_str());
    return StartAndUse(options);
  }), "") << "free again";
}

TEST_F(StartTest, NoRoomForThePageFile) {
  EXPECT_EQ(InChild([] {
    RefuseSystemCall(SYS_fallocate, ENOSPC);
    const userpager_options options = SmallOptions();
    return Expect(userpager_start(&options), USERPAGER_ERROR_NO_SPACE, {"/var/tmp", "page_file"});
  }), "");
}

TEST_F(StartTest, NoUserfaultfd) {
  EXPECT_EQ(InChild([] {
    RefuseSystemCall(SYS_userfaultfd, EPERM);
    if (setuid(65534) != 0 && geteuid() == 0) return std::string("setuid failed");
    const userpager_options options = SmallOptions();
    return Expect(userpager_start(&options), USERPAGER_ERROR_NO_USERFAULTFD, {"userfaultfd"});
  }), "");
}

// By default threads take over, with every byte in its place, and a line and the statistics say so.
TEST_F(StartTest, IoUringForbidden) {
  EXPECT_EQ(InChild([]() -> std::string {
    RefuseSystemCall(SYS_io_uring_setup, EPERM);
    const CapturedLog log;
    if (std::string problem = StartAndUse(SmallOptions()); !problem.empty()) return problem;
    userpager_stats stats;
    stats.struct_bytes = sizeof stats;
    if (userpager_get_stats(&stats) != 0) return userpager_error_message();
    if (stats.io != USERPAGER_IO_THREADS) return "the statistics tell of another engine";
    if (stats.pages_in == 0 || stats.pages_out == 0) return "nothing was paged";
    const std::string told = log.Text();
    for (const char* part : {"threads", "io_uring", "EPERM", "io:threads"}) {
      if (told.find(part) == std::string::npos) return "not told: " + std::string(part);
    }
    return told.find('\n') == told.size() - 1 ? "" : "more than one line: " + told;
  }), "");
}

// Nothing is told where nothing is wrong.
TEST_F(StartTest, IoUringByDefault) {
  EXPECT_EQ(InChild([]() -> std::string {
    const CapturedLog log;
    if (std::string problem = StartAndUse(SmallOptions()); !problem.empty()) return problem;
    userpager_stats stats;
    stats.struct_bytes = sizeof stats;
    if (userpager_get_stats(&stats) != 0) return userpager_error_message();
    if (stats.io != USERPAGER_IO_URING) return "the statistics tell of another engine";
    return log.Text();
  }), "");
}

// Where it was asked for by name, a start without it fails.
TEST_F(StartTest, NoIoUring) {
  EXPECT_EQ(InChild([]() -> std::string {
    RefuseSystemCall(SYS_io_uring_setup, EPERM);
    userpager_options options = SmallOptions();
    options.io = USERPAGER_IO_URING;
    if (std::string wrong = Expect(userpager_start(&options), USERPAGER_ERROR_NO_IO_URING,
                                   {"io_uring", "EPERM", "io:threads"});
        !wrong.empty()) {
      return wrong;
    }
    // What the line advises works, in the same process.
    options.io = USERPAGER_IO_THREADS;
    return StartAndUse(options);
  }), "");
}

TEST_F(StartTest, NothingIsLeftOfAFailedStart) {
  const TempDirectory directory;
  const std::string file = directory / "pages";
  WriteFile(file, "");
  for (const std::string& place : {directory.path(), file}) {
    EXPECT_EQ(InChild([&] {
      RefuseSystemCall(SYS_fallocate, ENOSPC);
      userpager_options options = SmallOptions();
      strcpy(options.page_file, place.c_str());
      return Expect(userpager_start(&options), USERPAGER_ERROR_NO_SPACE, {place});
    }), "");
    EXPECT_EQ(directory.entries(), 1u) << "only the file that was there is left";
    EXPECT_EQ(ContentOf(file), "");
  }
}

TEST_F(StartTest, WhatNeedsAStartSaysSo) {
  EXPECT_EQ(InChild([]() -> std::string {
    userpager_stats stats;
    stats.struct_bytes = sizeof stats;
    std::string wrong = Expect(userpager_get_stats(&stats), USERPAGER_ERROR_NOT_STARTED,
                               {"userpager_start()"});
    if (!wrong.empty()) return wrong;
    return Expect(userpager_set_memory_limit(8 * kMiB), USERPAGER_ERROR_NOT_STARTED,
                  {"userpager_start()"});
  }), "");
}

TEST_F(StartTest, LazyCommitCountsAndNeverRefuses) {
  EXPECT_EQ(InChild([]() -> std::string {
    userpager_options options = SmallOptions();
    options.commit = USERPAGER_COMMIT_LAZY;
    if (std::string problem = StartAndUse(options); !problem.empty()) return problem;
    constexpr uint64_t kHuge = uint64_t{1} << 36;
    void* huge = VirtualAlloc(nullptr, kHuge, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (huge == nullptr) return "VirtualAlloc: " + std::to_string(GetLastError());
    userpager_stats stats;
    stats.struct_bytes = sizeof stats;
    if (userpager_get_stats(&stats) != 0) return userpager_error_message();
    if (stats.commit_bytes != kHuge) return "the commitment is not counted";
    if (std::string problem = UsePager(); !problem.empty()) return problem;
    return VirtualFree(huge, 0, MEM_RELEASE) ? "" : "VirtualFree failed";
  }), "");
}

// With strict commit this cannot happen: the promise would have been refused.
TEST_F(StartTest, LazyCommitEndsTheProcessWhereNothingIsLeft) {
  EXPECT_EQ(InChild([]() -> std::string {
    CapturedErrors errors;
    const std::string end = InChild([]() -> std::string {
      userpager_options options = SmallOptions();
      options.commit = USERPAGER_COMMIT_LAZY;
      options.page_file_max_bytes = 4 * kMiB;
      if (const int failed = userpager_start(&options); failed != 0) return "start failed";
      auto* memory = static_cast<uint64_t*>(
          VirtualAlloc(nullptr, 32 * kMiB, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
      for (uint64_t i = 0; i < 32 * kMiB / 8; ++i) memory[i] = i + 1;
      return "32 MiB fitted into 12";
    });
    if (end.find("32 MiB") != end.npos || end.empty()) return "it went on: " + end;
    const std::string said = errors.Text();
    return said.find("userpager: ") == said.npos ? "nothing was said: " + end : "";
  }), "");
}

TEST_F(StartTest, ForkedChildHasNoPager) {
  EXPECT_EQ(InChild([]() -> std::string {
    if (std::string problem = StartAndUse(SmallOptions()); !problem.empty()) return problem;
    void* page = VirtualAlloc(nullptr, 4096, MEM_COMMIT, PAGE_READWRITE);
    const std::string in_child = InChild([=]() -> std::string {
      CapturedErrors errors;
      for (int i = 0; i < 2; ++i) {
        if (VirtualAlloc(nullptr, 4096, MEM_COMMIT, PAGE_READWRITE) != nullptr) return "worked";
        if (GetLastError() != ERROR_NOT_SUPPORTED) return "error of VirtualAlloc";
        if (VirtualFree(page, 0, MEM_RELEASE)) return "VirtualFree worked";
      }
      const std::string said = errors.Text();
      if (said.find("forked child") == said.npos) return "said: " + said;
      if (said.find('\n') != said.size() - 1) return "not one line: " + said;
      return Expect(userpager_start(nullptr), USERPAGER_ERROR_AFTER_FORK, {"forked child"});
    });
    if (!in_child.empty()) return in_child;
    return VirtualFree(page, 0, MEM_RELEASE) ? UsePager() : "the parent lost its pager";
  }), "");
}

}  // namespace
}  // namespace userpager
