// Pages that are decommitted or released while they are being written from their own place, as they
// are without UFFDIO_MOVE. A page that goes between the submission of its write and the kernel's
// look at it must neither hang the pager, which would have to answer the fault of its own write,
// nor harm its neighbours, nor count as a failure of the page file.
#include <gtest/gtest.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/stress/fault_waiters.h"
#include "tests/stress/page_content.h"
#include "tests/stress/worker_process.h"

namespace userpager::stress {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kThreads = 4;
// All threads' regions together are four times the memory limit.
constexpr uint64_t kRegionPages = 4096;
constexpr uint64_t kRunPagesMax = 64;
constexpr unsigned kStepsBetweenReleases = 400;
// A thread goes on until its time is over, but not before it has filled its region more than once,
// whatever the machine; so how long that takes decides nothing.
constexpr unsigned kStepsMin = 800;
constexpr unsigned kStepsMax = 1'000'000;
constexpr std::chrono::seconds kTime{2};
static_assert(kStepsMin > kStepsBetweenReleases, "each thread releases its region at least once");

// One thread's region, and what each of its pages must hold: zeros (generation 0, if it is
// committed at all), or the content of its generation.
class ChurnedRegion {
 public:
  // `number` tells the pages of this region from those of the others.
  explicit ChurnedRegion(unsigned number) : number_(number), pages_(kRegionPages) {}
  ~ChurnedRegion() {
    if (base_ != nullptr) VirtualFree(base_, 0, MEM_RELEASE);
  }
  ChurnedRegion(const ChurnedRegion&) = delete;
  ChurnedRegion& operator=(const ChurnedRegion&) = delete;

  bool Reserve() {
    constexpr uint64_t kBytes = kRegionPages * kPageBytes;
    base_ = static_cast<uint64_t*>(VirtualAlloc(nullptr, kBytes, MEM_RESERVE, PAGE_READWRITE));
    return base_ != nullptr || Complain("reserve");
  }

  bool Release() {
    if (!VirtualFree(base_, 0, MEM_RELEASE)) return Complain("release");
    base_ = nullptr;
    for (Page& page : pages_) page = {};
    return true;
  }

  // Commits the pages, checks what they hold and gives them new content.
  bool Renew(uint64_t begin, uint64_t end) {
    if (VirtualAlloc(WordsOf(begin), (end - begin) * kPageBytes, MEM_COMMIT, PAGE_READWRITE) ==
        nullptr) {
      return Complain("commit");
    }
    for (uint64_t page = begin; page < end; ++page) {
      pages_[page].committed = true;
      if (!Check(page)) return false;
      pages_[page].generation = ++last_generation_;
      FillPage(WordsOf(page), NameOf(page), last_generation_);
    }
    return true;
  }

  bool Decommit(uint64_t begin, uint64_t end) {
    if (!VirtualFree(WordsOf(begin), (end - begin) * kPageBytes, MEM_DECOMMIT)) {
      return Complain("decommit");
    }
    std::fill(pages_.begin() + static_cast<ptrdiff_t>(begin),
              pages_.begin() + static_cast<ptrdiff_t>(end), Page{});
    return true;
  }

  bool CheckAll() const {
    for (uint64_t page = 0; page < kRegionPages; ++page) {
      if (pages_[page].committed && !Check(page)) return false;
    }
    return true;
  }

 private:
  struct Page {
    bool committed = false;
    uint32_t generation = 0;
  };

  uint64_t* WordsOf(uint64_t page) const { return base_ + page * kWordsInPage; }
  uint64_t NameOf(uint64_t page) const { return number_ * kRegionPages + page; }

  bool Check(uint64_t page) const {
    const uint32_t generation = pages_[page].generation;
    const uint64_t* const words = WordsOf(page);
    const size_t wrong =
        generation != 0
            ? FirstWrongWord(words, NameOf(page), generation)
            : static_cast<size_t>(std::find_if(words, words + kWordsInPage,
                                               [](uint64_t word) { return word != 0; }) -
                                  words);
    if (wrong == kWordsInPage) return true;
    std::fprintf(stderr,
                 "region %u, page %" PRIu64 " (%p), word %zu: found %016" PRIx64
                 ", which is not of generation %u (0: zeros)\n",
                 number_, page, static_cast<const void*>(words), wrong, words[wrong], generation);
    return false;
  }

  static bool Complain(const char* call) {
    std::fprintf(stderr, "%s: error %u\n", call, GetLastError());
    return false;
  }

  const unsigned number_;
  std::vector<Page> pages_;
  uint32_t last_generation_ = 0;  // of this region's life, so that no content comes twice
  uint64_t* base_ = nullptr;
};

class DecommitJob {
 public:
  int Run() {
    if (userpager_start(nullptr) != 0) {
      std::fprintf(stderr, "userpager_start: %s\n", userpager_error_message());
      return 1;
    }
    const Clock::time_point end = Clock::now() + kTime;
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([this, thread, end] {
        if (!Churn(thread, end)) wrong_ = true;
      });
    }
    for (std::thread& thread : threads) thread.join();
    return !wrong_ && CheckCounters() && CheckNobodyWaits() ? 0 : 1;
  }

 private:
  // One decommit for every two commits; now and then the whole region goes. Ends early where any
  // thread has found something wrong.
  bool Churn(unsigned thread, Clock::time_point end) {
    ChurnedRegion region(thread);
    if (!region.Reserve()) return false;
    std::mt19937_64 random(thread);
    for (unsigned step = 1; step <= kStepsMax && !wrong_; ++step) {
      if (step > kStepsMin && Clock::now() >= end) break;
      if (step % kStepsBetweenReleases == 0 && !(region.Release() && region.Reserve())) {
        return false;
      }
      const uint64_t begin = random() % kRegionPages;
      const uint64_t run_end = std::min(begin + 1 + random() % kRunPagesMax, kRegionPages);
      const bool decommits = random() % 3 == 0;
      if (!(decommits ? region.Decommit(begin, run_end) : region.Renew(begin, run_end))) {
        return false;
      }
      ++steps_;
    }
    return region.CheckAll();
  }

  bool CheckCounters() const {
    userpager_stats stats{};
    stats.struct_bytes = sizeof(stats);
    if (userpager_get_stats(&stats) != 0) {
      std::fprintf(stderr, "userpager_get_stats: %s\n", userpager_error_message());
      return false;
    }
    std::printf("  %" PRIu64 " calls; pages: %" PRIu64 " out, %" PRIu64 " in, %" PRIu64
                " lost; failed transfers: %" PRIu64 " reads, %" PRIu64 " writes\n",
                steps_.load(), stats.pages_out, stats.pages_in, stats.lost_pages,
                stats.file_read_errors, stats.file_write_errors);
    if (stats.uses_move != 0 || stats.pages_out == 0 || stats.pages_in == 0) {
      std::fprintf(stderr, "no page was written in place and came back: nothing was tested\n");
      return false;
    }
    if (stats.resident_bytes_peak > stats.memory_limit_bytes) {
      std::fprintf(stderr, "charged at most %" PRIu64 " bytes: more than the memory limit\n",
                   stats.resident_bytes_peak);
      return false;
    }
    if (stats.lost_pages == 0 && stats.file_read_errors == 0 && stats.file_write_errors == 0 &&
        stats.commit_bytes == 0) {
      return true;
    }
    std::fprintf(stderr,
                 "pages were lost, transfers failed, or a commit was not given back (%" PRIu64
                 " bytes)\n",
                 stats.commit_bytes);
    return false;
  }

  static bool CheckNobodyWaits() {
    const FaultWaiters waiters = CountFaultWaiters();
    if (waiters.descriptors > 0 && waiters.pending == 0 && waiters.total == 0) return true;
    std::fprintf(stderr, "%u userfaultfds with %" PRIu64 " pending faults, %" PRIu64 " in all\n",
                 waiters.descriptors, waiters.pending, waiters.total);
    return false;
  }

  std::atomic<bool> wrong_{false};
  std::atomic<uint64_t> steps_{0};
};

using Setting = std::tuple<const char*, int>;  // I/O engine, shards

class DecommitUnderWriteTest : public testing::TestWithParam<Setting> {};

TEST_P(DecommitUnderWriteTest, NeitherHangsNorHarms) {
  std::string reason;
  if (!CanAnswerFaults(&reason)) GTEST_SKIP() << "SKIPPED: " << reason;
  const auto [io, shards] = GetParam();
  EXPECT_EQ(RunWorker("decommit", std::string("memory:16M,page_file_max:160M,move:off,io:") + io +
                                      ",shards:" + std::to_string(shards)), "");
}

INSTANTIATE_TEST_SUITE_P(EnginesAndShards, DecommitUnderWriteTest,
                         testing::Combine(testing::Values("uring", "threads"),
                                          testing::Values(1, 2)),
                         [](const auto& setting) {
                           return std::string(std::get<0>(setting.param)) + "_" +
                                  std::to_string(std::get<1>(setting.param)) + "_shards";
                         });

}  // namespace
}  // namespace userpager::stress

int main(int argc, char** argv) {
  if (std::getenv(userpager::stress::kWorkerVariable) != nullptr) {
    return userpager::stress::DecommitJob().Run();
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
