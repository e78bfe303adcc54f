// Workload: what the out-of-core benchmark does to its data: one code for every kind of memory.
//
// The data is filled first, page by page in order; then the workload's accesses are counted and
// timed. Every access looks whether its page holds what was written to it, and ends the program if
// it does not.
#ifndef USERPAGER_BENCH_SUPPORT_WORKLOAD_H_
#define USERPAGER_BENCH_SUPPORT_WORKLOAD_H_

#include <array>
#include <cstdint>

#include "bench/support/metrics.h"
#include "runtime/base/types.h"

namespace userpager::bench {

enum class Workload : uint8_t {
  kFill,
  kSequential,
  kReverse,  // what is not in memory after the fill, backward
  kStride,   // every 16th page, once
  kRewrite,  // reads and then changes each page, in order
  kRandom1,
  kRandom2,
  kRandom8,
  kSkew,
  kZipf,
  kScan,        // in turns: a page of a scan, a random page of a hot set of half the limit
  kFirstTouch,  // of half the limit, in order: everything fits
  kPasses,      // over the same, again and again
  kTwoThreads,  // scattered first touches of two threads, each in memory of its own: all fits
};

struct WorkloadTraits {
  Workload workload;
  const char* name;   // on the command line and in tables
  const char* title;  // in words
  bool in_bytes;      // the result is MB/s, else accesses a second
  bool fits;          // the data is half the limit, and not filled
};

inline constexpr std::array<WorkloadTraits, 14> kWorkloads = {{
    {Workload::kFill, "fill", "fill", true, false},
    {Workload::kSequential, "sequential", "sequential read", true, false},
    {Workload::kReverse, "reverse", "reverse read", true, false},
    {Workload::kStride, "stride", "stride of 16 pages", false, false},
    {Workload::kRewrite, "rewrite", "sequential read-modify-write", true, false},
    {Workload::kRandom1, "random-1", "random read, 1 thread", false, false},
    {Workload::kRandom2, "random-2", "random read, 2 threads", false, false},
    {Workload::kRandom8, "random-8", "random read, 8 threads", false, false},
    {Workload::kSkew, "skew", "90/20 skew", false, false},
    {Workload::kZipf, "zipf", "zipf 0.99", false, false},
    {Workload::kScan, "scan", "scan beside a hot set", false, false},
    {Workload::kFirstTouch, "first-touch", "everything fits: first touch in order", true, true},
    {Workload::kPasses, "passes", "everything fits: passes after it", true, true},
    {Workload::kTwoThreads, "two-threads", "everything fits: scattered first touches, 2 threads",
     false, true},
}};

const WorkloadTraits& TraitsOf(Workload workload);

// Of the random numbers of the accesses that are timed; a thread's number is added.
inline constexpr uint64_t kSeed = 11;

struct WorkloadLimits {
  uint64_t memory_pages = 0;  // the memory limit
  uint64_t accesses = 0;      // of a random workload
  uint64_t time_ns = 0;       // a workload stops early after it
};

// The memory that a workload wants: one piece, or two that are kPieceDistanceBytes apart, so that
// they may be different shards'.
struct DataShape {
  uint64_t pages = 0;  // of all pieces together
  unsigned pieces = 1;

  uint64_t piece_bytes() const { return pages / pieces * kPageBytes; }
  uint64_t span_bytes() const { return (pieces - 1) * kPieceDistanceBytes + piece_bytes(); }

  static constexpr uint64_t kPieceDistanceBytes = uint64_t{1} << 30;
};
DataShape ShapeOf(Workload workload, uint64_t data_pages, const WorkloadLimits& limits);
void FillPages(unsigned char* base, uint64_t pages);
// What a workload does before it is timed: warms up (skew and zipf by as many accesses as there are
// pages, in at most four times the workload's time), or touches what the passes go over.
void PrepareWorkload(Workload workload, unsigned char* base, uint64_t pages,
                     const WorkloadLimits& limits);
// Adds "value" (MB/s, 10^6 bytes, or accesses a second), "accesses", "seconds", and where each
// access was timed what AccessTimes tells.
void RunWorkload(Workload workload, unsigned char* base, uint64_t pages,
                 const WorkloadLimits& limits, Metrics* metrics);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_WORKLOAD_H_
