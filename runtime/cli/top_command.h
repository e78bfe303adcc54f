// userpager top: what the processes under the runtime do, again and again.
#ifndef USERPAGER_CLI_TOP_COMMAND_H_
#define USERPAGER_CLI_TOP_COMMAND_H_

#include <string>
#include <string_view>
#include <vector>

namespace userpager::cli {

inline constexpr std::string_view kTopHelp =
    "usage: userpager top [-b] [-n COUNT] [-d SECONDS] [PID | NAME]\n"
    "  Shows, again and again, what the processes that run under userpager did since the time\n"
    "  before: a line for each, or all about one. q quits. Only processes that may be looked at\n"
    "  are shown: the user's own, and all for root.\n"
    "\n"
    "options:\n"
    "  -b          as text, one picture after the other, for files and pipes\n"
    "  -n COUNT    ends after so many pictures\n"
    "  -d SECONDS  between two pictures, 0.1 to 3600 (default 2); the first comes after as long\n"
    "\n"
    "columns: resident memory, its limit, and the share; what is in the page file; faults a\n"
    "  second by kind (first touch, page still in memory, page read, first write to a clean\n"
    "  page); MB/s from and to the page file; how long 99% of the faults that read took at most\n"
    "\n"
    "of one process: the same in words, and the regions of memory that fault most, by a sample\n"
    "  of one fault in 32 or so\n"
    "\n"
    "exit status: 0, 1 where there is no such process or it cannot be looked at, 2 for bad\n"
    "  options\n"
    "\n"
    "example:\n"
    "  userpager top -b -n 3 -d 1 sort\n";

// `arguments` are those after "top". Returns the exit status.
int TopCommand(const std::vector<std::string>& arguments);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_TOP_COMMAND_H_
