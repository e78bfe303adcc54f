// Forked children that page on their own: each test runs this program once more under the preload
// library, and there the disabled test of the same name.
#include <dlfcn.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "include/userpager/userpager.h"
#include "tests/programs/forked_child.h"
#include "tests/programs/known_words.h"
#include "tests/programs/program_run.h"
#include "tests/support/eventually.h"

namespace userpager::programs {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kMemoryMiB = 4;
constexpr size_t kStormMiB = 2;
constexpr size_t kWords = 3 * kMiB / 2;  // 12 MiB of them
// Beside the limit: what the C library and the runtime take for themselves.
constexpr size_t kUnmanagedBytes = 5 * kMiB;

ProgramRun RunManaged(const std::string& name, const std::string& configuration = {},
                      const std::vector<std::string>& environment = {},
                      size_t memory_mib = kMemoryMiB) {
  return RunManagedChildren(name, std::to_string(memory_mib) + "M", configuration, environment);
}

TEST(ForkedChildren, Storm) { ExpectSilent(RunManaged("Storm", {}, {}, kStormMiB)); }
TEST(ForkedChildren, HaveTheirOwnLimit) { ExpectSilent(RunManaged("HaveTheirOwnLimit")); }
TEST(ForkedChildren, HaveTheirOwnLimitEncrypted) {
  ExpectSilent(RunManaged("HaveTheirOwnLimit", "encrypt:aes-xts"));
}
TEST(ForkedChildren, HaveTheirOwnLimitWithoutMove) {
  ExpectSilent(RunManaged("HaveTheirOwnLimit", "move:off"));
}
TEST(ForkedChildren, HaveTheirOwnLimitOnSeveralShards) {
  ExpectSilent(RunManaged("HaveTheirOwnLimit", "shards:3,io:threads"));
}
TEST(ForkedChildren, HaveTheirOwnLimitWhereCommitIsStrict) {
  ExpectSilent(RunManaged("HaveTheirOwnLimit", "commit:strict"));
}
TEST(ForkedChildren, HaveTheirOwnLimitWhereDiskSpaceIsGivenBack) {
  ExpectSilent(RunManaged("HaveTheirOwnLimit", "discard:on"));
}
TEST(ForkedChildren, HaveNoLocks) { ExpectSilent(RunManaged("HaveNoLocks")); }
TEST(ForkedChildren, HaveStatistics) { ExpectSilent(RunManaged("HaveStatistics")); }
TEST(ForkedChildren, MayBeThreadedAndFork) { ExpectSilent(RunManaged("MayBeThreadedAndFork")); }
TEST(ForkedChildren, HavePlainMemoryWhereAsked) {
  ExpectSilent(RunManaged("HavePlainMemoryWhereAsked", {}, {"USERPAGER_CHILDREN=none"}));
}
TEST(ForkedChildren, AreRefusedWhereTheyCouldNotPage) {
  const ProgramRun run = RunManaged("AreRefusedWhereTheyCouldNotPage");
  ExpectRight(run);
  if (testing::Test::IsSkipped()) return;
  ExpectTold(run, "the program may not fork");
  EXPECT_NE(std::string::npos, run.complaints.find("a forked child has plain memory"))
      << run.complaints;
}

size_t ResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

userpager_stats Statistics() { return OwnStatistics().value(); }

[[noreturn]] void LiveInTheStorm(std::vector<uint64_t>& words, unsigned kind) {
  if (kind % 8 == 0) {
    execl("/bin/true", "true", nullptr);
    _exit(10);
  }
  if (!AreRight(words)) _exit(11);
  Change(words, ~uint64_t{0});
  if (kind % 5 == 0) {
    const pid_t child = fork();
    if (child == 0) {
      if (!AreRight(words, ~uint64_t{0})) _exit(12);
      Change(words, kind);
      _exit(AreRight(words, ~uint64_t{kind}) ? 0 : 13);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) _exit(14);
  }
  std::vector<char> more(kMiB, 'x');
  _exit(more[12345] == 'x' && AreRight(words, ~uint64_t{0}) ? 0 : 15);
}

// Three threads fault and allocate while this one forks.
TEST(Managed, DISABLED_Storm) {
  constexpr unsigned kForks = 200;
  constexpr unsigned kThreads = 3;
  const size_t before = ResidentBytes();
  std::vector<uint64_t> words(kWords / 4);
  Fill(words);
  FaultingThreads threads(kThreads, kWords / 8);
  std::mt19937 random(7);
  for (unsigned i = 0; i < kForks; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0) << errno;
    if (child == 0) LiveInTheStorm(words, i);
    if (i % 4 == 1) {
      usleep(static_cast<useconds_t>(random() % 20'000));
      kill(child, SIGKILL);
      ASSERT_EQ(child, waitpid(child, nullptr, 0));
    } else {
      ASSERT_TRUE(EndedWithin(child, before + kStormMiB * kMiB + kUnmanagedBytes)) << i;
    }
  }
  EXPECT_EQ(0u, threads.Stop());
  EXPECT_TRUE(AreRight(words));
  // Slots of two hundred children would be many times as much as the program has.
  EXPECT_TRUE(Eventually([&] {
    const userpager_stats stats = Statistics();
    return stats.page_file_used_bytes <= stats.commit_bytes;
  })) << Statistics().page_file_used_bytes;
  EXPECT_TRUE(AreRight(words));
}

TEST(Managed, DISABLED_HaveTheirOwnLimit) {
  const size_t before = ResidentBytes();
  const size_t most = before + kMemoryMiB * kMiB + kUnmanagedBytes;
  std::vector<uint64_t> words(kWords);
  Fill(words);
  const pid_t child = fork();
  if (child == 0) {
    bool right = AreRight(words);
    Change(words, 1);
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      right = right && AreRight(words, 1);
      Change(words, 2);
      _exit(right && AreRight(words, 3) ? 0 : 1);
    }
    right = right && EndedWithin(grandchild, most) && AreRight(words, 1);
    _exit(right ? 0 : 1);
  }
  Change(words, 4);
  EXPECT_TRUE(EndedWithin(child, most));
  EXPECT_TRUE(AreRight(words, 4));
}

TEST(Managed, DISABLED_HaveNoLocks) {
  auto* memory = static_cast<char*>(mmap(nullptr, 8 * kPage, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memory[0] = 'x';
  ASSERT_EQ(0, mlock(memory, 4 * kPage));
  ASSERT_EQ(-1, madvise(memory, kPage, MADV_DONTNEED));
  const pid_t child = fork();
  if (child == 0) {
    bool right = memory[0] == 'x' && madvise(memory, kPage, MADV_DONTNEED) == 0;
    right = right && memory[0] == 0 && mlock(memory, kPage) == 0;
    right = right && madvise(memory, kPage, MADV_DONTNEED) == -1 && errno == EINVAL;
    _exit(right ? 0 : 1);
  }
  EXPECT_TRUE(EndedWithin(child));
  EXPECT_EQ(-1, madvise(memory, kPage, MADV_DONTNEED)) << "the parent's lock ended";
}

TEST(Managed, DISABLED_HaveStatistics) {
  std::vector<uint64_t> words(kWords);
  Fill(words);
  int end[2];
  ASSERT_EQ(0, pipe(end));
  const pid_t child = fork();
  if (child == 0) {
    close(end[1]);
    // What the child has done itself.
    const userpager_stats first = Statistics();
    bool right = AreRight(words);
    const userpager_stats later = Statistics();
    right = right && first.hard_faults < 100 && later.hard_faults > first.hard_faults &&
            later.memory_limit_bytes == kMemoryMiB * kMiB &&
            later.resident_bytes <= later.memory_limit_bytes;
    char byte;
    exit(read(end[0], &byte, 1) == 0 && right ? 0 : 1);
  }
  close(end[0]);
  ASSERT_TRUE(Eventually([&] { return IsAnnounced(child); }));
  const std::string tool = std::string("LD_PRELOAD= ") + USERPAGER_TOOL;
  const std::string number = std::to_string(child);
  EXPECT_EQ(0, std::system((tool + " stat " + number + " > /dev/null").c_str()));
  EXPECT_EQ(0, std::system((tool + " limit " + number + " 6M > /dev/null").c_str()));
  EXPECT_EQ(kMemoryMiB * kMiB, Statistics().memory_limit_bytes) << "of the parent";
  EXPECT_EQ(0, std::system((tool + " limit " + number + " 4M > /dev/null").c_str()));
  close(end[1]);
  EXPECT_TRUE(EndedWithin(child));
  EXPECT_FALSE(IsAnnounced(child));
}

TEST(Managed, DISABLED_MayBeThreadedAndFork) {
  std::vector<uint64_t> words(kWords);
  Fill(words);
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<bool> right{true};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = t; i < words.size(); i += 4) {
          if (words[i] != WordOf(i)) right = false;
          words[i] ^= 1;
        }
      });
    }
    bool forks_right = true;
    for (unsigned i = 0; i < 5; ++i) {
      const pid_t grandchild = fork();
      if (grandchild == 0) {
        for (size_t k = 0; k < words.size(); ++k) {
          if ((words[k] | 1) != (WordOf(k) | 1)) _exit(1);
        }
        _exit(0);
      }
      forks_right = forks_right && EndedWithin(grandchild);
    }
    for (std::thread& thread : threads) thread.join();
    _exit(right && forks_right && AreRight(words, 1) ? 0 : 1);
  }
  EXPECT_TRUE(EndedWithin(child));
  EXPECT_TRUE(AreRight(words));
}

TEST(Managed, DISABLED_HavePlainMemoryWhereAsked) {
  const size_t before = ResidentBytes();
  std::vector<uint64_t> words(kWords);
  Fill(words);
  const pid_t child = fork();
  if (child == 0) {
    const bool right = AreRight(words) && ResidentBytes() > before + kWords * sizeof(uint64_t) / 2;
    Change(words, 1);
    _exit(right && AreRight(words, 1) ? 0 : 1);
  }
  Change(words, 4);
  EXPECT_TRUE(EndedWithin(child));
  EXPECT_TRUE(AreRight(words, 4));
}

// From now on the process gets no userfaultfd, by the call or from the device.
bool ForbidUserfaultfd() {
  constexpr uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;
  constexpr uint32_t kNewFromDevice = 0xaa00;  // USERFAULTFD_IOC_NEW
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNewFromDevice, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, kRefuse),
  };
  const sock_fprog program{sizeof filter / sizeof filter[0], filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

TEST(Managed, DISABLED_AreRefusedWhereTheyCouldNotPage) {
  std::vector<uint64_t> words(kWords);
  Fill(words);
  ASSERT_TRUE(ForbidUserfaultfd());
  for (unsigned i = 0; i < 2; ++i) {
    errno = 0;
    ASSERT_EQ(-1, fork());
    EXPECT_EQ(EPERM, errno);
  }
  EXPECT_TRUE(AreRight(words)) << "the process itself goes on";
  // One that the library does not see before its handlers: as the C library's own daemon().
  void* const library = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  const auto unseen = reinterpret_cast<pid_t (*)()>(dlsym(library, "fork"));
  ASSERT_NE(nullptr, unseen);
  const pid_t child = unseen();
  if (child == 0) {
    const bool right = AreRight(words);
    Change(words, 1);
    _exit(right && AreRight(words, 1) ? 0 : 1);
  }
  Change(words, 4);
  EXPECT_TRUE(EndedWithin(child));
  EXPECT_TRUE(AreRight(words, 4));
}

}  // namespace
}  // namespace userpager::programs
