// Advice: what a recording shows, and what could be done about it, in words.
#ifndef USERPAGER_CLI_REPORT_ADVICE_H_
#define USERPAGER_CLI_REPORT_ADVICE_H_

#include <string>
#include <vector>

#include "runtime/cli/trace_summary.h"

namespace userpager::cli {

struct Advice {
  std::string finding;  // what was seen, with its numbers
  std::string what_to_do;  // "": nothing
};

// The most important first. Never empty.
std::vector<Advice> AdviceFor(const TraceFile& file, const TraceSummary& summary);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_REPORT_ADVICE_H_
