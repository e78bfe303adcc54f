// Memory eight times as large as the memory limit, filled with random data and touched in every
// order, with every page checked: no wrong byte, and the process never larger than the limit
// allows. Once with UFFDIO_MOVE (where the kernel has it) and once without.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/stress/checked_pages.h"
#include "tests/stress/fault_waiters.h"
#include "tests/stress/resident_size.h"
#include "tests/stress/stress_scale.h"
#include "tests/stress/worker_process.h"
#include "tests/support/sanitizers.h"

namespace userpager::stress {
namespace {

constexpr uint64_t kMebibyte = 1024 * 1024;
constexpr uint64_t kFullBytes = 1024 * kMebibyte;
constexpr uint64_t kFullLimitBytes = 128 * kMebibyte;
// What the pager may need beside the limit for its own books, threads and code.
constexpr uint64_t kOverheadBytes = 8 * kMebibyte;
constexpr unsigned kThreads = 4;
constexpr uint64_t kRunPages = 16;  // that a thread visits before it goes elsewhere

std::vector<uint32_t> ShuffledNumbers(uint64_t count, unsigned seed) {
  std::vector<uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937(seed));
  return numbers;
}

class OutOfCoreJob {
 public:
  // All that the job needs of ordinary memory is taken and touched here, before the pager starts.
  OutOfCoreJob()
      : pages_(Scaled(kFullBytes) / kPageBytes / kRunPages * kRunPages),
        random_order_(ShuffledNumbers(pages_.pages(), 1)) {
    for (unsigned thread = 0; thread < kThreads; ++thread) {
      run_orders_.push_back(ShuffledNumbers(pages_.pages() / kRunPages, 2 + thread));
    }
  }

  int Run(bool move_off) {
    const uint64_t before_bytes = ReadResidentSize().now_bytes;
    ResidentWatch watch;
    if (userpager_start(nullptr) != 0) {
      std::fprintf(stderr, "userpager_start: %s\n", userpager_error_message());
      return 1;
    }
    if (!pages_.Allocate() || !TouchInEveryOrder()) return 1;
    watch.Stop();
    const bool size_right = CheckSize(before_bytes, watch);
    return size_right && CheckCounters(move_off) && CheckNobodyWaits() ? 0 : 1;
  }

 private:
  bool TouchInEveryOrder() {
    const uint64_t last = pages_.pages() - 1;
    const auto random_at = [this](uint64_t i) { return random_order_[i]; };
    return Phase("fill", [this] { return FillAll(); }) &&
           Phase("sequential", [this] { return CheckAll(std::identity()); }) &&
           Phase("reverse", [&] { return CheckAll([&](uint64_t i) { return last - i; }); }) &&
           Phase("random", [&] { return CheckAll(random_at); }) &&
           Phase("four threads", [this] { return TouchFromThreads(); }) &&
           Phase("all once more", [this] { return CheckAll(std::identity()); });
  }

  bool FillAll() {
    for (uint64_t page = 0; page < pages_.pages(); ++page) pages_.Fill(page);
    return true;
  }

  // Every page, in the order that `page_at` gives.
  bool CheckAll(const std::function<uint64_t(uint64_t)>& page_at) {
    for (uint64_t i = 0; i < pages_.pages(); ++i) {
      if (!pages_.Check(page_at(i))) return false;
    }
    return true;
  }

  static bool Phase(const char* name, const std::function<bool()>& run) {
    const auto begin = std::chrono::steady_clock::now();
    const bool right = run();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("  %-14s %s, %.1f s\n", name, right ? "every page right" : "WRONG", took.count());
    std::fflush(stdout);
    return right;
  }

  // Every thread visits every page, in runs in an order of its own; every second thread gives each
  // page that it visits new content.
  bool TouchFromThreads() {
    std::vector<char> right(kThreads, 0);
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([this, thread, &right] { right[thread] = VisitRuns(thread) ? 1 : 0; });
    }
    for (std::thread& thread : threads) thread.join();
    return std::count(right.begin(), right.end(), 1) == kThreads;
  }

  bool VisitRuns(unsigned thread) {
    const bool renew = thread % 2 == 1;
    for (const uint32_t run : run_orders_[thread]) {
      for (uint64_t page = run * kRunPages; page < (run + 1) * kRunPages; ++page) {
        if (!pages_.CheckLocked(page, renew)) return false;
      }
    }
    return true;
  }

  static bool CheckSize(uint64_t before_bytes, const ResidentWatch& watch) {
    const uint64_t peak_bytes = ReadResidentSize().peak_bytes;
    const uint64_t allowed_bytes = before_bytes + Scaled(kFullLimitBytes) + kOverheadBytes;
    const uint64_t largest_bytes = std::max(watch.largest_bytes(), peak_bytes);
    std::printf("  resident size: %" PRIu64 " KiB before, VmRSS at most %" PRIu64 " KiB (%" PRIu64
                " readings), VmHWM %" PRIu64 " KiB, allowed %" PRIu64 " KiB\n",
                before_bytes / 1024, watch.largest_bytes() / 1024, watch.readings(),
                peak_bytes / 1024, allowed_bytes / 1024);
    if (kInstrumented) {
      std::printf("  resident size NOT CHECKED: a sanitizer's own memory is part of it\n");
      return true;
    }
    if (largest_bytes <= allowed_bytes) return true;
    std::fprintf(stderr,
                 "the process grew %" PRIu64 " KiB beyond the memory limit and %" PRIu64
                 " KiB of overhead\n",
                 (largest_bytes - allowed_bytes) / 1024, kOverheadBytes / 1024);
    return false;
  }

  // That the pages did go out and came back, on the road that was asked for.
  static bool CheckCounters(bool move_off) {
    userpager_stats stats{};
    stats.struct_bytes = sizeof(stats);
    if (userpager_get_stats(&stats) != 0) {
      std::fprintf(stderr, "userpager_get_stats: %s\n", userpager_error_message());
      return false;
    }
    std::printf("  %s UFFDIO_MOVE; faults: %" PRIu64 " demand-zero, %" PRIu64 " soft, %" PRIu64
                " hard, %" PRIu64 " write-protect; pages: %" PRIu64 " out, %" PRIu64 " in\n",
                stats.uses_move != 0 ? "with" : "without", stats.demand_zero_faults,
                stats.soft_faults, stats.hard_faults, stats.write_protect_faults, stats.pages_out,
                stats.pages_in);
    if (!move_off && stats.uses_move == 0) {
      std::printf("  THE ROAD WITH UFFDIO_MOVE WAS NOT TESTED: this kernel does not have it\n");
    }
    const uint64_t least = (Scaled(kFullBytes) - Scaled(kFullLimitBytes)) / kPageBytes;
    if (move_off && stats.uses_move != 0) {
      std::fprintf(stderr, "move:off was given, but UFFDIO_MOVE is in use\n");
      return false;
    }
    if (stats.pages_out >= least && stats.pages_in >= least && stats.lost_pages == 0) return true;
    std::fprintf(stderr, "at least %" PRIu64 " pages had to go out and come back\n", least);
    return false;
  }

  static bool CheckNobodyWaits() {
    const FaultWaiters waiters = CountFaultWaiters();
    if (waiters.descriptors > 0 && waiters.pending == 0 && waiters.total == 0) return true;
    std::fprintf(stderr, "%u userfaultfds with %" PRIu64 " pending faults, %" PRIu64 " in all\n",
                 waiters.descriptors, waiters.pending, waiters.total);
    return false;
  }

  CheckedPages pages_;
  const std::vector<uint32_t> random_order_;
  std::vector<std::vector<uint32_t>> run_orders_;
};

std::string Conf(const std::string& move) {
  return "memory:" + std::to_string(Scaled(kFullLimitBytes)) +
         ",page_file_max:" + std::to_string(2 * Scaled(kFullBytes)) + ",move:" + move;
}

class OutOfCoreTest : public testing::TestWithParam<const char*> {};

TEST_P(OutOfCoreTest, NoWrongByteAndNeverBeyondTheLimit) {
  std::string reason;
  if (!CanAnswerFaults(&reason)) GTEST_SKIP() << "SKIPPED: " << reason;
  EXPECT_EQ(RunWorker(GetParam(), Conf(GetParam())), "");
}

INSTANTIATE_TEST_SUITE_P(Roads, OutOfCoreTest, testing::Values("auto", "off"),
                         [](const auto& road) { return std::string("Move_") + road.param; });

}  // namespace
}  // namespace userpager::stress

int main(int argc, char** argv) {
  if (const char* const road = std::getenv(userpager::stress::kWorkerVariable); road != nullptr) {
    return userpager::stress::OutOfCoreJob().Run(std::string(road) == "off");
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
