// A recording for other tools, written as it is read.
#ifndef USERPAGER_CLI_TRACE_EXPORT_H_
#define USERPAGER_CLI_TRACE_EXPORT_H_

#include <ostream>

#include "runtime/cli/trace_file.h"

namespace userpager::cli {

// Comma-separated values: one line of names, then one line for each event and each sample.
//   seconds,shard,kind,address,pages,thread,latency_ns
// `seconds` are since the beginning; of a fault, `address` is the page that was touched and `pages`
// how many came with it. A sample has the kinds limit, charged, mapped and file_used, one line for
// each, with `pages` its value and no address.
void WriteCsv(const TraceFile& file, std::ostream& out);

// The JSON of Chrome's trace viewer and of Perfetto (ui.perfetto.dev): faults are slices of the
// thread that made them, transfers are slices of the page file, samples are counters.
void WriteChromeTrace(const TraceFile& file, std::ostream& out);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_TRACE_EXPORT_H_
