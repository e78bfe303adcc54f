// userpager run: executes a program with the preload library, in its own place: process id, exit
// status, signals and standard streams are the program's.
#ifndef USERPAGER_CLI_RUN_COMMAND_H_
#define USERPAGER_CLI_RUN_COMMAND_H_

#include <string>
#include <string_view>
#include <vector>

namespace userpager::cli {

inline constexpr std::string_view kRunHelp =
    "usage: userpager run [options] [--] program [arguments]\n"
    "  Executes the program with its heap and its private anonymous mappings as managed memory.\n"
    "  The tool becomes the program: process id, signals and standard streams are the program's.\n"
    "\n"
    "options:\n"
    "  --memory SIZE         the most memory of the program's heap and mappings: 256M, 25%; auto:\n"
    "                        follows what the machine and the cgroup can spare, and says so\n"
    "  --page-file PLACE     a directory, a file or a block device (default /var/tmp)\n"
    "  --page-file-max SIZE  the most that the page file may grow to\n"
    "  --commit MODE         lazy (default), or strict: what fits nowhere is refused\n"
    "  --shards N            pager threads\n"
    "  --children WHO        paged (default): forked children and programs that it starts have\n"
    "                        the same limit, each for itself; none: children have plain memory,\n"
    "                        programs run without the library\n"
    "  --stats FILE          statistics as JSON, written when the program ends\n"
    "  --trace FILE          records what the pager does, for userpager report; %p in the name\n"
    "                        stands for the process id, and the programs that it starts are\n"
    "                        recorded as well then, each to its own file\n"
    "  --callers             with --trace: records too which code asks for memory: its callers,\n"
    "                        at each mapping, and each extent or large block of malloc's\n"
    "  --verbose             says what is run, and how\n"
    "\n"
    "exit status: the program's, or 2 for bad options, 127 where there is no such program, 126\n"
    "  where it may not be executed or the library could not come into it\n"
    "\n"
    "example:\n"
    "  userpager run --memory 256M -- sort -S 4G large.txt\n";

// `arguments` are those after "run". Does not return where the program runs. Returns the exit
// status: 2 for bad arguments, 126 where the program cannot be run so, 127 where there is none.
int RunCommand(const std::vector<std::string>& arguments);
// The same for another command that does so, and complains by its own name.
int RunAs(std::string_view command, const std::vector<std::string>& arguments);
// Whether the option has its value in the next argument.
bool RunWantsValue(const std::string& option);

// Where the preload library is: beside the tool, or where it is installed; empty: in neither place.
std::string FindPreloadLibrary();

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_RUN_COMMAND_H_
