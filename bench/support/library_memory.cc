// The library's memory for the out-of-core benchmark, with what the library counted meanwhile.
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bench/support/bench_memory.h"
#include "bench/support/managed_faults.h"
#include "bench/support/own_memory.h"

namespace userpager::bench {
namespace {

// Beside the data, for slots that are not given back at once.
constexpr uint64_t kPageFileSpareBytes = uint64_t{64} << 20;

struct CounterName {
  const char* name;
  uint64_t userpager_stats::*counter;
};
constexpr CounterName kCounters[] = {
    {"zero_faults", &userpager_stats::demand_zero_faults},
    {"soft_faults", &userpager_stats::soft_faults},
    {"hard_faults", &userpager_stats::hard_faults},
    {"wp_faults", &userpager_stats::write_protect_faults},
    {"stalls", &userpager_stats::queued_faults},
    {"stale", &userpager_stats::stale_messages},
    {"pages_in", &userpager_stats::pages_in},
    {"pages_out", &userpager_stats::pages_out},
    {"reads", &userpager_stats::file_reads},
    {"writes", &userpager_stats::file_writes},
    {"ahead", &userpager_stats::ahead_pages},
    {"ahead_used", &userpager_stats::ahead_pages_used},
    {"clean_drops", &userpager_stats::clean_pages_dropped},
};

userpager_stats Statistics() {
  userpager_stats stats{};
  stats.struct_bytes = sizeof(stats);
  if (userpager_get_stats(&stats) != 0) DieOfManagedCall("userpager_get_stats");
  return stats;
}

class LibraryMemory : public BenchMemory {
 public:
  LibraryMemory(const DataShape& shape, uint64_t limit_bytes, const std::string& directory,
                const std::string& conf)
      : own_before_(OwnMemoryBytes()) {
    Start(shape.pages * kPageBytes + kPageFileSpareBytes, limit_bytes, directory, conf);
    base_ = static_cast<unsigned char*>(
        VirtualAlloc(nullptr, shape.span_bytes(), MEM_RESERVE, PAGE_READWRITE));
    if (base_ == nullptr) DieOfManagedCall("VirtualAlloc(MEM_RESERVE)");
    for (unsigned i = 0; i < shape.pieces; ++i) {
      unsigned char* const piece = base_ + i * DataShape::kPieceDistanceBytes;
      if (VirtualAlloc(piece, shape.piece_bytes(), MEM_COMMIT, PAGE_READWRITE) == nullptr) {
        DieOfManagedCall("VirtualAlloc(MEM_COMMIT)");
      }
    }
  }
  ~LibraryMemory() override {
    if (!VirtualFree(base_, 0, MEM_RELEASE)) DieOfManagedCall("VirtualFree(MEM_RELEASE)");
  }
  unsigned char* base() const override { return base_; }
  void Begin() override { before_ = Statistics(); }
  void End(Metrics* metrics) override {
    const userpager_stats after = Statistics();
    for (const CounterName& counter : kCounters) {
      (*metrics)[counter.name] =
          static_cast<double>(after.*counter.counter - before_.*counter.counter);
    }
    (*metrics)["charged_peak_mib"] =
        static_cast<double>(after.resident_bytes_peak) / (1024.0 * 1024.0);
    (*metrics)["own_mib"] = static_cast<double>(OwnMemoryBytes() - own_before_) / (1024.0 * 1024.0);
  }

 private:
  static void Start(uint64_t page_file_bytes, uint64_t limit_bytes, const std::string& directory,
                    const std::string& conf) {
    userpager_options options;
    userpager_options_init(&options);
    options.memory_limit_bytes = limit_bytes;
    options.page_file_max_bytes = page_file_bytes;
    std::snprintf(options.page_file, sizeof(options.page_file), "%s", directory.c_str());
    if (userpager_options_parse(&options, conf.c_str()) != 0 || userpager_start(&options) != 0) {
      DieOfManagedCall("starting the pager");
    }
  }

  const int64_t own_before_;
  unsigned char* base_ = nullptr;
  userpager_stats before_{};
};

}  // namespace

std::unique_ptr<BenchMemory> MakeLibraryMemory(const DataShape& shape, uint64_t limit_bytes,
                                               const std::string& directory,
                                               const std::string& conf) {
  return std::make_unique<LibraryMemory>(shape, limit_bytes, directory, conf);
}

}  // namespace userpager::bench
