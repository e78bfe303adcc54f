// What a process may do or suffer, at random moments, with memory that is mostly out: fork, exec,
// exit, abort, SIGKILL, SIGSTOP and SIGCONT, the cancellation of threads, signals whose handlers
// touch memory that is out, limits that shrink. Every byte that is looked at is checked; how each
// process ended too.
//
// Cast:  the test (sends SIGSTOP, SIGCONT and SIGKILL), a worker process for each round, in it
//        threads that change pages, one that disturbs them, and the tally that all share.
// Size:  USERPAGER_STRESS_ROUNDS has the number of rounds; each kind of end once where it is not
//        set. A seed gives the same choices, not the same moments.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/stress/checked_pages.h"
#include "tests/stress/stress_scale.h"
#include "tests/stress/worker_process.h"
#include "tests/support/counted.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"

namespace userpager::stress {
namespace {

constexpr char kTallyVariable[] = "USERPAGER_STRESS_TALLY";
constexpr uint64_t kMemoryBytes = 4 << 20;
constexpr uint64_t kChangedPages = 4096;
constexpr uint64_t kFixedPages = 2048;
constexpr unsigned kChangers = 3;
constexpr std::array<const char*, 7> kEnds = {"return", "exit",  "_exit", "abort",
                                              "exec",   "kill", "raise"};

// In memory that outlives every worker.
struct Tally {
  std::atomic<uint64_t> pages;
  std::atomic<uint64_t> wrong;
  std::atomic<uint64_t> signals;
  std::atomic<uint64_t> cancelled;
  std::atomic<uint64_t> forks;
  std::atomic<uint64_t> limits;
  std::atomic<uint64_t> stops;
  std::atomic<uint64_t> disturbed;  // the worker has had its moments
};

Tally* MapTally(int descriptor) {
  void* const at =
      mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  return at == MAP_FAILED ? nullptr : static_cast<Tally*>(at);
}

// ---- The worker ------------------------------------------------------------------------------

Tally* tally = nullptr;
// Pages that nobody changes, so that handlers and threads that are cancelled can check them.
uint64_t* fixed = nullptr;

void CheckFixed(uint64_t page) {
  ++tally->pages;
  if (FirstWrongWord(fixed + page * kWordsInPage, page, 0) == kWordsInPage) return;
  ++tally->wrong;
  constexpr char kLine[] = "a page that nobody changes has changed\n";
  (void)!write(STDERR_FILENO, kLine, sizeof kLine - 1);
}

// Signal handlers touch what is out. Nothing here is more than loads and stores.
void OnSignal(int) {
  const int error = errno;
  static std::atomic<uint64_t> next{0};
  CheckFixed(next.fetch_add(977) % kFixedPages);
  ++tally->signals;
  errno = error;
}

class Worker {
 public:
  Worker(const std::string& end, uint64_t seed)
      : end_(end), random_(seed), changed_(kChangedPages) {}

  int Run() {
    if (!Start()) return 1;
    for (unsigned i = 0; i < kChangers; ++i) {
      threads_.emplace_back([this, seed = random_()] { Change(seed); });
    }
    const uint64_t moments = Scaled(300);
    for (uint64_t i = 0; i < moments; ++i) Disturb();
    tally->disturbed = 1;
    return End();
  }

 private:
  bool Start() {
    userpager_options options;
    userpager_options_init(&options);
    options.memory_limit_bytes = kMemoryBytes;
    options.page_file_max_bytes = 64 << 20;
    if (userpager_start(&options) != 0) {
      std::fprintf(stderr, "userpager_start: %s\n", userpager_error_message());
      return false;
    }
    fixed = static_cast<uint64_t*>(VirtualAlloc(nullptr, kFixedPages * kPageBytes,
                                                MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    if (fixed == nullptr || !changed_.Allocate()) return false;
    for (uint64_t i = 0; i < kFixedPages; ++i) FillPage(fixed + i * kWordsInPage, i, 0);
    for (uint64_t i = 0; i < kChangedPages; ++i) changed_.Fill(i);
    struct sigaction action {};
    action.sa_handler = OnSignal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, nullptr);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGXFSZ, SIG_IGN);
    return true;
  }

  void Change(uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!stopping_.load(std::memory_order_relaxed)) {
      if (!changed_.CheckLocked(random() % kChangedPages, random() % 2 == 0)) ++tally->wrong;
      ++tally->pages;
    }
  }

  void Pause() { std::this_thread::sleep_for(std::chrono::microseconds(random_() % 2000)); }

  void Disturb() {
    switch (random_() % 8) {
      case 0: CancelAThread(); break;
      case 1: ForkAndEnd(); break;
      case 2: ForkAndExecute(); break;
      case 3: Spawn(); break;
      case 4: ShrinkLimit(RLIMIT_NOFILE, 0); break;
      // Also of the page file: it takes nothing more until the limit is gone.
      case 5: ShrinkLimit(RLIMIT_FSIZE, kPageBytes); break;
      default:
        pthread_kill(threads_[random_() % kChangers].native_handle(), SIGUSR1);
        break;
    }
    Pause();
  }

  // At any moment: while the thread waits for a page as well. No sanitizer can follow that:
  // AddressSanitizer goes on guarding the frames that are left without a return, and
  // ThreadSanitizer's own locks are kept by a thread that is cancelled inside it.
  void CancelAThread() {
    if (kInstrumented) return;
    pthread_t thread;
    const auto check = [](void*) -> void* {
      pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
      for (uint64_t page = 0;; page = (page + 331) % kFixedPages) CheckFixed(page);
    };
    if (pthread_create(&thread, nullptr, check, nullptr) != 0) return;
    Pause();
    pthread_cancel(thread);
    void* result = nullptr;
    pthread_join(thread, &result);
    if (result == PTHREAD_CANCELED) ++tally->cancelled;
  }

  void AwaitChild(pid_t child) {
    int status = 1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) ++tally->wrong;
    ++tally->forks;
  }

  void ForkAndEnd() {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    if (child > 0) AwaitChild(child);
  }

  void ForkAndExecute() {
    const pid_t child = fork();
    if (child == 0) {
      execl("/bin/true", "true", nullptr);
      _exit(1);
    }
    if (child > 0) AwaitChild(child);
  }

  void Spawn() {
    char name[] = "true";
    char* const arguments[] = {name, nullptr};
    pid_t child = 0;
    if (posix_spawn(&child, "/bin/true", nullptr, nullptr, arguments, environ) == 0) {
      AwaitChild(child);
    }
  }

  void ShrinkLimit(__rlimit_resource what, rlim_t to) {
    rlimit before;
    getrlimit(what, &before);
    const rlimit small{to, before.rlim_max};
    setrlimit(what, &small);
    Pause();
    setrlimit(what, &before);
    ++tally->limits;
  }

  void StopThreads() {
    stopping_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // In the middle of what the threads do, but for "return".
  int End() {
    if (end_ == "exit") std::exit(0);
    if (end_ == "_exit") _exit(0);
    if (end_ == "abort") abort();
    if (end_ == "raise") raise(SIGTERM);
    if (end_ == "exec") {
      setenv(kWorkerVariable, ("return " + std::to_string(random_())).c_str(), 1);
      execl("/proc/self/exe", "worker", nullptr);
      return 1;
    }
    if (end_ == "kill") pause();
    StopThreads();
    for (uint64_t i = 0; i < kFixedPages; ++i) CheckFixed(i);
    for (uint64_t i = 0; i < kChangedPages; ++i) {
      if (!changed_.Check(i)) ++tally->wrong;
      ++tally->pages;
    }
    return 0;
  }

  const std::string end_;
  std::mt19937_64 random_;
  CheckedPages changed_;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

int RunWorkerJob(const std::string& job) {
  const char* const descriptor = std::getenv(kTallyVariable);
  tally = descriptor == nullptr ? nullptr : MapTally(std::atoi(descriptor));
  if (tally == nullptr) return 2;
  const size_t space = job.find(' ');
  Worker worker(job.substr(0, space), std::strtoull(job.c_str() + space, nullptr, 10));
  return worker.Run();
}

// ---- The test --------------------------------------------------------------------------------

// Stops and continues the worker at random moments until it has ended; kills it if its end is to be
// that. Returns its status.
int Accompany(pid_t worker, const std::string& end, std::mt19937_64* random, Tally* shared) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(kWorkerSecondsMax);
  const auto pause = [random](unsigned most_us) {
    std::this_thread::sleep_for(std::chrono::microseconds((*random)() % most_us));
  };
  int status = 0;
  while (waitpid(worker, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "a worker that ends by " << end << " hangs; it is killed";
      kill(worker, SIGKILL);
    }
    pause(20'000);
    kill(worker, SIGSTOP);
    pause(2'000);
    kill(worker, SIGCONT);
    ++shared->stops;
    if (end == "kill" && shared->disturbed != 0) kill(worker, SIGKILL);
  }
  return status;
}

bool EndedAsItShould(int status, const std::string& end) {
  if (end == "abort") return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  if (end == "raise") return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
  if (end == "kill") return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

pid_t StartWorker(const std::string& job, const std::string& conf) {
  std::fflush(nullptr);
  const pid_t worker = fork();
  if (worker != 0) return worker;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setenv(kWorkerVariable, job.c_str(), 1);
  setenv("USERPAGER_CONF", conf.c_str(), 1);
  execl("/proc/self/exe", "worker", nullptr);
  _exit(127);
}

uint64_t Rounds() {
  const char* const text = std::getenv("USERPAGER_STRESS_ROUNDS");
  const uint64_t rounds = text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
  return rounds == 0 ? kEnds.size() : rounds;
}

TEST(RandomMoments, NothingIsLost) {
  std::string reason;
  if (!CanAnswerFaults(&reason)) GTEST_SKIP() << "SKIPPED: " << reason;
  const int descriptor = memfd_create("userpager-stress-tally", 0);
  ASSERT_GE(descriptor, 0);
  ASSERT_EQ(ftruncate(descriptor, sizeof(Tally)), 0);
  Tally* const shared = MapTally(descriptor);
  ASSERT_NE(shared, nullptr);
  setenv(kTallyVariable, std::to_string(descriptor).c_str(), 1);
  std::mt19937_64 random(TestSeed());
  const uint64_t rounds = Rounds();
  for (uint64_t round = 0; round < rounds && !HasFailure(); ++round) {
    const std::string end = kEnds[round % kEnds.size()];
    shared->disturbed = 0;
    const pid_t worker = StartWorker(end + " " + std::to_string(random()), "");
    ASSERT_GT(worker, 0);
    const int status = Accompany(worker, end, &random, shared);
    EXPECT_TRUE(EndedAsItShould(status, end)) << end << ": status " << status;
    EXPECT_EQ(shared->wrong, 0u) << end;
  }
  EXPECT_GT(shared->pages, 0u);
  Counted("rounds", rounds);
  Counted("bytes_checked", shared->pages * kPageBytes);
  Counted("signals_handled", shared->signals);
  Counted("threads_cancelled", shared->cancelled);
  Counted("children", shared->forks);
  Counted("limits_set", shared->limits);
  Counted("stops", shared->stops);
  munmap(shared, sizeof(Tally));
  close(descriptor);
}

}  // namespace
}  // namespace userpager::stress

int main(int argc, char** argv) {
  if (const char* job = std::getenv(userpager::stress::kWorkerVariable); job != nullptr) {
    return userpager::stress::RunWorkerJob(job);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
