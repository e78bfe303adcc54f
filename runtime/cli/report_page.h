// The page of `userpager report`: one HTML text that needs no network and no other file, readable
// in light and dark. Everything is drawn when it is made; its script only shows and hides.
//
// For scripts and tests: <body data-pick> is the group that is shown ("0": all memory, else the
// region's number); what belongs to one group alone has data-for; what picks one has data-pick. A
// group in the address (#2) is picked when the page opens.
#ifndef USERPAGER_CLI_REPORT_PAGE_H_
#define USERPAGER_CLI_REPORT_PAGE_H_

#include <string>

#include "runtime/cli/trace_file.h"
#include "runtime/cli/trace_summary.h"

namespace userpager::cli {

std::string ReportPage(const TraceFile& file, const TraceSummary& summary);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_REPORT_PAGE_H_
