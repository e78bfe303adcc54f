// The charts of a report, each as SVG.
#ifndef USERPAGER_CLI_REPORT_CHARTS_H_
#define USERPAGER_CLI_REPORT_CHARTS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/cli/trace_file.h"
#include "runtime/cli/trace_summary.h"

namespace userpager::cli {

std::string AddressChart(const TraceSummary& summary);
std::string MemoryChart(const TraceFile& file, const TraceSummary& summary);
// "" where no page was ever read back: there is no curve then.
std::string MissChart(const TraceSummary& summary);

// Of one group of the summary.
std::string FaultChart(const TraceSummary& summary, size_t group);
std::string LatencyChart(const TraceSummary& summary, size_t group);
std::string TrafficChart(const TraceSummary& summary, size_t group);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_REPORT_CHARTS_H_
