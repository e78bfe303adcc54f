#include "bench/support/out_of_core_options.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace userpager::bench {
namespace {

constexpr uint64_t kMebibyte = uint64_t{1} << 20;
// The bounds keep a run short and its disk space below 8 GiB, a swap file and all.
constexpr uint64_t kDataBytesMax = 3 * 1024 * kMebibyte;
constexpr uint64_t kLimitBytesMin = 8 * kMebibyte;

// "256M" as 256 * 2^20, whole pages of it.
bool ParseBytes(absl::string_view text, uint64_t* bytes) {
  unsigned shift = 0;
  if (absl::ConsumeSuffix(&text, "K")) shift = 10;
  if (absl::ConsumeSuffix(&text, "M")) shift = 20;
  if (absl::ConsumeSuffix(&text, "G")) shift = 30;
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number > kDataBytesMax >> shift) return false;
  *bytes = (number << shift) / kPageBytes * kPageBytes;
  return true;
}

template <typename T>
bool ParseNumber(absl::string_view text, T most, T* number) {
  return absl::SimpleAtoi(text, number) && *number >= 1 && *number <= most;
}

// "all" is every one of the table; `which` is the member that a row stands for.
template <typename Table, typename Value, typename Member>
bool ParseNames(absl::string_view text, const Table& table, Member which,
                std::vector<Value>* values) {
  values->clear();
  for (const absl::string_view name : absl::StrSplit(text, ',')) {
    const size_t before = values->size();
    for (const auto& row : table) {
      if (name == "all" || name == row.name) values->push_back(row.*which);
    }
    if (values->size() == before) return false;
  }
  return true;
}

template <typename Table>
std::string Names(const Table& table) {
  std::string names;
  for (const auto& row : table) absl::StrAppend(&names, names.empty() ? "" : ", ", row.name);
  return names;
}

bool ParseText(absl::string_view name, absl::string_view value, OutOfCoreOptions* options) {
  const std::pair<const char*, std::string*> texts[] = {
      {"directory", &options->directory},
      {"conf", &options->conf},
      {"cgroup", &options->cgroup},
      {"preload", &options->preload},
      {"json", &options->json},
      {"markdown", &options->markdown},
      {"svg", &options->svg},
  };
  for (const auto& [text_name, text] : texts) {
    if (name != text_name) continue;
    *text = std::string(value);
    return true;
  }
  return false;
}

bool ParseOne(absl::string_view name, absl::string_view value, OutOfCoreOptions* options) {
  if (name == "backend") {
    return ParseNames(value, kBackends, &BackendTraits::backend, &options->backends);
  }
  if (name == "workload") {
    return ParseNames(value, kWorkloads, &WorkloadTraits::workload, &options->workloads);
  }
  if (name == "data") return ParseBytes(value, &options->data_bytes);
  if (name == "limit") {
    return ParseBytes(value, &options->limit_bytes) && options->limit_bytes >= kLimitBytesMin;
  }
  if (name == "accesses") return ParseNumber(value, uint64_t{1} << 24, &options->accesses);
  if (name == "rounds") return ParseNumber(value, 100u, &options->rounds);
  if (name == "seconds") return ParseNumber(value, 60u, &options->seconds);
  return ParseText(name, value, options);
}

}  // namespace

const BackendTraits& TraitsOf(Backend backend) { return kBackends[static_cast<size_t>(backend)]; }

bool Applies(Backend backend, Workload workload) {
  const bool fits = TraitsOf(workload).fits;
  switch (backend) {
    case Backend::kLibrary:
      return true;
    case Backend::kLibraryTwoShards:
      return workload == Workload::kTwoThreads;
    case Backend::kLibraryInline:
      return workload == Workload::kRandom1;
    case Backend::kPlain:
      return fits;
    case Backend::kDisk:
      return workload == Workload::kFill || workload == Workload::kSequential ||
             workload == Workload::kReverse || workload == Workload::kRandom1 ||
             workload == Workload::kRandom2 || workload == Workload::kRandom8;
    case Backend::kEcho:
      return workload == Workload::kRandom1;
    case Backend::kPreload:
    case Backend::kSwap:
    case Backend::kMapped:
    case Backend::kMappedSequential:
    case Backend::kMappedRandom:
      return !fits;
  }
  return false;
}

bool NeedsCgroup(Backend backend) {
  return backend == Backend::kSwap || backend == Backend::kMapped ||
         backend == Backend::kMappedSequential || backend == Backend::kMappedRandom;
}

WorkloadLimits OutOfCoreOptions::limits() const {
  WorkloadLimits limits;
  limits.memory_pages = limit_bytes / kPageBytes;
  limits.accesses = accesses;
  limits.time_ns = uint64_t{seconds} * 1'000'000'000;
  return limits;
}

std::string OutOfCoreHelp() {
  const OutOfCoreOptions defaults;
  return absl::StrFormat(
      "out_of_core_bench [--backend=all] [--workload=all] [--data=1G] [--limit=256M]\n"
      "    [--rounds=%u] [--seconds=%u] [--accesses=%u] [--directory=%s] [--conf=TEXT]\n"
      "    [--cgroup=DIRECTORY] [--preload=FILE] [--json=FILE] [--markdown=FILE]\n"
      "    [--svg=DIRECTORY]\n"
      "backend    names with commas between them, or all: %s\n"
      "workload   likewise: %s\n"
      "data       of the workloads that do not fit into the limit (at most 3G)\n"
      "limit      of the memory (8M to less than the data)\n"
      "seconds    after which a workload stops (1 to 60); its fill is not cut short\n"
      "accesses   of a random workload (at most 16777216)\n"
      "directory  of the page file and of the rivals' files\n"
      "conf       further options of the pager, in the form of USERPAGER_CONF\n"
      "cgroup     a memory cgroup for the kernel's rivals; bench/run.sh makes one, and a swap "
      "file\n"
      "preload    the preload library\n"
      "json, markdown, svg  where to write the results\n",
      defaults.rounds, defaults.seconds, defaults.accesses, defaults.directory, Names(kBackends),
      Names(kWorkloads));
}

std::string ParseOutOfCoreOptions(int argc, char** argv, OutOfCoreOptions* options) {
  ParseOne("backend", "all", options);
  ParseOne("workload", "all", options);
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (argument == "--child") {
      options->child = true;
      continue;
    }
    const size_t equals = argument.find('=');
    if (!absl::StartsWith(argument, "--") || equals == absl::string_view::npos ||
        !ParseOne(argument.substr(2, equals - 2), argument.substr(equals + 1), options)) {
      return absl::StrFormat("unknown option or bad value: %s\n%s", argument, OutOfCoreHelp());
    }
  }
  if (options->limit_bytes >= options->data_bytes) return "the data must be larger than the limit";
  return "";
}

std::vector<std::string> ArgumentsForChild(const OutOfCoreOptions& options, Backend backend,
                                           Workload workload) {
  return {
      "--child",
      absl::StrFormat("--backend=%s", TraitsOf(backend).name),
      absl::StrFormat("--workload=%s", TraitsOf(workload).name),
      absl::StrFormat("--data=%u", options.data_bytes),
      absl::StrFormat("--limit=%u", options.limit_bytes),
      absl::StrFormat("--accesses=%u", options.accesses),
      absl::StrFormat("--seconds=%u", options.seconds),
      "--directory=" + options.directory,
      "--conf=" + options.conf,
      "--cgroup=" + options.cgroup,
  };
}

}  // namespace userpager::bench
