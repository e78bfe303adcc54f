// How long each kind of page fault takes, beside floors that no pager of this kind can beat,
// measured in the same rounds. bench/support/contest.h says how; --help lists the options.
//
//   demand-zero, single      scattered first touches        echo that copies a page
//   demand-zero, sequential  first touches in order         echo that copies a page
//   soft                     stores to trimmed pages        echo that moves (or copies) a page
//   hard                     loads of paged-out pages       echo that copies a page + disk read
//   write-protect            first stores to clean pages    echo that lets a store through
//
// Each echo runs twice: its handler thread wherever the scheduler puts it, and on the touching
// thread's CPU. The touching thread stays on one CPU, so that no rival is measured on another one.
#include <benchmark/benchmark.h>
#include <sched.h>
#include <userpager/userpager.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "bench/support/bench_options.h"
#include "bench/support/contest.h"
#include "bench/support/contest_summary.h"
#include "bench/support/disk_floor.h"
#include "bench/support/echo_floor.h"
#include "bench/support/kernel_floor.h"
#include "bench/support/machine.h"
#include "bench/support/managed_faults.h"

namespace userpager::bench {
namespace {

using Rivals = std::vector<std::unique_ptr<Rival>>;

// Scattered touches are this far apart at least, so that no run of pages can grow.
constexpr uint32_t kScatterStridePages = 16;
constexpr uint64_t kScatterRegionPages = 32'768;
constexpr uint64_t kPagedOutMultiple = 8;
constexpr uint64_t kMebibyte = 1024 * 1024;

class FaultLatencyBench {
 public:
  explicit FaultLatencyBench(BenchOptions options) : options_(std::move(options)) {}

  // Starts the pager, then pins the calling thread: the pager's threads keep the choice of CPUs.
  bool Start();
  void AddMachineContext() const;
  void RegisterAll();
  void PrintSummaries(std::FILE* to) const;
  // Gives the managed memory back, and with it the space in the page file.
  void GiveMemoryBack() { paged_out_.reset(); }

 private:
  void Register(const std::string& name, std::function<Contest()> make);
  Contest MakeDemandZeroSingle();
  Contest MakeDemandZeroSequential();
  Contest MakeSoft();
  Contest MakeHard();
  Contest MakeWriteProtect();

  ContestOptions OptionsFor(unsigned touches, Counting counting) const;
  uint64_t PagedOutPages() const {
    return options_.memory_mib * kMebibyte / kPageBytes * kPagedOutMultiple;
  }
  const std::shared_ptr<ManagedPages>& PagedOutRegion();
  std::vector<uint32_t> OldPages(unsigned third) const;
  void AddEchoes(EchoAnswer answer, Emptying emptying, uint64_t pages, Rivals* rivals) const;

  const BenchOptions options_;
  cpu_set_t all_cpus_{};
  int cpu_ = 0;
  std::shared_ptr<ManagedPages> paged_out_;
  std::vector<ContestSummary> summaries_;
};

bool FaultLatencyBench::Start() {
  userpager_options options;
  userpager_options_init(&options);
  options.memory_limit_bytes = options_.memory_mib * kMebibyte;
  options.page_file_max_bytes = PagedOutPages() * kPageBytes + kScatterRegionPages * kPageBytes;
  // The pager would make a file of that name, and the disk's floor would find no directory.
  if (!IsDirectory(options_.directory) || options_.directory.size() >= sizeof(options.page_file)) {
    std::fprintf(stderr, "fault_latency_bench: %s is not a directory\n",
                 options_.directory.c_str());
    return false;
  }
  std::memcpy(options.page_file, options_.directory.c_str(), options_.directory.size() + 1);
  if (userpager_options_parse(&options, options_.conf.c_str()) != 0 ||
      userpager_start(&options) != 0) {
    std::fprintf(stderr, "fault_latency_bench: %s\n", userpager_error_message());
    return false;
  }
  all_cpus_ = AllowedCpus();
  cpu_ = sched_getcpu();
  RunThisThreadOn(OneCpu(cpu_));
  return true;
}

void FaultLatencyBench::AddMachineContext() const {
  userpager_stats stats{};
  stats.struct_bytes = sizeof(stats);
  if (userpager_get_stats(&stats) != 0) return;
  benchmark::AddCustomContext("kernel", KernelName());
  benchmark::AddCustomContext("cpus", absl::StrFormat("%d allowed; touching thread on CPU %d",
                                                      CPU_COUNT(&all_cpus_), cpu_));
  benchmark::AddCustomContext("memory limit",
                              absl::StrFormat("%u MiB", stats.memory_limit_bytes / kMebibyte));
  benchmark::AddCustomContext(
      "page file",
      absl::StrFormat("%s on %s, %s", options_.directory, FileSystemName(options_.directory),
                      stats.io == USERPAGER_IO_URING ? "io_uring" : "I/O threads"));
  benchmark::AddCustomContext("pager", absl::StrFormat("%u shards, %s UFFDIO_MOVE", stats.shards,
                                                       stats.uses_move != 0 ? "with" : "without"));
  benchmark::AddCustomContext("clock in each figure",
                              absl::StrFormat("%u ns", ClockCostNanoseconds()));
}

void FaultLatencyBench::RegisterAll() {
  Register("demand-zero, single", [this] { return MakeDemandZeroSingle(); });
  Register("demand-zero, sequential", [this] { return MakeDemandZeroSequential(); });
  Register("soft", [this] { return MakeSoft(); });
  Register("hard", [this] { return MakeHard(); });
  Register("write-protect", [this] { return MakeWriteProtect(); });
}

// One iteration is one whole contest: it bounds itself, and its rounds are the repetitions.
void FaultLatencyBench::Register(const std::string& name, std::function<Contest()> make) {
  const auto run = [this, name, make = std::move(make)](benchmark::State& state) {
    for (auto unused : state) {
      Contest contest = make();
      contest.Run();
      const ContestSummary summary = Summarize(name, &contest);
      const RivalSummary& pager = summary.rivals.front();
      state.SetIterationTime(pager.p50_us / 1e6);
      state.counters["p50_us"] = pager.p50_us;
      state.counters["p99_us"] = pager.p99_us;
      state.counters["p99.9_us"] = pager.p999_us;
      state.counters["intended_percent"] = pager.intended_percent;
      state.counters["own_us"] = summary.comparisons[1].own_us;
      state.counters["own_us_over_free_echo"] = summary.comparisons[0].own_us;
      state.counters["ratio"] = summary.comparisons[1].ratio;
      state.counters["ratio_to_free_echo"] = summary.comparisons[0].ratio;
      summaries_.push_back(summary);
    }
  };
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->Iterations(1)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

ContestOptions FaultLatencyBench::OptionsFor(unsigned touches, Counting counting) const {
  ContestOptions options;
  options.rounds = options_.rounds;
  options.touches = touches;
  options.time_limit_ns = uint64_t{options_.seconds} * 1'000'000'000;
  options.counting = counting;
  return options;
}

std::string EchoName(EchoAnswer answer) {
  switch (answer) {
    case EchoAnswer::kCopy:
      return "echo (COPY)";
    case EchoAnswer::kMove:
      return "echo (MOVE)";
    case EchoAnswer::kUnprotect:
      return "echo (WRITEPROTECT)";
  }
  return "echo";
}

void FaultLatencyBench::AddEchoes(EchoAnswer answer, Emptying emptying, uint64_t pages,
                                  Rivals* rivals) const {
  rivals->push_back(std::make_unique<EchoFloor>(EchoName(answer) + ", handler free to move",
                                                Role::kEcho, answer, emptying, pages, all_cpus_));
  rivals->push_back(std::make_unique<EchoFloor>(EchoName(answer) + ", handler on same CPU",
                                                Role::kEchoSameCpu, answer, emptying, pages,
                                                OneCpu(cpu_)));
}

std::vector<uint32_t> Shuffled(std::vector<uint32_t> pages) {
  std::shuffle(pages.begin(), pages.end(), std::mt19937(3));
  return pages;
}

std::vector<uint32_t> ScatteredPages() {
  std::vector<uint32_t> pages;
  for (uint32_t page = 0; page < kScatterRegionPages; page += kScatterStridePages) {
    pages.push_back(page);
  }
  return Shuffled(std::move(pages));
}

// A third of the pages that are paged out, in random order; the thirds have no page in common. The
// region's last quarter is left out: some of it is still in memory when the region has been filled.
std::vector<uint32_t> FaultLatencyBench::OldPages(unsigned third) const {
  const uint64_t old_pages = PagedOutPages() / 4 * 3;
  std::vector<uint32_t> pages(old_pages);
  std::iota(pages.begin(), pages.end(), 0);
  pages = Shuffled(std::move(pages));
  const auto part = static_cast<ptrdiff_t>(pages.size() / 3);
  const auto begin = pages.begin() + part * static_cast<ptrdiff_t>(third);
  return std::vector<uint32_t>(begin, begin + part);
}

const std::shared_ptr<ManagedPages>& FaultLatencyBench::PagedOutRegion() {
  if (paged_out_ == nullptr) {
    paged_out_ = std::make_shared<ManagedPages>(PagedOutPages());
    paged_out_->FillWithRandomBytes();
  }
  return paged_out_;
}

Contest FaultLatencyBench::MakeDemandZeroSingle() {
  Rivals rivals;
  rivals.push_back(
      std::make_unique<DemandZeroFaults>("first touch, scattered", kScatterRegionPages));
  AddEchoes(EchoAnswer::kCopy, Emptying::kWholeRegion, kScatterRegionPages, &rivals);
  rivals.push_back(std::make_unique<KernelFloor>(kScatterRegionPages));
  return Contest(std::move(rivals), ScatteredPages(),
                 OptionsFor(options_.touches, Counting::kWholeBlock));
}

// Four times the touches, as a run of pages that grows needs room to grow in.
Contest FaultLatencyBench::MakeDemandZeroSequential() {
  const unsigned touches = 4 * options_.touches;
  std::vector<uint32_t> pages(touches);
  std::iota(pages.begin(), pages.end(), 0);
  Rivals rivals;
  rivals.push_back(std::make_unique<DemandZeroFaults>("first touch, in order", touches));
  AddEchoes(EchoAnswer::kCopy, Emptying::kWholeRegion, touches, &rivals);
  rivals.push_back(std::make_unique<KernelFloor>(touches));
  ContestOptions options = OptionsFor(touches, Counting::kWholeBlock);
  options.compared = Compared::kTouches;
  return Contest(std::move(rivals), std::move(pages), options);
}

Contest FaultLatencyBench::MakeSoft() {
  Rivals rivals;
  rivals.push_back(std::make_unique<SoftFaults>(PagedOutRegion()));
  AddEchoes(KernelHasMove() ? EchoAnswer::kMove : EchoAnswer::kCopy, Emptying::kTouchedPages,
            PagedOutPages(), &rivals);
  return Contest(std::move(rivals), OldPages(0),
                 OptionsFor(options_.touches, Counting::kEachTouch));
}

Contest FaultLatencyBench::MakeHard() {
  Rivals rivals;
  rivals.push_back(std::make_unique<HardFaults>(PagedOutRegion()));
  AddEchoes(EchoAnswer::kCopy, Emptying::kTouchedPages, PagedOutPages(), &rivals);
  auto disk = std::make_unique<DiskFloor>(options_.directory, PagedOutPages());
  if (!disk->direct()) {
    std::fprintf(stderr, "fault_latency_bench: %s has no direct I/O: the disk's floor is cached\n",
                 options_.directory.c_str());
  }
  rivals.push_back(std::move(disk));
  return Contest(std::move(rivals), OldPages(1),
                 OptionsFor(options_.touches, Counting::kEachTouch));
}

Contest FaultLatencyBench::MakeWriteProtect() {
  Rivals rivals;
  rivals.push_back(std::make_unique<WriteProtectFaults>(PagedOutRegion()));
  AddEchoes(EchoAnswer::kUnprotect, Emptying::kTouchedPages, PagedOutPages(), &rivals);
  return Contest(std::move(rivals), OldPages(2),
                 OptionsFor(options_.touches, Counting::kEachTouch));
}

void FaultLatencyBench::PrintSummaries(std::FILE* to) const {
  for (const ContestSummary& summary : summaries_) {
    std::fprintf(to, "\n%s", FormatSummary(summary).c_str());
  }
}

// A format for machines has standard output for itself.
bool StandardOutputIsForPeople(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    const absl::string_view flag = "--benchmark_format=";
    if (argument.substr(0, flag.size()) == flag) return argument.substr(flag.size()) == "console";
  }
  return true;
}

int Main(int argc, char** argv) {
  if (argc > 1 && absl::string_view(argv[1]) == "--help") {
    std::printf("%s", BenchOptionsHelp().c_str());
    return 0;
  }
  std::FILE* const people = StandardOutputIsForPeople(argc, argv) ? stdout : stderr;
  benchmark::Initialize(&argc, argv);
  BenchOptions options;
  if (const std::string wrong = ParseBenchOptions(argc, argv, &options); !wrong.empty()) {
    std::fprintf(stderr, "fault_latency_bench: %s\n", wrong.c_str());
    return 2;
  }
  FaultLatencyBench bench(options);
  if (!bench.Start()) return 1;
  bench.AddMachineContext();
  bench.RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  bench.PrintSummaries(people);
  bench.GiveMemoryBack();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace userpager::bench

int main(int argc, char** argv) { return userpager::bench::Main(argc, argv); }
