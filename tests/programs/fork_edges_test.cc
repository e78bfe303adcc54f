// Forks by other roads than fork, and forks for which something lacks: each test runs this program
// once more under the preload library, and there the disabled test of the same name.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "tests/programs/forked_child.h"
#include "tests/programs/known_words.h"
#include "tests/support/eventually.h"

namespace userpager::programs {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kWords = kMiB;  // 8 MiB of them
constexpr const char* kMemory = "4M";
constexpr size_t kStackBytes = 256 * 1024;

TEST(ForkEdges, Clone) { ExpectRight(RunManagedChildren("Clone", kMemory)); }
TEST(ForkEdges, ForkWithoutHandlers) {
  ExpectRight(RunManagedChildren("ForkWithoutHandlers", kMemory));
}
TEST(ForkEdges, ForkInsideTheCLibrary) {
  ExpectSilent(RunManagedChildren("ForkInsideTheCLibrary", kMemory));
}
TEST(ForkEdges, SystemCallThatIsNotSeen) {
  ExpectSilent(RunManagedChildren("SystemCallThatIsNotSeen", kMemory));
}
TEST(ForkEdges, MiddleOneEndsFirst) {
  ExpectSilent(RunManagedChildren("MiddleOneEndsFirst", kMemory));
}
TEST(ForkEdges, FilesOfStatisticsGoWithTheirChildren) {
  ExpectSilent(RunManagedChildren("FilesOfStatisticsGoWithTheirChildren", kMemory));
}
TEST(ForkEdges, NoDescriptors) {
  const ProgramRun run = RunManagedChildren("NoDescriptors", kMemory);
  ExpectRight(run);
  if (testing::Test::IsSkipped()) return;
  ExpectTold(run, "the program may not fork");
}
TEST(ForkEdges, FewDescriptors) {
  const ProgramRun run = RunManagedChildren("FewDescriptors", kMemory);
  ExpectRight(run);
  if (testing::Test::IsSkipped()) return;
  ExpectTold(run, "the program may not fork");
  EXPECT_NE(std::string::npos, run.complaints.find("a forked child has plain memory"))
      << run.complaints;
}
TEST(ForkEdges, StrictPromises) {
  const ProgramRun run =
      RunManagedChildren("StrictPromises", "8M", "commit:strict,page_file_max:32M");
  ExpectRight(run);
  if (testing::Test::IsSkipped()) return;
  ExpectTold(run, "the program may not fork");
}

// What a child says by its exit status.
enum Ends : int { kPlain = 0, kPaged = 1, kWrong = 2 };

size_t CountOf(const char* folder) {
  const std::filesystem::directory_iterator all(folder);
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

// In a child: whether all is as its parent had it and is its own, and what memory it has.
int LookAtAll(std::vector<uint64_t>& words) {
  if (!AreRight(words)) return kWrong;
  Change(words, 1);
  std::vector<char> more(kMiB, 'x');
  if (more[12345] != 'x' || !AreRight(words, 1)) return kWrong;
  // The pager's are beside its own. Without them every function fails, and says so.
  const bool is_paged = CountOf("/proc/self/task") > 1;
  if (OwnStatistics().has_value() != is_paged) return kWrong;
  return is_paged ? kPaged : kPlain;
}

// The exit status of a child, or -1.
int StatusOf(pid_t child) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

int LookFromClone(void* words) { return LookAtAll(*static_cast<std::vector<uint64_t>*>(words)); }

TEST(Managed, DISABLED_Clone) {
  std::vector<uint64_t> words(kWords);
  Fill(words);
  void* const plain = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  for (void* stack : {std::malloc(kStackBytes), plain}) {
    const int child = clone(&LookFromClone, static_cast<char*>(stack) + kStackBytes, SIGCHLD,
                            &words);
    EXPECT_EQ(kPlain, StatusOf(child));
    EXPECT_TRUE(AreRight(words));
  }
  // fork goes on as before.
  const pid_t child = fork();
  if (child == 0) _exit(LookAtAll(words));
  EXPECT_EQ(kPaged, StatusOf(child));
}

TEST(Managed, DISABLED_ForkWithoutHandlers) {
  std::vector<uint64_t> words(kWords);
  Fill(words);
  FaultingThreads threads(2, kWords / 8);
  for (unsigned i = 0; i < 5; ++i) {
    const pid_t child = _Fork();
    if (child == 0) _exit(LookAtAll(words));
    EXPECT_EQ(kPlain, StatusOf(child));
  }
  EXPECT_EQ(0u, threads.Stop());
  EXPECT_TRUE(AreRight(words));
}

// As daemon() forks, which the library sees by its handlers alone.
TEST(Managed, DISABLED_ForkInsideTheCLibrary) {
  std::vector<uint64_t> words(kWords);
  Fill(words);
  void* const library = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  const auto unseen = reinterpret_cast<pid_t (*)()>(dlsym(library, "fork"));
  ASSERT_NE(nullptr, unseen);
  const pid_t child = unseen();
  if (child == 0) _exit(LookAtAll(words));
  EXPECT_EQ(kPaged, StatusOf(child));
  EXPECT_TRUE(AreRight(words));
}

// Nobody is there in the child who would bring pages: it has what was in memory, and zeros for the
// rest. The parent does not notice.
TEST(Managed, DISABLED_SystemCallThatIsNotSeen) {
  std::vector<uint64_t> words(kWords);
  Fill(words);
  clone_args how{};
  how.exit_signal = SIGCHLD;
  const auto child = static_cast<pid_t>(syscall(SYS_clone3, &how, sizeof how));
  if (child == 0) {
    size_t zeros = 0;
    size_t wrong = 0;
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i] == WordOf(i)) continue;
      words[i] == 0 ? ++zeros : ++wrong;
    }
    for (;;) syscall(SYS_exit_group, wrong == 0 && zeros >= kWords / 4 ? 0 : 1);
  }
  EXPECT_EQ(0, StatusOf(child));
  EXPECT_TRUE(AreRight(words));
  Change(words, 1);
  EXPECT_TRUE(AreRight(words, 1));
}

// What the last one has of the first one's and of the middle one's pages is kept for it. It tells
// through the pipe, as it is nobody's child then but the first one's.
TEST(Managed, DISABLED_MiddleOneEndsFirst) {
  ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
  const size_t bytes = kWords * sizeof(uint64_t);
  auto* memory = static_cast<uint64_t*>(
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  const auto is_right = [&](uint64_t changed) {
    for (size_t i = 0; i < kWords; ++i) {
      if (memory[i] != (WordOf(i) ^ changed)) return false;
    }
    return true;
  };
  const auto change = [&](uint64_t by) {
    for (size_t i = 0; i < kWords; ++i) memory[i] ^= by;
  };
  for (size_t i = 0; i < kWords; ++i) memory[i] = WordOf(i);
  int go[2];
  int last[2];
  ASSERT_EQ(0, pipe(go));
  ASSERT_EQ(0, pipe(last));
  const pid_t middle = fork();
  if (middle == 0) {
    close(go[1]);
    change(1);
    const pid_t child = fork();
    if (child != 0) _exit(write(last[1], &child, sizeof child) == sizeof child ? 0 : 1);
    char nothing;
    if (read(go[0], &nothing, 1) != 0 || !is_right(1)) _exit(2);
    change(2);
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(is_right(3) ? 0 : 1);
    _exit(EndedWithin(grandchild) && is_right(3) ? 0 : 3);
  }
  EXPECT_TRUE(EndedWithin(middle));
  pid_t child = -1;
  ASSERT_EQ(static_cast<ssize_t>(sizeof child), read(last[0], &child, sizeof child));
  // The first one has nothing of it any more; its pages are kept for the last.
  ASSERT_EQ(0, munmap(memory, bytes));
  EXPECT_GE(OwnStatistics()->page_file_used_bytes, bytes / 4);
  close(go[1]);
  EXPECT_TRUE(EndedWithin(child));
  EXPECT_TRUE(Eventually([&] { return OwnStatistics()->page_file_used_bytes < bytes / 4; }))
      << OwnStatistics()->page_file_used_bytes;
}

TEST(Managed, DISABLED_FilesOfStatisticsGoWithTheirChildren) {
  std::vector<uint64_t> words(kWords / 8);
  Fill(words);
  void (*const ends[])(int) = {&_exit, &_Exit};
  for (const auto end : ends) {
    const pid_t child = fork();
    if (child == 0) {
      const bool announced = Eventually([] { return IsAnnounced(getpid()); });
      end(announced && AreRight(words) ? 0 : 1);
    }
    EXPECT_TRUE(EndedWithin(child));
    EXPECT_FALSE(IsAnnounced(child));
  }
  // A child in its parent's memory ends for itself alone.
  const pid_t child = vfork();
  if (child == 0) _exit(0);
  EXPECT_TRUE(EndedWithin(child));
  EXPECT_TRUE(IsAnnounced(getpid()));
}

// Takes all descriptors, and gives some back.
class Descriptors {
 public:
  explicit Descriptors(rlim_t most) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit limit{most, before_.rlim_max};
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
    for (int made; (made = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.push_back(made);
    EXPECT_EQ(EMFILE, errno);
  }
  ~Descriptors() {
    while (Free()) {
    }
    setrlimit(RLIMIT_NOFILE, &before_);
  }
  bool Free() {
    if (taken_.empty()) return false;
    close(taken_.back());
    taken_.pop_back();
    return true;
  }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

size_t OpenDescriptors() { return CountOf("/proc/self/fd"); }

constexpr rlim_t kMostDescriptors = 64;

TEST(Managed, DISABLED_NoDescriptors) {
  std::vector<uint64_t> words(kWords);
  Fill(words);
  const size_t before = OpenDescriptors();
  {
    const Descriptors none(kMostDescriptors);
    for (unsigned i = 0; i < 2; ++i) {
      errno = 0;
      ASSERT_EQ(-1, fork());
      EXPECT_EQ(EAGAIN, errno);
      errno = 0;
      ASSERT_EQ(-1, _Fork());
      EXPECT_EQ(EAGAIN, errno);
      static char stack[kStackBytes];
      errno = 0;
      ASSERT_EQ(-1, clone(&LookFromClone, stack + kStackBytes, SIGCHLD, &words));
      EXPECT_EQ(EAGAIN, errno);
    }
    EXPECT_TRUE(AreRight(words));
  }
  EXPECT_EQ(before, OpenDescriptors());
  const pid_t child = fork();
  if (child == 0) _exit(LookAtAll(words));
  EXPECT_EQ(kPaged, StatusOf(child));
}

// At some number fork is not refused, and the child finds out by itself that it has too few.
TEST(Managed, DISABLED_FewDescriptors) {
  std::vector<uint64_t> words(kWords);
  Fill(words);
  const size_t before = OpenDescriptors();
  {
    Descriptors few(kMostDescriptors);
    int last = -1;
    for (unsigned free = 0; last != kPaged; ++free) {
      errno = 0;
      const pid_t child = fork();
      if (child == 0) _exit(LookAtAll(words));
      if (child < 0) {
        EXPECT_EQ(EAGAIN, errno);
        EXPECT_EQ(-1, last) << "fork was refused with " << free << ", and not with fewer";
      } else {
        last = StatusOf(child);
        EXPECT_TRUE(last == kPlain || last == kPaged) << last << " with " << free;
      }
      EXPECT_TRUE(AreRight(words));
      ASSERT_TRUE(few.Free());
    }
  }
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() == before; }));
}

TEST(Managed, DISABLED_StrictPromises) {
  std::vector<uint64_t> words(3 * kWords);
  Fill(words);
  for (unsigned i = 0; i < 2; ++i) {
    errno = 0;
    ASSERT_EQ(-1, fork());
    EXPECT_EQ(ENOMEM, errno);
    EXPECT_TRUE(AreRight(words));
  }
  Change(words, 1);
  EXPECT_TRUE(AreRight(words, 1));
  std::vector<uint64_t>(kWords / 2).swap(words);
  Fill(words);
  const pid_t child = fork();
  if (child == 0) _exit(LookAtAll(words));
  EXPECT_EQ(kPaged, StatusOf(child));
}

}  // namespace
}  // namespace userpager::programs
