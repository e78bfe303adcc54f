// BenchOptions: the command line of fault_latency_bench, beside Google Benchmark's own flags.
#ifndef USERPAGER_BENCH_SUPPORT_BENCH_OPTIONS_H_
#define USERPAGER_BENCH_SUPPORT_BENCH_OPTIONS_H_

#include <cstdint>
#include <string>

namespace userpager::bench {

struct BenchOptions {
  unsigned rounds = 40;      // for each kind of fault, at most
  unsigned touches = 256;    // of each rival in each round
  unsigned seconds = 8;      // for each kind of fault, set-up excepted
  uint64_t memory_mib = 64;  // the pager's limit; what is paged out is eight times as large
  std::string directory = "/var/tmp";  // of the page file and of the disk's floor
  std::string conf;  // further options of the pager, in the form of USERPAGER_CONF
};

// What --help prints.
std::string BenchOptionsHelp();

// Reads `--name=value` arguments. Returns "" or a line that names what is wrong.
std::string ParseBenchOptions(int argc, char** argv, BenchOptions* options);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_BENCH_OPTIONS_H_
