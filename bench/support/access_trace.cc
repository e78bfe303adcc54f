#include "bench/support/access_trace.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "bench/support/page_chooser.h"

namespace userpager::bench {
namespace {

using Random = PageChooser::Random;

constexpr uint64_t kSeed = 1;
constexpr uint64_t kPhases = 8;

uint64_t Below(uint64_t bound, Random& random) {
  return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random);
}

// Calls next(i) for each access.
template <typename Next>
void Fill(AccessTrace& trace, uint64_t accesses, const Next& next) {
  for (uint64_t i = 0; i < accesses; ++i) trace.pages.push_back(static_cast<uint32_t>(next(i)));
}

void Choose(Popularity popularity, const TraceSize& size, AccessTrace& trace) {
  Random random(kSeed);
  const PageChooser chooser(popularity, size.pages);
  Fill(trace, size.accesses, [&](uint64_t) { return chooser.Next(random); });
}

void Zipf(const TraceSize& size, AccessTrace& trace) { Choose(Popularity::kZipf, size, trace); }
void Skew(const TraceSize& size, AccessTrace& trace) { Choose(Popularity::kSkew, size, trace); }
void Uniform(const TraceSize& size, AccessTrace& trace) {
  Choose(Popularity::kUniform, size, trace);
}

void Loop(const TraceSize& size, AccessTrace& trace) {
  Fill(trace, size.accesses, [&](uint64_t i) { return i % size.pages; });
}

// A loop that is a quarter too large for memory: nothing is found by age, most could be.
void TightLoop(const TraceSize& size, AccessTrace& trace) {
  const uint64_t length = std::min<uint64_t>(size.pages, uint64_t{size.memory} * 5 / 4);
  Fill(trace, size.accesses, [&](uint64_t i) { return i % length; });
}

// Accesses go anywhere; from the middle of the trace on three of ten return to a page after a third
// of memory was touched.
void Returns(const TraceSize& size, AccessTrace& trace) {
  Random random(kSeed);
  const uint64_t distance = std::max<uint64_t>(size.memory / 3, 1);
  std::vector<uint64_t> others;
  Fill(trace, size.accesses, [&](uint64_t i) {
    const bool returns = i > size.accesses / 2 && others.size() >= distance;
    if (returns && Below(10, random) < 3) return others[others.size() - distance];
    return others.emplace_back(Below(size.pages, random));
  });
}

// Every second access goes to a hot set of half of memory, which comes first in the data; the
// others go through the rest in order, again and again.
void ScanBesideHotSet(const TraceSize& size, AccessTrace& trace) {
  Random random(kSeed);
  const uint64_t hot = size.memory / 2;
  Fill(trace, size.accesses, [&](uint64_t i) {
    return i % 2 == 0 ? Below(hot, random) : hot + i / 2 % (size.pages - hot);
  });
}

// 90% of the accesses go to a hot set of three quarters of memory, the others anywhere; the hot
// set is another one in each phase.
void PhaseChange(const TraceSize& size, AccessTrace& trace) {
  Random random(kSeed);
  const uint64_t hot = uint64_t{size.memory} * 3 / 4;
  const PageChooser scattered(Popularity::kUniform, size.pages);
  Fill(trace, size.accesses, [&](uint64_t i) {
    const uint64_t phase = i * kPhases / size.accesses;
    if (Below(10, random) == 0) return Below(size.pages, random);
    return scattered.PageOfRank((phase * hot + Below(hot, random)) % size.pages);
  });
}

constexpr std::pair<const char*, void (*)(const TraceSize&, AccessTrace&)> kMakers[] = {
    {"zipf", Zipf},
    {"skew", Skew},
    {"scan-hot", ScanBesideHotSet},
    {"phases", PhaseChange},
    {"loop", Loop},
    {"tight-loop", TightLoop},
    {"uniform", Uniform},
    {"returns", Returns},
};

// Of at least one access. Page numbers become small ones, in the same order; where two pages were
// no neighbours, they are none afterwards.
void Compact(const std::vector<uint64_t>& accesses, AccessTrace* trace) {
  std::vector<uint64_t> sorted = accesses;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::vector<uint32_t> numbers(sorted.size());
  for (size_t i = 1; i < sorted.size(); ++i) {
    numbers[i] = numbers[i - 1] + (sorted[i] == sorted[i - 1] + 1 ? 1 : 2);
  }
  for (const uint64_t page : accesses) {
    const auto at = std::lower_bound(sorted.begin(), sorted.end(), page) - sorted.begin();
    trace->pages.push_back(numbers[static_cast<size_t>(at)]);
  }
  trace->page_count = numbers.back() + 1;
  trace->touched = static_cast<uint32_t>(numbers.size());
}

}  // namespace

const std::vector<std::string>& TraceNames() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const auto& [name, make] : kMakers) names.emplace_back(name);
    return names;
  }();
  return kNames;
}

AccessTrace MakeTrace(const std::string& name, const TraceSize& size) {
  AccessTrace trace;
  for (const auto& [known, make] : kMakers) {
    if (name != known) continue;
    trace.name = name;
    trace.page_count = trace.touched = size.pages;
    if (size.with_fill) Fill(trace, size.pages, [](uint64_t i) { return i; });
    trace.counted_from = trace.pages.size();
    make(size, trace);
  }
  return trace;
}

std::string ReadTrace(const std::string& path, AccessTrace* trace) {
  std::ifstream file(path);
  if (!file) return absl::StrFormat("cannot open %s: %s", path, strerror(errno));
  std::vector<uint64_t> accesses;
  std::string line;
  for (uint64_t number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    char* end = nullptr;
    errno = 0;
    const uint64_t page = strtoull(line.c_str(), &end, 0);
    if (errno != 0 || end == line.c_str() || *end != '\0' || line[0] == '-') {
      return absl::StrFormat("%s:%d: \"%s\" is not a page number", path, number, line);
    }
    accesses.push_back(page);
  }
  if (accesses.empty()) return absl::StrFormat("%s has no accesses", path);
  trace->name = path.substr(path.rfind('/') + 1);
  // It goes into a table and into JSON as it is.
  std::replace_if(trace->name.begin(), trace->name.end(), [](char c) {
    return !absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-';
  }, '_');
  Compact(accesses, trace);
  return "";
}

}  // namespace userpager::bench
