// userpager report: a recording as a page, as JSON for Perfetto, or as CSV.
#ifndef USERPAGER_CLI_REPORT_COMMAND_H_
#define USERPAGER_CLI_REPORT_COMMAND_H_

#include <string>
#include <string_view>
#include <vector>

namespace userpager::cli {

inline constexpr std::string_view kReportHelp =
    "usage: userpager report [options] FILE\n"
    "  Makes a page of a recording (userpager record): one HTML file that needs no network, with\n"
    "  where and when the program faulted, how long that took, what memory it used, what another\n"
    "  memory limit would have cost, and what can be done.\n"
    "\n"
    "options:\n"
    "  -o, --output FILE     where the page goes (default: the recording's name and .html)\n"
    "  --chrome-trace FILE   JSON instead of the page, for ui.perfetto.dev or chrome://tracing\n"
    "  --csv FILE            all events as comma-separated values instead of the page\n"
    "  FILE is - for standard output. With both, both are written, and no page without -o.\n"
    "\n"
    "exit status: 0, or 1 where the file is no whole recording or a result cannot be written, 2\n"
    "  for bad options\n"
    "\n"
    "example:\n"
    "  userpager record -o sort.trace --memory 256M -- sort -S 4G large.txt\n"
    "  userpager report sort.trace\n";

// `arguments` are those after "report". Returns the exit status.
int ReportCommand(const std::vector<std::string>& arguments);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_REPORT_COMMAND_H_
