// What a program of the tests' own sees with its memory managed: each test runs this program once
// more under the preload library, and there the disabled test of the same name.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/known_words.h"
#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

constexpr size_t kPage = 4096;
constexpr const char* kMemory = "4M";
constexpr size_t kWords = size_t{3} << 20;  // 24 MiB of them

void RunManaged(const std::string& name, const std::string& memory = kMemory) {
  const ProgramRun run = RunManagedTest(name, {.memory = memory});
  if (run.status == 126) GTEST_SKIP() << "the pager cannot run here: " << run.complaints;
  EXPECT_EQ(0, run.status) << run.output << run.complaints;
  EXPECT_NE(std::string::npos, run.output.find("[  PASSED  ] 1 test")) << run.output;
}

TEST(ManagedProcess, ForkStorm) { RunManaged("ForkStorm"); }
TEST(ManagedProcess, MallocsFamily) { RunManaged("MallocsFamily"); }
TEST(ManagedProcess, ThreadsOnStacksFromMalloc) { RunManaged("ThreadsOnStacksFromMalloc"); }
TEST(ManagedProcess, ForkOnAStackFromMalloc) { RunManaged("ForkOnAStackFromMalloc"); }
TEST(ManagedProcess, ForkedChildHasItsParentsMappings) {
  RunManaged("ForkedChildHasItsParentsMappings");
}
TEST(ManagedProcess, ChildrenHaveWhatTheyAreToHave) { RunManaged("ChildrenHaveWhatTheyAreToHave"); }
TEST(ManagedProcess, AllOfItLocked) { RunManaged("AllOfItLocked", "64M"); }
TEST(ManagedProcess, TooMuchToBeLocked) { RunManaged("TooMuchToBeLocked"); }

// In a child: reads everything, writes everything, forks once more.
[[noreturn]] void LiveAsChild(std::vector<uint64_t>& words, unsigned kind) {
  if (kind % 7 == 0) {
    execl("/bin/true", "true", nullptr);
    _exit(10);
  }
  if (!AreRight(words)) _exit(11);
  Change(words, ~uint64_t{0});
  if (kind % 5 == 0) {
    const pid_t child = fork();
    if (child == 0) _exit(words[words.size() / 2] == ~WordOf(words.size() / 2) ? 0 : 12);
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) _exit(13);
  }
  std::vector<char> more(1 << 20, 'x');
  _exit(more[12345] == 'x' && words[0] == ~WordOf(0) ? 0 : 14);
}

TEST(Managed, DISABLED_ForkStorm) {
  constexpr unsigned kForks = 30;
  constexpr unsigned kThreads = 3;
  std::vector<uint64_t> words(kWords / 2);
  Fill(words);
  FaultingThreads threads(kThreads, kWords / 8);
  std::mt19937 random(7);
  for (unsigned i = 0; i < kForks; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) LiveAsChild(words, i);
    const bool killed = i % 4 == 1;
    if (killed) {
      usleep(static_cast<useconds_t>(random() % 20'000));
      kill(child, SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    if (!killed) {
      EXPECT_EQ(0, status) << "child " << i;
    }
  }
  EXPECT_EQ(0u, threads.Stop());
  EXPECT_TRUE(AreRight(words));
}

TEST(Managed, DISABLED_MallocsFamily) {
  std::mt19937_64 random(3);
  struct Block {
    unsigned char* at;
    size_t bytes;
    unsigned char mark;
  };
  std::vector<Block> blocks;
  const auto check = [](const Block& block) {
    return block.bytes == 0 ||
           (block.at[0] == block.mark && block.at[block.bytes - 1] == block.mark);
  };
  for (unsigned i = 0; i < 6000; ++i) {
    const size_t bytes = 1 + random() % (i % 50 == 0 ? 300'000 : 6000);
    const auto mark = static_cast<unsigned char>(random());
    if (blocks.size() > 2500 || (random() % 4 == 0 && !blocks.empty())) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      ASSERT_TRUE(check(blocks.back()));
      std::free(blocks.back().at);
      blocks.pop_back();
      continue;
    }
    void* made = nullptr;
    size_t alignment = 1;
    switch (random() % 5) {
      case 0: made = std::malloc(bytes); break;
      case 1: made = std::calloc(1, bytes); break;
      case 2: made = std::realloc(std::malloc(10), bytes); break;
      case 3: made = std::aligned_alloc(alignment = 256, bytes); break;
      default: ASSERT_EQ(0, posix_memalign(&made, alignment = 16384, bytes));
    }
    ASSERT_NE(nullptr, made);
    ASSERT_EQ(0u, reinterpret_cast<uintptr_t>(made) % alignment);
    auto* at = static_cast<unsigned char*>(made);
    at[0] = at[bytes - 1] = mark;
    blocks.push_back({at, bytes, mark});
  }
  for (const Block& block : blocks) {
    ASSERT_TRUE(check(block));
    std::free(block.at);
  }
}

// The kernel writes to the top of a thread's stack when the thread exits, and nobody would bring it
// back then: it is locked, which MADV_DONTNEED tells.
TEST(Managed, DISABLED_ThreadsOnStacksFromMalloc) {
  constexpr size_t kStackBytes = 256 * 1024;
  auto* stack = static_cast<char*>(std::aligned_alloc(kPage, kStackBytes));
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(0, pthread_attr_setstack(&attributes, stack, kStackBytes));
  EXPECT_EQ(0, madvise(stack, kPage, MADV_DONTNEED));
  EXPECT_EQ(-1, madvise(stack + kStackBytes - kPage, kPage, MADV_DONTNEED));
  EXPECT_EQ(EINVAL, errno);
  pthread_t thread;
  ASSERT_EQ(0, pthread_create(&thread, &attributes, [](void*) -> void* {
              std::vector<char> memory(6 << 20, 'x');
              return reinterpret_cast<void*>(static_cast<uintptr_t>(memory[5 << 20]));
            }, nullptr));
  void* result = nullptr;
  EXPECT_EQ(0, pthread_join(thread, &result));
  EXPECT_EQ(uintptr_t{'x'}, reinterpret_cast<uintptr_t>(result));
  pthread_attr_destroy(&attributes);
}

int status_of_child = -1;

void ForkHere() {
  std::vector<char> memory(8 << 20, 'x');
  const pid_t child = fork();
  if (child == 0) _exit(memory[7 << 20] == 'x' ? 0 : 1);
  waitpid(child, &status_of_child, 0);
}

TEST(Managed, DISABLED_ForkOnAStackFromMalloc) {
  constexpr size_t kStackBytes = 256 * 1024;
  ucontext_t here;
  ucontext_t there;
  ASSERT_EQ(0, getcontext(&there));
  there.uc_stack.ss_sp = std::malloc(kStackBytes);
  there.uc_stack.ss_size = kStackBytes;
  there.uc_link = &here;
  makecontext(&there, ForkHere, 0);
  ASSERT_EQ(0, swapcontext(&here, &there));
  EXPECT_EQ(0, status_of_child);
  std::free(there.uc_stack.ss_sp);
}

TEST(Managed, DISABLED_ForkedChildHasItsParentsMappings) {
  constexpr size_t kPages = 2500;
  auto* memory = static_cast<char*>(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (size_t i = 0; i < kPages; ++i) memory[i * kPage] = static_cast<char>(i);
  ASSERT_EQ(0, mprotect(memory + 10 * kPage, kPage, PROT_READ));
  ASSERT_EQ(0, mprotect(memory + 20 * kPage, kPage, PROT_NONE));
  ASSERT_EQ(0, munmap(memory + 30 * kPage, kPage));
  const pid_t child = fork();
  if (child == 0) {
    // Each of the three in a process of its own: they end it.
    const auto dies = [&](size_t page, bool write) {
      const pid_t victim = fork();
      if (victim == 0) {
        volatile char* at = memory + page * kPage;
        if (write) *at = 1;
        _exit(*at);
      }
      int status = 0;
      waitpid(victim, &status, 0);
      return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
    };
    bool right = dies(10, true) && dies(20, false) && dies(30, false);
    right = right && mprotect(memory + 20 * kPage, kPage, PROT_READ | PROT_WRITE) == 0;
    for (size_t i = 0; i < kPages; ++i) {
      if (i != 30) right = right && memory[i * kPage] == static_cast<char>(i);
    }
    right = right && mremap(memory, 30 * kPage, 10 * kPage, 0) == memory;
    _exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
}

char* MapPages(size_t pages) {
  void* got = mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
  auto* memory = static_cast<char*>(got);
  for (size_t i = 0; i < pages; ++i) memory[i * kPage] = static_cast<char>('a' + i);
  return memory;
}

// Whether the process that forks now, or its child, has such a page.
bool IsMapped(char* page) {
  unsigned char there = 0;
  return mincore(page, kPage, &there) == 0;
}

// Forks; the child says whether it is right, and so does a child of its own.
bool IsRightInChildren(bool (*is_right)(char*), char* memory) {
  const pid_t child = fork();
  if (child == 0) {
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(is_right(memory) ? 0 : 1);
    int status = 1;
    waitpid(grandchild, &status, 0);
    _exit(is_right(memory) && status == 0 ? 0 : 1);
  }
  int status = 1;
  return waitpid(child, &status, 0) == child && status == 0;
}

TEST(Managed, DISABLED_ChildrenHaveWhatTheyAreToHave) {
  char* memory = MapPages(10);
  ASSERT_EQ(0, madvise(memory + kPage, 2 * kPage, MADV_DONTFORK));
  ASSERT_EQ(0, madvise(memory + 4 * kPage, 2 * kPage, MADV_WIPEONFORK));
  ASSERT_EQ(0, madvise(memory + 2 * kPage, kPage, MADV_DOFORK));
  ASSERT_EQ(0, madvise(memory + 5 * kPage, kPage, MADV_KEEPONFORK));
  // Both in memory and not.
  ASSERT_EQ(0, madvise(memory + 4 * kPage, kPage, MADV_PAGEOUT));
  EXPECT_TRUE(IsRightInChildren([](char* pages) {
    bool right = !IsMapped(pages + kPage) && pages[0] == 'a';
    for (size_t i = 2; i < 10; ++i) {
      right = right && pages[i * kPage] == (i == 4 ? 0 : 'a' + static_cast<char>(i));
    }
    pages[0] = 'x';
    return right && pages[4 * kPage + 100] == 0;
  }, memory));
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ('a' + static_cast<char>(i), memory[i * kPage]);
  // They go with a mapping that moves, and with one that grows, and end with it.
  auto* moved = static_cast<char*>(mremap(memory + 4 * kPage, kPage, 3 * kPage, MREMAP_MAYMOVE));
  ASSERT_NE(MAP_FAILED, static_cast<void*>(moved));
  moved[2 * kPage] = 'z';
  EXPECT_TRUE(IsRightInChildren(
      [](char* pages) { return pages[0] == 0 && pages[2 * kPage] == 0; }, moved));
  EXPECT_EQ('e', moved[0]);
  EXPECT_EQ('z', moved[2 * kPage]);
  ASSERT_EQ(moved, mmap(moved, 3 * kPage, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  moved[0] = 'n';
  EXPECT_TRUE(IsRightInChildren([](char* pages) { return pages[0] == 'n'; }, moved));
}

bool IsInMemory(char* page) {
  unsigned char there = 0;
  return mincore(page, kPage, &there) == 0 && (there & 1) != 0;
}

TEST(Managed, DISABLED_AllOfItLocked) {
  char* memory = MapPages(10);
  EXPECT_EQ(-1, mlockall(0));
  EXPECT_EQ(EINVAL, errno);
  EXPECT_EQ(-1, mlockall(MCL_ONFAULT));
  EXPECT_EQ(EINVAL, errno);
  ASSERT_EQ(0, mlockall(MCL_CURRENT)) << errno;
  EXPECT_EQ(-1, madvise(memory, kPage, MADV_DONTNEED));
  EXPECT_EQ(EINVAL, errno);
  char* later = MapPages(1);
  EXPECT_EQ(0, madvise(later, kPage, MADV_DONTNEED)) << "nothing was asked for the future";
  ASSERT_EQ(0, munlockall());
  EXPECT_EQ(0, madvise(memory, kPage, MADV_DONTNEED));
  ASSERT_EQ(0, mlockall(MCL_FUTURE));
  void* next = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(MAP_FAILED, next);
  EXPECT_TRUE(IsInMemory(static_cast<char*>(next)));
  EXPECT_EQ(-1, madvise(next, kPage, MADV_DONTNEED));
  EXPECT_EQ(MAP_FAILED, mmap(nullptr, size_t{100} << 20, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  EXPECT_EQ(EAGAIN, errno);
  ASSERT_EQ(0, munlockall());
  EXPECT_EQ(0, madvise(next, kPage, MADV_DONTNEED));
}

TEST(Managed, DISABLED_TooMuchToBeLocked) {
  char* memory = MapPages(2500);
  EXPECT_EQ(-1, mlockall(MCL_CURRENT));
  EXPECT_EQ(ENOMEM, errno);
  EXPECT_EQ(0, madvise(memory, kPage, MADV_DONTNEED)) << "nothing was locked";
}

}  // namespace
}  // namespace userpager::programs
