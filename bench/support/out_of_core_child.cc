#include "bench/support/out_of_core_child.h"

#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "bench/support/access_times.h"
#include "bench/support/bench_memory.h"
#include "bench/support/disk_workload.h"
#include "bench/support/echo_floor.h"
#include "bench/support/machine.h"
#include "bench/support/memory_cgroup.h"
#include "bench/support/page_chooser.h"

namespace userpager::bench {
namespace {

std::unique_ptr<BenchMemory> MakeMemory(const OutOfCoreOptions& options, Backend backend,
                                        const DataShape& shape) {
  switch (backend) {
    case Backend::kLibrary:
      return MakeLibraryMemory(shape, options.limit_bytes, options.directory, options.conf);
    case Backend::kLibraryTwoShards:
      return MakeLibraryMemory(shape, options.limit_bytes, options.directory, "shards:2");
    case Backend::kLibraryInline:
      return MakeLibraryMemory(shape, options.limit_bytes, options.directory, "faults:inline");
    case Backend::kMapped:
      return MakeMappedMemory(shape, options.directory, MADV_NORMAL);
    case Backend::kMappedSequential:
      return MakeMappedMemory(shape, options.directory, MADV_SEQUENTIAL);
    case Backend::kMappedRandom:
      return MakeMappedMemory(shape, options.directory, MADV_RANDOM);
    case Backend::kPlain:
      return MakePlainMemory(shape);
    default:
      return MakeMallocMemory(shape);
  }
}

// Random touches that a bare handler thread answers, on the CPU of the touching thread, with a copy
// of a page: what random reads would cost if neither a disk nor a pager's thinking took time.
Metrics RunEcho(uint64_t pages, const WorkloadLimits& limits) {
  // Each touched page of the echo's stays in memory, twice.
  const uint64_t touches = std::min(limits.accesses, limits.memory_pages / 2);
  const cpu_set_t cpu = OneCpu(sched_getcpu());
  RunThisThreadOn(cpu);
  const PageChooser chooser(Popularity::kUniform, pages);
  std::vector<uint32_t> order(touches);
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = static_cast<uint32_t>(chooser.PageOfRank(i));
  }
  EchoFloor echo("echo", Role::kEchoSameCpu, EchoAnswer::kCopy, Emptying::kTouchedPages, pages,
                 cpu);
  echo.Prepare(order);
  AccessTimes times(touches);
  const uint64_t begin = NowNanoseconds();
  for (const uint32_t page : order) times.Add(echo.Touch(page));
  Metrics metrics;
  AddThroughput(touches, kPageBytes, NowNanoseconds() - begin, false, &metrics);
  times.AddTo(&metrics);
  return metrics;
}

}  // namespace

Metrics RunOnBackend(const OutOfCoreOptions& options, Backend backend, Workload workload) {
  const WorkloadLimits limits = options.limits();
  const DataShape shape = ShapeOf(workload, options.data_bytes / kPageBytes, limits);
  if (backend == Backend::kEcho) return RunEcho(shape.pages, limits);
  Metrics metrics;
  if (backend == Backend::kDisk) {
    RunDiskWorkload(workload, options.directory, shape.pages, limits, &metrics);
    return metrics;
  }
  if (NeedsCgroup(backend)) JoinMemoryCgroup(options.cgroup);
  const std::unique_ptr<BenchMemory> memory = MakeMemory(options, backend, shape);
  if (workload != Workload::kFill && !TraitsOf(workload).fits) {
    FillPages(memory->base(), shape.pages);
    memory->Settle();
  }
  PrepareWorkload(workload, memory->base(), shape.pages, limits);
  memory->Begin();
  RunWorkload(workload, memory->base(), shape.pages, limits, &metrics);
  memory->End(&metrics);
  return metrics;
}

}  // namespace userpager::bench
