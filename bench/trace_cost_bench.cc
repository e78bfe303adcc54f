// What a recording costs: the same work in processes of their own, one with a recording and one
// without, in turns, so that whatever else the machine does falls on both.
//
//   trace_cost_bench [--pairs=N] [--work=zeros|soft|mixed|all]
//
// zeros: first touches, scattered, within the memory limit: the most events a second. soft: writes
// to pages that come back from the parking area. mixed: four times the memory, a hot part and a
// cold one, reads and writes. Printed is the median over pairs of (with / without - 1), with the
// interval that holds it with 95% by the order of the pairs (the sign test): of the time that
// passed, and of the processor time of all threads, which others on the machine disturb less.
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "bench/support/child_run.h"
#include "bench/support/machine.h"
#include "runtime/base/clock.h"

namespace userpager::bench {
namespace {

constexpr uint64_t kPage = 4096;
constexpr const char* kVariable = "USERPAGER_TRACE";
constexpr unsigned kSecondsMax = 300;

struct Work {
  const char* name;
  uint64_t memory_mib;  // the limit
  uint64_t data_mib;
  uint64_t touches;
};
constexpr Work kWorks[] = {
    {"zeros", 512, 384, 45'000}, {"soft", 32, 40, 30'000}, {"mixed", 32, 128, 30'000}};

double ProcessorSeconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Runs in the child: prints the seconds that the touches took, passed and of processor time.
int DoWork(const Work& work) {
  userpager_options options;
  userpager_options_init(&options);
  options.memory_limit_bytes = work.memory_mib << 20;
  options.page_file_max_bytes = uint64_t{1} << 30;
  if (userpager_start(&options) != 0) Die(userpager_error_message(), 0);
  const uint64_t pages = (work.data_mib << 20) / kPage;
  auto* data = static_cast<volatile char*>(
      VirtualAlloc(nullptr, pages * kPage, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
  if (data == nullptr) Die("VirtualAlloc", 0);
  const bool zeros = std::string(work.name) == "zeros";
  const bool mixed = std::string(work.name) == "mixed";
  if (!zeros) {
    for (uint64_t page = 0; page < pages; ++page) data[page * kPage] = 1;
  }
  std::mt19937_64 random(7);
  const double processor_before = ProcessorSeconds();
  const uint64_t began_ns = NowNanoseconds();
  for (uint64_t i = 0; i < work.touches; ++i) {
    // An odd step goes through all pages, far apart.
    const uint64_t step = i * 40'503 % pages;
    const uint64_t hot = random() % (pages / 8);
    const uint64_t page = !mixed ? step : random() % 4 != 0 ? hot : random() % pages;
    if (!mixed || random() % 2 == 0) {
      data[page * kPage] = 2;
    } else {
      (void)data[page * kPage];
    }
  }
  std::printf("%.9f %.9f\n", static_cast<double>(NowNanoseconds() - began_ns) / 1e9,
              ProcessorSeconds() - processor_before);
  return 0;
}

struct Seconds {
  double passed = 0;
  double processor = 0;
};

Seconds SecondsOf(const Work& work, const std::string& recording) {
  if (recording.empty()) {
    unsetenv(kVariable);
  } else {
    setenv(kVariable, recording.c_str(), 1);
  }
  const ChildResult child =
      RunChild({absl::StrFormat("--child=%s", work.name)}, {}, kSecondsMax);
  Seconds seconds;
  const std::vector<std::string> parts = absl::StrSplit(child.output, ' ');
  if (!child.problem.empty() || parts.size() != 2 ||
      !absl::SimpleAtod(parts[0], &seconds.passed) ||
      !absl::SimpleAtod(parts[1], &seconds.processor)) {
    Die(child.problem.empty() ? child.output.c_str() : child.problem.c_str(), 0);
  }
  return seconds;
}

// How many of the smallest and largest are outside an interval that holds the median with 95%.
size_t OutsideOf95Percent(size_t count) {
  double probability = 1;
  for (size_t i = 0; i < count; ++i) probability /= 2;
  double sum = 0;
  for (size_t k = 0;; ++k) {
    sum += probability;
    if (sum > 0.025) return k;
    probability *= static_cast<double>(count - k) / static_cast<double>(k + 1);
  }
}

// "+0.61% (95%: -0.20% to +1.43%)", of costs in percent.
std::string MedianText(std::vector<double> costs) {
  std::sort(costs.begin(), costs.end());
  const size_t outside = OutsideOf95Percent(costs.size());
  const size_t low = outside == 0 ? 0 : outside - 1;
  return absl::StrFormat("%+.2f%% (95%%: %+.2f%% to %+.2f%%)", costs[costs.size() / 2], costs[low],
                         costs[costs.size() - 1 - low]);
}

void Measure(const Work& work, unsigned pairs) {
  const std::string recording = absl::StrFormat("/var/tmp/trace_cost_%d.trace", getpid());
  std::vector<double> passed;
  std::vector<double> processor;
  std::vector<double> plain_seconds;
  for (unsigned i = 0; i < pairs; ++i) {
    // The order changes: what grows warm or tired does so for both.
    Seconds with;
    if (i % 2 != 0) with = SecondsOf(work, recording);
    const Seconds plain = SecondsOf(work, "");
    if (i % 2 == 0) with = SecondsOf(work, recording);
    passed.push_back(100 * (with.passed / plain.passed - 1));
    processor.push_back(100 * (with.processor / plain.processor - 1));
    plain_seconds.push_back(plain.passed);
  }
  unlink(recording.c_str());
  std::sort(plain_seconds.begin(), plain_seconds.end());
  std::printf("%-6s %u pairs: time %s, processor time %s; %.3f s without a recording\n", work.name,
              pairs, MedianText(passed).c_str(), MedianText(processor).c_str(),
              plain_seconds[plain_seconds.size() / 2]);
  std::fflush(stdout);
}

int Main(const std::vector<std::string>& arguments) {
  unsigned pairs = 21;
  std::string wanted = "all";
  for (const std::string& argument : arguments) {
    const size_t before_value = std::min(argument.find('='), argument.size() - 1);
    const std::string value = argument.substr(before_value + 1);
    if (absl::StartsWith(argument, "--child=")) {
      for (const Work& work : kWorks) {
        if (value == work.name) return DoWork(work);
      }
    }
    if (absl::StartsWith(argument, "--work=")) {
      wanted = value;
    } else if (!absl::StartsWith(argument, "--pairs=") || !absl::SimpleAtoi(value, &pairs) ||
               pairs == 0) {
      std::fprintf(stderr, "trace_cost_bench: there are --pairs=N and --work=NAME, not %s\n",
                   argument.c_str());
      return 2;
    }
  }
  bool any = false;
  for (const Work& work : kWorks) {
    if (wanted != "all" && wanted != work.name) continue;
    any = true;
    Measure(work, pairs);
  }
  if (!any) std::fprintf(stderr, "trace_cost_bench: no work is called %s\n", wanted.c_str());
  return any ? 0 : 2;
}

}  // namespace
}  // namespace userpager::bench

int main(int count, char** values) {
  return userpager::bench::Main(std::vector<std::string>(values + 1, values + count));
}
