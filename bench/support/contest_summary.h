// ContestSummary: what a contest showed, in microseconds, and how it is printed.
#ifndef USERPAGER_BENCH_SUPPORT_CONTEST_SUMMARY_H_
#define USERPAGER_BENCH_SUPPORT_CONTEST_SUMMARY_H_

#include <string>
#include <utility>
#include <vector>

#include "bench/support/contest.h"

namespace userpager::bench {

struct RivalSummary {
  std::string name;
  Role role = Role::kPager;
  double p50_us = 0;  // median over the rounds of the rounds' medians
  double p99_us = 0;  // of all samples
  double p999_us = 0;
  double touch_mean_us = 0;  // median over the rounds of the rounds' means, whatever a touch met
  size_t samples = 0;
  double intended_percent = 0;  // share of the touches that made a fault of the intended kind
};

// The pager against one of its echoes: medians over the rounds.
struct EchoComparison {
  std::string echo;
  double own_us = 0;  // the pager's figure less the echo's, and less the disk's if there is one
  double ratio = 0;   // the pager's figure divided by the echo's
};

struct ContestSummary {
  std::string title;
  unsigned rounds = 0;
  bool with_disk = false;
  Compared compared = Compared::kFaults;
  std::vector<RivalSummary> rivals;
  std::vector<EchoComparison> comparisons;
};

ContestSummary Summarize(const std::string& title, Contest* contest);

// The summary as lines of text, each ended by a newline.
std::string FormatSummary(const ContestSummary& summary);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_CONTEST_SUMMARY_H_
