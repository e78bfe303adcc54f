// BenchMemory: the memory that the out-of-core benchmark works on, of one kind for each rival.
#ifndef USERPAGER_BENCH_SUPPORT_BENCH_MEMORY_H_
#define USERPAGER_BENCH_SUPPORT_BENCH_MEMORY_H_

#include <memory>
#include <string>

#include "bench/support/metrics.h"
#include "bench/support/workload.h"

namespace userpager::bench {

class BenchMemory {
 public:
  virtual ~BenchMemory() = default;

  virtual unsigned char* base() const = 0;
  // Between the fill and what is timed: what was written is on its way to the disk no more.
  virtual void Settle() {}
  // Around what is timed: what happened in between is added.
  virtual void Begin() {}
  virtual void End(Metrics*) {}
};

// The library's, with a memory limit. `conf`: further options, in the form of USERPAGER_CONF.
std::unique_ptr<BenchMemory> MakeLibraryMemory(const DataShape& shape, uint64_t limit_bytes,
                                               const std::string& directory,
                                               const std::string& conf);
// From malloc: paged by whatever the process was started under.
std::unique_ptr<BenchMemory> MakeMallocMemory(const DataShape& shape);
// Of the kernel's, in 4 KiB pages.
std::unique_ptr<BenchMemory> MakePlainMemory(const DataShape& shape);
// A shared mapping of a file. `advice`: for madvise.
std::unique_ptr<BenchMemory> MakeMappedMemory(const DataShape& shape, const std::string& directory,
                                              int advice);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_BENCH_MEMORY_H_
