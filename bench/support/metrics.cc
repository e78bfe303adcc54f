#include "bench/support/metrics.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace userpager::bench {

std::string FormatMetrics(const Metrics& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics) absl::StrAppendFormat(&text, "%s %.9g\n", name, value);
  return text;
}

bool ParseMetrics(absl::string_view text, Metrics* metrics) {
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    double value = 0;
    if (words.size() != 2 || words[0].empty() || !absl::SimpleAtod(words[1], &value)) return false;
    (*metrics)[std::string(words[0])] = value;
  }
  return true;
}

void AddThroughput(uint64_t accesses, uint64_t bytes_of_access, uint64_t nanoseconds, bool bytes,
                   Metrics* metrics) {
  const double seconds = static_cast<double>(std::max<uint64_t>(nanoseconds, 1)) / 1e9;
  const double done =
      bytes ? static_cast<double>(accesses * bytes_of_access) / 1e6 : static_cast<double>(accesses);
  (*metrics)["value"] = done / seconds;
  (*metrics)["accesses"] = static_cast<double>(accesses);
  (*metrics)["seconds"] = seconds;
}

}  // namespace userpager::bench
