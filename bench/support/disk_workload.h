// The out-of-core workloads that a disk can do by itself, by io_uring and direct I/O: the limit of
// what a pager can get out of it.
#ifndef USERPAGER_BENCH_SUPPORT_DISK_WORKLOAD_H_
#define USERPAGER_BENCH_SUPPORT_DISK_WORKLOAD_H_

#include <string>

#include "bench/support/metrics.h"
#include "bench/support/workload.h"

namespace userpager::bench {

// Writes a file of `pages` pages in the directory and reads it: 1 MiB at a time, four under way,
// for the workloads in order; 4 KiB at random places, one under way for each thread of the random
// ones. Adds what RunWorkload adds, and "direct": 0 where the file system has no direct I/O.
void RunDiskWorkload(Workload workload, const std::string& directory, uint64_t pages,
                     const WorkloadLimits& limits, Metrics* metrics);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_DISK_WORKLOAD_H_
