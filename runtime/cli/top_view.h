// What userpager top shows, as lines of text.
#ifndef USERPAGER_CLI_TOP_VIEW_H_
#define USERPAGER_CLI_TOP_VIEW_H_

#include <string>
#include <vector>

#include "runtime/cli/process_rates.h"

namespace userpager::cli {

// A table with a line for each process; the first line is its head. Those with most faults first.
std::vector<std::string> TopTable(std::vector<ProcessRates> processes);
// All about one process.
std::vector<std::string> TopDetails(const ProcessRates& process);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_TOP_VIEW_H_
