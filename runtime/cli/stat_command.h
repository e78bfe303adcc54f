// userpager stat: the statistics of processes under the runtime, once.
#ifndef USERPAGER_CLI_STAT_COMMAND_H_
#define USERPAGER_CLI_STAT_COMMAND_H_

#include <string>
#include <string_view>
#include <vector>

namespace userpager::cli {

inline constexpr std::string_view kStatHelp =
    "usage: userpager stat [--json | --prometheus] [PID | NAME]\n"
    "  Shows the statistics of a process that runs under userpager, linked with it or by\n"
    "  userpager run, at this moment; without a process, those of all that may be looked at (the\n"
    "  user's own; root may look at all). The process is not disturbed, and may be stopped.\n"
    "\n"
    "options:\n"
    "  --json        an object with the names of userpager_get_stats(), and pid and name; without\n"
    "                a process, an array of them\n"
    "  --prometheus  Prometheus' text format\n"
    "\n"
    "exit status: 0, 1 where there is no such process or it cannot be looked at, 2 for bad\n"
    "  options\n"
    "\n"
    "example:\n"
    "  userpager stat sort\n";

// `arguments` are those after "stat". Returns the exit status.
int StatCommand(const std::vector<std::string>& arguments);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_STAT_COMMAND_H_
