// Many threads that fault at the same time, in memory that is much larger than the limit: all get
// their answers, all pages are right, nobody is left waiting. Also with the smallest memory limit.
#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/stress/checked_pages.h"
#include "tests/stress/fault_waiters.h"
#include "tests/stress/stress_scale.h"
#include "tests/stress/worker_process.h"

namespace userpager::stress {
namespace {

constexpr uint64_t kMebibyte = 1024 * 1024;

struct Job {
  const char* name;
  unsigned threads;
  uint64_t pages;
  uint64_t limit_pages;
  // Larger limits that may be tried where this one is below the smallest that works.
  uint64_t limit_pages_max;
  // Whether, in the end, every thread checks every page, or only its neighbour's share.
  bool all_check_all;
};

Job ManyThreads() {
  const uint64_t pages = Scaled(1024 * kMebibyte) / kPageBytes;
  const uint64_t limit_pages = Scaled(64 * kMebibyte) / kPageBytes;
  return {"many_threads", 64, pages, limit_pages, limit_pages, false};
}

Job SmallestLimit() {
  const uint64_t pages = 8 * kMebibyte / kPageBytes;
  return {"smallest_limit", 8, pages, 64, 1024, true};
}

class ManyThreadsJob {
 public:
  explicit ManyThreadsJob(const Job& job) : job_(job), pages_(job.pages), right_(job.threads, 0) {}

  int Run() {
    if (!Start() || !pages_.Allocate()) return 1;
    std::barrier<> filled(job_.threads);
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < job_.threads; ++thread) {
      threads.emplace_back([this, thread, &filled] { RunThread(thread, &filled); });
    }
    for (std::thread& thread : threads) thread.join();
    const bool all_right = std::count(right_.begin(), right_.end(), 1) == job_.threads;
    return CheckNobodyWaits() && CheckCounters() && all_right ? 0 : 1;
  }

 private:
  // A start that failed left nothing behind: the next larger limit can be tried.
  bool Start() {
    userpager_options options;
    userpager_options_init(&options);
    options.page_file_max_bytes = 2 * job_.pages * kPageBytes;
    constexpr uint64_t kStepPages = 16;
    int error = USERPAGER_ERROR_MEMORY_LIMIT;
    for (uint64_t limit = job_.limit_pages;
         limit <= job_.limit_pages_max && error == USERPAGER_ERROR_MEMORY_LIMIT;
         limit += kStepPages) {
      options.memory_limit_bytes = limit * kPageBytes;
      error = userpager_start(&options);
    }
    if (error != 0) {
      std::fprintf(stderr, "userpager_start: %s\n", userpager_error_message());
      return false;
    }
    std::printf("  %u threads, %" PRIu64 " pages, memory limit %" PRIu64 " pages\n", job_.threads,
                job_.pages, options.memory_limit_bytes / kPageBytes);
    return true;
  }

  // Each thread fills its share, then checks its neighbour's, or everything.
  void RunThread(unsigned thread, std::barrier<>* filled) {
    for (uint64_t page = ShareBegin(thread); page < ShareBegin(thread + 1); ++page) {
      pages_.Fill(page);
    }
    filled->arrive_and_wait();
    right_[thread] = CheckInRandomOrder(thread) ? 1 : 0;
  }

  bool CheckInRandomOrder(unsigned thread) const {
    const unsigned neighbour = (thread + 1) % job_.threads;
    const uint64_t begin = job_.all_check_all ? 0 : ShareBegin(neighbour);
    const uint64_t end = job_.all_check_all ? job_.pages : ShareBegin(neighbour + 1);
    std::vector<uint64_t> order(end - begin);
    std::iota(order.begin(), order.end(), begin);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(thread));
    return std::all_of(order.begin(), order.end(),
                       [this](uint64_t page) { return pages_.Check(page); });
  }

  uint64_t ShareBegin(unsigned thread) const { return job_.pages * thread / job_.threads; }

  static bool CheckNobodyWaits() {
    const FaultWaiters waiters = CountFaultWaiters();
    std::printf("  %u userfaultfds, %" PRIu64 " pending, %" PRIu64 " waiting\n",
                waiters.descriptors, waiters.pending, waiters.total);
    if (waiters.descriptors == 0) {
      std::fprintf(stderr, "the process has no userfaultfd: nothing was tested\n");
      return false;
    }
    if (waiters.pending == 0 && waiters.total == 0) return true;
    std::fprintf(stderr, "every thread has ended, and yet faults wait for their answer\n");
    return false;
  }

  bool CheckCounters() const {
    userpager_stats stats{};
    stats.struct_bytes = sizeof(stats);
    if (userpager_get_stats(&stats) != 0) {
      std::fprintf(stderr, "userpager_get_stats: %s\n", userpager_error_message());
      return false;
    }
    std::printf("  faults: %" PRIu64 " demand-zero, %" PRIu64 " soft, %" PRIu64 " hard, %" PRIu64
                " had to wait for memory\n",
                stats.demand_zero_faults, stats.soft_faults, stats.hard_faults,
                stats.queued_faults);
    if (stats.resident_bytes_peak > stats.memory_limit_bytes) {
      std::fprintf(stderr, "charged at most %" PRIu64 " bytes: more than the memory limit\n",
                   stats.resident_bytes_peak);
      return false;
    }
    if (stats.hard_faults > 0 && stats.pages_out > 0) return true;
    std::fprintf(stderr, "no page went out and came back: nothing was tested\n");
    return false;
  }

  const Job job_;
  CheckedPages pages_;
  std::vector<char> right_;  // element i belongs to thread i until that is joined
};

void ExpectWorkerSucceeds(const Job& job) {
  std::string reason;
  if (!CanAnswerFaults(&reason)) GTEST_SKIP() << "SKIPPED: " << reason;
  EXPECT_EQ(RunWorker(job.name, ""), "");
}

TEST(ManyThreadsTest, SixtyFourThreadsAtSixtyFourMebibytes) { ExpectWorkerSucceeds(ManyThreads()); }

TEST(ManyThreadsTest, EightThreadsAtTheSmallestLimit) { ExpectWorkerSucceeds(SmallestLimit()); }

int RunJob(const std::string& name) {
  for (const Job& job : {ManyThreads(), SmallestLimit()}) {
    if (name == job.name) return ManyThreadsJob(job).Run();
  }
  std::fprintf(stderr, "no such job: %s\n", name.c_str());
  return 1;
}

}  // namespace
}  // namespace userpager::stress

int main(int argc, char** argv) {
  if (const char* const job = std::getenv(userpager::stress::kWorkerVariable); job != nullptr) {
    return userpager::stress::RunJob(job);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
