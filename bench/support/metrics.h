// Metrics: named figures of one run, and the text in which a child process hands them to its
// parent: a line "name value" for each.
#ifndef USERPAGER_BENCH_SUPPORT_METRICS_H_
#define USERPAGER_BENCH_SUPPORT_METRICS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace userpager::bench {

using Metrics = std::map<std::string, double>;

std::string FormatMetrics(const Metrics& metrics);
// False where a line is not of that form.
bool ParseMetrics(absl::string_view text, Metrics* metrics);

// Adds what a throughput is made of: "value", "accesses", "seconds". `bytes`: as MB/s.
void AddThroughput(uint64_t accesses, uint64_t bytes_of_access, uint64_t nanoseconds, bool bytes,
                   Metrics* metrics);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_METRICS_H_
