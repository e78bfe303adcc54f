#include "bench/support/bench_options.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace userpager::bench {
namespace {

// A number between 1 and `most`; the bounds keep a run short and its disk space small.
template <typename T>
bool ParseNumber(absl::string_view text, T most, T* number) {
  return absl::SimpleAtoi(text, number) && *number >= 1 && *number <= most;
}

bool ParseOne(absl::string_view name, absl::string_view value, BenchOptions* options) {
  if (name == "rounds") return ParseNumber(value, 1000u, &options->rounds);
  if (name == "touches") return ParseNumber(value, 2048u, &options->touches);
  if (name == "seconds") return ParseNumber(value, 600u, &options->seconds);
  if (name == "memory_mib") return ParseNumber(value, uint64_t{80}, &options->memory_mib);
  if (name == "directory") {
    options->directory = std::string(value);
    return !value.empty();
  }
  if (name == "conf") {
    options->conf = std::string(value);
    return true;
  }
  return false;
}

}  // namespace

std::string BenchOptionsHelp() {
  const BenchOptions defaults;
  return absl::StrFormat(
      "fault_latency_bench [--rounds=%u] [--touches=%u] [--seconds=%u] [--memory_mib=%u]\n"
      "                    [--directory=%s] [--conf=<as USERPAGER_CONF>] [--benchmark_...]\n"
      "rounds     of each kind of fault, at most (1 to 1000)\n"
      "touches    of each rival in each round (1 to 2048)\n"
      "seconds    for each kind of fault, filling memory and disk excepted (1 to 600)\n"
      "memory_mib the pager's memory limit (1 to 80); eight times as much is paged out, and the\n"
      "           floor of the disk takes a file of that size as well\n"
      "directory  of the page file and of that file\n"
      "conf       further options of the pager, for example shards:2,move:off\n",
      defaults.rounds, defaults.touches, defaults.seconds, defaults.memory_mib, defaults.directory);
}

std::string ParseBenchOptions(int argc, char** argv, BenchOptions* options) {
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    if (argument.substr(0, 2) != "--" || equals == absl::string_view::npos ||
        !ParseOne(argument.substr(2, equals - 2), argument.substr(equals + 1), options)) {
      return absl::StrFormat("unknown option or bad value: %s\n%s", argument, BenchOptionsHelp());
    }
  }
  return "";
}

}  // namespace userpager::bench
