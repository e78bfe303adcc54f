// userpager limit: another memory limit for a process that runs.
#ifndef USERPAGER_CLI_LIMIT_COMMAND_H_
#define USERPAGER_CLI_LIMIT_COMMAND_H_

#include <string>
#include <string_view>
#include <vector>

namespace userpager::cli {

inline constexpr std::string_view kLimitHelp =
    "usage: userpager limit PID|NAME SIZE\n"
    "  Changes the memory limit of a process that runs under userpager, up or down, and waits\n"
    "  until its resident pages are within it. Only the process's own user and root may.\n"
    "\n"
    "  SIZE  bytes, or with K, M, G, T (powers of 1024), or with % of the memory that this\n"
    "        machine has or the cgroups of this command allow\n"
    "\n"
    "exit status: 0 when it is done, 1 where it is not, and the limit is as it was, 2 for bad\n"
    "  arguments\n"
    "\n"
    "example:\n"
    "  userpager limit sort 512M\n";

// `arguments` are those after "limit". Returns the exit status.
int LimitCommand(const std::vector<std::string>& arguments);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_LIMIT_COMMAND_H_
