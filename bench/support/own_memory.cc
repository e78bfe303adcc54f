#include "bench/support/own_memory.h"

#include <errno.h>

#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "bench/support/machine.h"

namespace userpager::bench {

int64_t OwnMemoryBytes() {
  std::ifstream maps("/proc/self/smaps");
  if (!maps) Die("reading /proc/self/smaps", errno);
  int64_t own_kib = 0;
  int64_t mapping_kib = 0;
  for (std::string line; std::getline(maps, line);) {
    if (absl::StartsWith(line, "Rss:")) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (words.size() < 2 || !absl::SimpleAtoi(words[1], &mapping_kib)) mapping_kib = 0;
    } else if (absl::StartsWith(line, "VmFlags:")) {
      // The last line of a mapping. "um", "uw": registered for missing pages, for write protection.
      const bool managed = absl::StrContains(line, " um") || absl::StrContains(line, " uw");
      if (!managed) own_kib += mapping_kib;
    }
  }
  return own_kib * 1024;
}

}  // namespace userpager::bench
