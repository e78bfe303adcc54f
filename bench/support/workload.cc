#include "bench/support/workload.h"

#include <errno.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "bench/support/access_times.h"
#include "bench/support/page_chooser.h"
#include "bench/support/page_pattern.h"
#include "runtime/base/clock.h"

namespace userpager::bench {
namespace {

constexpr uint64_t kStridePages = 16;
constexpr uint64_t kPasses = 64;
// Between looks at the clock, where an access is not timed by itself.
constexpr uint64_t kPagesBetweenLooks = 256;
// Rewritten pages are looked at again afterwards, one of so many.
constexpr uint64_t kRewrittenSample = 61;
constexpr uint64_t kWarmUpSeed = 1011;
// How much longer than the workload its warm-up may take.
constexpr uint64_t kWarmUpTimes = 4;
constexpr unsigned kTouchingThreads = 2;

const PagePattern& Pattern() {
  static const PagePattern pattern;
  return pattern;
}

[[noreturn]] void DieOfContent(uint64_t page) {
  std::fprintf(stderr, "%s: page %lu does not hold what was written to it\n",
               program_invocation_short_name, static_cast<unsigned long>(page));
  std::exit(1);
}

// The data and when to stop.
class Run {
 public:
  Run(unsigned char* base, uint64_t pages, const WorkloadLimits& limits)
      : base_(base), pages_(pages), limits_(limits), begin_ns_(NowNanoseconds()) {}

  unsigned char* base() const { return base_; }
  uint64_t pages() const { return pages_; }
  const WorkloadLimits& limits() const { return limits_; }
  void* At(uint64_t page) const { return base_ + page * kPageBytes; }
  void Check(uint64_t page, uint64_t rewrites = 0) const {
    if (!Pattern().Holds(At(page), page, rewrites)) DieOfContent(page);
  }
  uint64_t elapsed_ns() const { return NowNanoseconds() - begin_ns_; }
  bool IsOver(uint64_t now_ns) const { return now_ns - begin_ns_ > limits_.time_ns; }

  // Calls access(i) for i = 0, 1, ... until `count` or until time is up; returns how many.
  uint64_t Each(uint64_t count, const std::function<void(uint64_t)>& access) const {
    for (uint64_t i = 0; i < count; ++i) {
      if (i % kPagesBetweenLooks == 0 && IsOver(NowNanoseconds())) return i;
      access(i);
    }
    return count;
  }

 private:
  unsigned char* const base_;
  const uint64_t pages_;
  const WorkloadLimits limits_;
  const uint64_t begin_ns_;
};

// Threads that read at random, each access timed. All that they need is made before the clock runs.
class RandomReaders {
 public:
  RandomReaders(Popularity popularity, uint64_t pages, unsigned threads, uint64_t accesses,
                uint64_t seed)
      : chooser_(popularity, pages),
        share_(accesses / threads),
        seed_(seed),
        times_(threads, AccessTimes(share_)) {}

  void Go(const Run& run) {
    std::vector<std::thread> others;
    for (unsigned i = 1; i < times_.size(); ++i) {
      others.emplace_back([this, &run, i] { Read(run, i); });
    }
    Read(run, 0);
    for (std::thread& other : others) other.join();
  }
  AccessTimes Times() const {
    AccessTimes all(share_ * times_.size());
    for (const AccessTimes& one : times_) all.Add(one);
    return all;
  }

 private:
  void Read(const Run& run, unsigned thread) {
    PageChooser::Random random(seed_ + thread);
    uint64_t before = NowNanoseconds();
    for (uint64_t i = 0; i < share_ && !run.IsOver(before); ++i) {
      run.Check(chooser_.Next(random));
      const uint64_t now = NowNanoseconds();
      times_[thread].Add(now - before);
      before = now;
    }
  }

  const PageChooser chooser_;
  const uint64_t share_;
  const uint64_t seed_;
  std::vector<AccessTimes> times_;
};

// The hot set comes first in memory, the scan goes over the rest.
uint64_t HotPages(const Run& run) {
  return std::clamp<uint64_t>(run.limits().memory_pages / 2, 1, run.pages() / 2);
}

uint64_t RunScan(const Run& run) {
  const uint64_t hot = HotPages(run);
  const PageChooser chooser(Popularity::kUniform, hot);
  PageChooser::Random random(kSeed);
  return 2 * run.Each(run.pages() - hot, [&](uint64_t i) {
    run.Check(hot + i);
    run.Check(chooser.Next(random));
  });
}

uint64_t RunRewrite(const Run& run) {
  return run.Each(run.pages(), [&run](uint64_t page) {
    run.Check(page);
    PagePattern::Rewrite(run.At(page));
  });
}

// No store was lost: not timed.
void CheckRewritten(const Run& run, uint64_t rewritten) {
  for (uint64_t page = 0; page < rewritten; page += kRewrittenSample) run.Check(page, 1);
}

void TouchInOrder(unsigned char* base, uint64_t pages) {
  for (uint64_t page = 0; page < pages; ++page) {
    *static_cast<volatile uint64_t*>(static_cast<void*>(base + page * kPageBytes)) = page;
  }
}

// Each page is read whole, as work on memory does.
void PassOver(const unsigned char* base, uint64_t pages) {
  const auto* const words = static_cast<const uint64_t*>(static_cast<const void*>(base));
  uint64_t sum = 0;
  for (uint64_t i = 0; i < pages * kPageBytes / sizeof(uint64_t); ++i) sum += words[i];
  if (sum != pages * (pages - 1) / 2) DieOfContent(0);
}

void TouchScattered(void* piece, const std::vector<uint32_t>& order) {
  for (const uint32_t page : order) {
    static_cast<volatile unsigned char*>(piece)[page * kPageBytes] = 1;
  }
}

uint64_t RunTwoThreads(unsigned char* base, const std::vector<uint32_t>& order) {
  std::thread other([&] { TouchScattered(base + DataShape::kPieceDistanceBytes, order); });
  TouchScattered(base, order);
  other.join();
  return kTouchingThreads * order.size();
}

std::vector<uint32_t> RandomOrder(uint64_t pages) {
  std::vector<uint32_t> order(pages);
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937(kSeed));
  return order;
}

std::optional<unsigned> RandomThreads(Workload workload) {
  switch (workload) {
    case Workload::kRandom1:
    case Workload::kSkew:
    case Workload::kZipf:
      return 1;
    case Workload::kRandom2:
      return 2;
    case Workload::kRandom8:
      return 8;
    default:
      return std::nullopt;
  }
}

Popularity PopularityOf(Workload workload) {
  if (workload == Workload::kSkew) return Popularity::kSkew;
  return workload == Workload::kZipf ? Popularity::kZipf : Popularity::kUniform;
}

// The workloads whose accesses are not timed one by one; returns how many accesses there were.
uint64_t RunInOrder(Workload workload, const Run& run) {
  switch (workload) {
    case Workload::kFill:
      FillPages(run.base(), run.pages());
      return run.pages();
    case Workload::kFirstTouch:
      TouchInOrder(run.base(), run.pages());
      return run.pages();
    case Workload::kSequential:
      return run.Each(run.pages(), [&run](uint64_t i) { run.Check(i); });
    case Workload::kReverse: {
      const uint64_t out = run.pages() - std::min(run.limits().memory_pages, run.pages() / 2);
      return run.Each(out, [&run, out](uint64_t i) { run.Check(out - 1 - i); });
    }
    case Workload::kStride:
      return run.Each(run.pages() / kStridePages,
                      [&run](uint64_t i) { run.Check(i * kStridePages); });
    case Workload::kRewrite:
      return RunRewrite(run);
    case Workload::kScan:
      return RunScan(run);
    case Workload::kPasses:
      for (uint64_t i = 0; i < kPasses; ++i) {
        PassOver(run.base(), run.pages());
      }
      return kPasses * run.pages();
    default:
      return 0;
  }
}

}  // namespace

const WorkloadTraits& TraitsOf(Workload workload) {
  return kWorkloads[static_cast<size_t>(workload)];
}

DataShape ShapeOf(Workload workload, uint64_t data_pages, const WorkloadLimits& limits) {
  DataShape shape;
  shape.pages = TraitsOf(workload).fits ? limits.memory_pages / 2 : data_pages;
  if (workload == Workload::kTwoThreads) shape.pieces = kTouchingThreads;
  return shape;
}

void FillPages(unsigned char* base, uint64_t pages) {
  for (uint64_t page = 0; page < pages; ++page) Pattern().Write(base + page * kPageBytes, page);
}

void PrepareWorkload(Workload workload, unsigned char* base, uint64_t pages,
                     const WorkloadLimits& limits) {
  if (workload == Workload::kPasses) TouchInOrder(base, pages);
  if (workload == Workload::kSkew || workload == Workload::kZipf) {
    // What is hot must have come into memory: before, the disk decides, whoever pages.
    WorkloadLimits longer = limits;
    longer.accesses = std::max(limits.accesses, pages);
    longer.time_ns = kWarmUpTimes * limits.time_ns;
    RandomReaders warm_up(PopularityOf(workload), pages, 1, longer.accesses, kWarmUpSeed);
    warm_up.Go(Run(base, pages, longer));
  }
  if (workload == Workload::kScan) {
    const Run run(base, pages, limits);
    for (uint64_t page = 0; page < HotPages(run); ++page) run.Check(page);
    for (uint64_t page = 0; page < HotPages(run); ++page) run.Check(page);
  }
}

void RunWorkload(Workload workload, unsigned char* base, uint64_t pages,
                 const WorkloadLimits& limits, Metrics* metrics) {
  if (const std::optional<unsigned> threads = RandomThreads(workload)) {
    RandomReaders readers(PopularityOf(workload), pages, *threads, limits.accesses, kSeed);
    const Run run(base, pages, limits);
    readers.Go(run);
    const uint64_t took_ns = run.elapsed_ns();
    AccessTimes times = readers.Times();
    AddThroughput(times.count(), kPageBytes, took_ns, false, metrics);
    times.AddTo(metrics);
    return;
  }
  const std::vector<uint32_t> order = workload == Workload::kTwoThreads
                                          ? RandomOrder(pages / kTouchingThreads)
                                          : std::vector<uint32_t>();
  const Run run(base, pages, limits);
  const uint64_t accesses =
      workload == Workload::kTwoThreads ? RunTwoThreads(base, order) : RunInOrder(workload, run);
  AddThroughput(accesses, kPageBytes, run.elapsed_ns(), TraitsOf(workload).in_bytes, metrics);
  if (workload == Workload::kRewrite) CheckRewritten(run, accesses);
}

}  // namespace userpager::bench
