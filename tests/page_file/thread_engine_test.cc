// What is ThreadEngine's own: its threads. Its promises as an IoEngine are tested in
// io_engine_test.cc.
#include "runtime/page_file/thread_engine.h"

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/own_threads.h"

namespace userpager {
namespace {

struct Worker {
  std::string path;
  uint64_t blocked_signals = 0;
};

// The threads of this process that have the workers' name.
std::vector<Worker> Workers() {
  std::vector<Worker> workers;
  for (const std::filesystem::path& thread : ThreadsNamed("userpager-io")) {
    workers.push_back({thread, std::stoull("0" + ThreadStatus(thread, "SigBlk"), nullptr, 16)});
  }
  return workers;
}

TEST(ThreadEngine, WorkersBlockSignalsAndEndWithTheEngine) {
  sigset_t before;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &before), 0);
  {
    ThreadEngine engine;
    ASSERT_EQ(engine.Open(), 0);
    const std::vector<Worker> workers = Workers();
    EXPECT_EQ(workers.size(), 4u);
    for (const Worker& worker : workers) {
      for (const int number : {SIGINT, SIGTERM, SIGALRM, SIGUSR1, SIGSEGV, SIGCHLD}) {
        EXPECT_NE(worker.blocked_signals >> (number - 1) & 1, 0u) << "signal " << number;
      }
    }
  }
  // A thread that has been joined may be listed for a moment longer.
  for (int i = 0; i < 10'000 && !Workers().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(Workers().empty());
  sigset_t after;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &after), 0);
  for (int number = 1; number < SIGRTMIN; ++number) {
    EXPECT_EQ(sigismember(&after, number), sigismember(&before, number)) << "signal " << number;
  }
}

TEST(ThreadEngine, UnopenedEngineCanBeDestroyed) {
  ThreadEngine engine;
  EXPECT_TRUE(Workers().empty());
}

}  // namespace
}  // namespace userpager
