// RunChild: this program once more, in a process of its own, and what it printed.
#ifndef USERPAGER_BENCH_SUPPORT_CHILD_RUN_H_
#define USERPAGER_BENCH_SUPPORT_CHILD_RUN_H_

#include <string>
#include <utility>
#include <vector>

namespace userpager::bench {

struct ChildResult {
  std::string output;   // what it wrote to standard output
  std::string problem;  // "" where it ended well, else how it ended
  double peak_rss_mib = 0;
};

// Names and values of environment variables.
using Environment = std::vector<std::pair<std::string, std::string>>;

// `added`: what the child's environment has beside this process's. A child that takes longer than
// `seconds_max` is killed; one whose parent dies is killed too.
ChildResult RunChild(const std::vector<std::string>& arguments, const Environment& added,
                     unsigned seconds_max);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_CHILD_RUN_H_
