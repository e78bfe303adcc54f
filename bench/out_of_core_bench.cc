// Data that is larger than the memory limit: the library beside what else could hold it, on the
// same machine, the same disk, under the same limit.
//
// Cast:  backends (bench/support/out_of_core_options.h) and workloads (bench/support/workload.h):
//        one code of each workload for all kinds of memory.
// Flow:  every workload on every backend, in each round, in a process of its own that fills its
//        data and so begins as all others do; which backend begins moves on with each round.
// Reads: throughput, and for the library what it counted meanwhile, so that one sees why.
//
// bench/run.sh makes the memory cgroup and the swap file that the kernel's rivals need.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bench/support/child_run.h"
#include "bench/support/machine.h"
#include "bench/support/memory_cgroup.h"
#include "bench/support/out_of_core_child.h"
#include "bench/support/out_of_core_options.h"
#include "bench/support/result_table.h"

namespace userpager::bench {
namespace {

// A program has some memory that is not paged.
constexpr double kMostOverLimit = 1.5;

class OutOfCoreBench {
 public:
  explicit OutOfCoreBench(OutOfCoreOptions options) : options_(std::move(options)) {}

  // Leaves out, loudly, what cannot be measured here.
  void ChooseBackends();
  // False if a child failed.
  bool RunRounds();
  // The medians, to standard output and to the files that the options name. False if a file cannot
  // be written.
  bool Report() const;

 private:
  std::string ReasonToSkip(Backend backend) const;
  Environment DescribeEnvironment() const;
  // False if it failed.
  bool RunOne(unsigned round, Workload workload, Backend backend);
  // Returns "" or what went wrong.
  std::string Measure(Workload workload, Backend backend, Metrics* metrics) const;

  const OutOfCoreOptions options_;
  std::vector<Backend> backends_;
  ResultTable table_;
};

std::string OutOfCoreBench::ReasonToSkip(Backend backend) const {
  if (backend == Backend::kPreload && access(options_.preload.c_str(), R_OK) != 0) {
    return options_.preload.empty() ? "there is no preload library (--preload names it)"
                                    : "the preload library cannot be read: " + options_.preload;
  }
  if (!NeedsCgroup(backend)) return "";
  if (backend == Backend::kSwap) {
    if (const std::string reason = NoSwapReason(); !reason.empty()) return reason;
  }
  return LimitMemoryCgroup(options_.cgroup, options_.limit_bytes);
}

void OutOfCoreBench::ChooseBackends() {
  for (const Backend backend : options_.backends) {
    const std::string reason = ReasonToSkip(backend);
    if (reason.empty()) {
      backends_.push_back(backend);
      continue;
    }
    std::printf("SKIPPED: %s: %s\n", TraitsOf(backend).title, reason.c_str());
    table_.Skip(backend, reason);
  }
}

bool OutOfCoreBench::RunRounds() {
  bool good = true;
  for (unsigned round = 0; round < options_.rounds; ++round) {
    for (const Workload workload : options_.workloads) {
      for (size_t i = 0; i < backends_.size(); ++i) {
        const Backend backend = backends_[(i + round) % backends_.size()];
        if (Applies(backend, workload)) good = RunOne(round + 1, workload, backend) && good;
      }
    }
  }
  return good;
}

bool OutOfCoreBench::RunOne(unsigned round, Workload workload, Backend backend) {
  std::string problem;
  if (NeedsCgroup(backend)) problem = LimitMemoryCgroup(options_.cgroup, options_.limit_bytes);
  Metrics metrics;
  if (problem.empty()) problem = Measure(workload, backend, &metrics);
  if (!problem.empty()) {
    std::printf("[%u] %-12s %-18s FAILED: %s\n", round, TraitsOf(workload).name,
                TraitsOf(backend).name, problem.c_str());
    return false;
  }
  std::printf("%s\n", FormatResult(round, workload, backend, metrics).c_str());
  std::fflush(stdout);
  table_.Add(round, workload, backend, std::move(metrics));
  return true;
}

// What a plain malloc program has of the runtime: the library, the limit, where the page file is.
Environment PreloadEnvironment(const OutOfCoreOptions& options) {
  std::string conf = absl::StrCat("memory:", options.limit_bytes, ",page_file:", options.directory);
  if (!options.conf.empty()) absl::StrAppend(&conf, ",", options.conf);
  return {{"LD_PRELOAD", options.preload}, {"USERPAGER_CONF", conf}};
}

std::string OutOfCoreBench::Measure(Workload workload, Backend backend, Metrics* metrics) const {
  // A fill, a warm-up and what is timed: far more than any of them takes.
  const unsigned seconds_max = 120 + 10 * options_.seconds;
  const ChildResult child =
      RunChild(ArgumentsForChild(options_, backend, workload),
               backend == Backend::kPreload ? PreloadEnvironment(options_) : Environment(),
               seconds_max);
  if (!child.problem.empty()) return child.problem;
  (*metrics)["peak_rss_mib"] = child.peak_rss_mib;
  const double limit_mib = static_cast<double>(options_.limit_bytes) / (1 << 20);
  if (backend == Backend::kPreload && child.peak_rss_mib > kMostOverLimit * limit_mib) {
    return absl::StrFormat("%.0f MiB were in memory at most, so nothing was paged",
                           child.peak_rss_mib);
  }
  if (!ParseMetrics(child.output, metrics)) return "its output cannot be read: " + child.output;
  return metrics->count("value") == 1 ? "" : "it printed no result";
}

// The first line of a file of the kernel's; "unknown" where there is none.
std::string FirstLineOf(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? line : "unknown";
}

// The processor's name as /proc/cpuinfo has it.
std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (absl::StartsWith(line, "model name") && colon != line.npos) return line.substr(colon + 2);
  }
  return "unknown";
}

Environment OutOfCoreBench::DescribeEnvironment() const {
  const cpu_set_t cpus = AllowedCpus();
  return {
      {"date", absl::FormatTime("%Y-%m-%d %H:%M UTC", absl::Now(), absl::UTCTimeZone())},
      {"kernel", KernelName()},
      {"processors", absl::StrFormat("%d, %s", CPU_COUNT(&cpus), ProcessorName())},
      {"disk", absl::StrFormat("%s in %s", FileSystemName(options_.directory), options_.directory)},
      {"data", absl::StrFormat("%u MiB of random bytes", options_.data_bytes >> 20)},
      {"memory limit", absl::StrFormat("%u MiB", options_.limit_bytes >> 20)},
      {"a workload ends after",
       absl::StrFormat("%u s, or %u random accesses", options_.seconds, options_.accesses)},
      {"rounds", absl::StrFormat("%u", options_.rounds)},
      {"options of the pager", options_.conf.empty() ? "the defaults" : options_.conf},
      {"huge pages", FirstLineOf("/sys/kernel/mm/transparent_hugepage/enabled")},
      {"vm.page-cluster", FirstLineOf("/proc/sys/vm/page-cluster")},
      {"zswap", FirstLineOf("/sys/module/zswap/parameters/enabled")},
  };
}

bool WriteText(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file.fail()) return true;
  std::fprintf(stderr, "out_of_core_bench: %s cannot be written\n", path.c_str());
  return false;
}

bool OutOfCoreBench::Report() const {
  const Environment environment = DescribeEnvironment();
  const std::string markdown = table_.Markdown(environment);
  std::printf("\n%s", markdown.c_str());
  bool good = true;
  if (!options_.markdown.empty()) good = WriteText(options_.markdown, markdown) && good;
  if (!options_.json.empty()) good = WriteText(options_.json, table_.Json(environment)) && good;
  if (!options_.svg.empty()) {
    good = WriteText(options_.svg + "/out_of_core_throughput.svg", table_.Chart(true)) && good;
    good = WriteText(options_.svg + "/out_of_core_accesses.svg", table_.Chart(false)) && good;
  }
  return good;
}

int Main(int argc, char** argv) {
  if (argc > 1 && absl::string_view(argv[1]) == "--help") {
    std::printf("%s", OutOfCoreHelp().c_str());
    return 0;
  }
  OutOfCoreOptions options;
  if (const std::string wrong = ParseOutOfCoreOptions(argc, argv, &options); !wrong.empty()) {
    std::fprintf(stderr, "out_of_core_bench: %s\n", wrong.c_str());
    return 2;
  }
  if (options.child) {
    const Metrics metrics =
        RunOnBackend(options, options.backends.front(), options.workloads.front());
    std::printf("%s", FormatMetrics(metrics).c_str());
    return 0;
  }
  OutOfCoreBench bench(options);
  bench.ChooseBackends();
  const bool measured = bench.RunRounds();
  const bool reported = bench.Report();
  return measured && reported ? 0 : 1;
}

}  // namespace
}  // namespace userpager::bench

int main(int argc, char** argv) { return userpager::bench::Main(argc, argv); }
