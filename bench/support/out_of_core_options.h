// OutOfCoreOptions: the command line of out_of_core_bench, and what it compares.
#ifndef USERPAGER_BENCH_SUPPORT_OUT_OF_CORE_OPTIONS_H_
#define USERPAGER_BENCH_SUPPORT_OUT_OF_CORE_OPTIONS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/support/workload.h"

namespace userpager::bench {

// What a workload runs on, or is compared with.
enum class Backend : uint8_t {
  kLibrary,
  kLibraryTwoShards,
  kLibraryInline,
  kPreload,  // malloc, under the preload library
  kSwap,     // malloc, in a memory cgroup with a swap file
  kMapped,   // a shared mapping of a file in the same cgroup
  kMappedSequential,
  kMappedRandom,
  kPlain,  // ordinary memory
  kDisk,   // direct I/O, by io_uring
  kEcho,   // a bare userfaultfd that answers with a copy
};

struct BackendTraits {
  Backend backend;
  const char* name;
  const char* title;
};

inline constexpr std::array<BackendTraits, 11> kBackends = {{
    {Backend::kLibrary, "library", "userpager"},
    {Backend::kLibraryTwoShards, "library-2-shards", "userpager, 2 shards"},
    {Backend::kLibraryInline, "library-inline", "userpager, faults:inline"},
    {Backend::kPreload, "preload", "userpager, preloaded"},
    {Backend::kSwap, "swap", "kernel swap"},
    {Backend::kMapped, "mapped", "mapped file"},
    {Backend::kMappedSequential, "mapped-sequential", "mapped file, MADV_SEQUENTIAL"},
    {Backend::kMappedRandom, "mapped-random", "mapped file, MADV_RANDOM"},
    {Backend::kPlain, "plain", "ordinary memory"},
    {Backend::kDisk, "disk", "the disk itself"},
    {Backend::kEcho, "echo", "bare userfaultfd echo"},
}};

const BackendTraits& TraitsOf(Backend backend);
// Whether there is something to measure: a disk has no fits-in-memory, a plain program no limit.
bool Applies(Backend backend, Workload workload);
// Whether the process of the backend belongs into the memory cgroup.
bool NeedsCgroup(Backend backend);

struct OutOfCoreOptions {
  std::vector<Backend> backends;
  std::vector<Workload> workloads;
  uint64_t data_bytes = uint64_t{1} << 30;
  uint64_t limit_bytes = uint64_t{256} << 20;
  uint64_t accesses = 65'536;
  unsigned rounds = 3;
  unsigned seconds = 6;
  std::string directory = "/var/tmp";
  std::string conf;
  std::string cgroup;   // a memory cgroup's directory, made for this program
  std::string preload;  // the preload library
  std::string json;     // files to write
  std::string markdown;
  std::string svg;     // a directory
  bool child = false;  // runs one workload on one backend and prints its metrics

  WorkloadLimits limits() const;
};

std::string OutOfCoreHelp();
// Reads `--name=value` arguments. Returns "" or a line that names what is wrong.
std::string ParseOutOfCoreOptions(int argc, char** argv, OutOfCoreOptions* options);
// The arguments that give a child the same options, but for what it runs.
std::vector<std::string> ArgumentsForChild(const OutOfCoreOptions& options, Backend backend,
                                           Workload workload);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_OUT_OF_CORE_OPTIONS_H_
