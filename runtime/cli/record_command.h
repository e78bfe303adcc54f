// userpager record: userpager run with a recording.
#ifndef USERPAGER_CLI_RECORD_COMMAND_H_
#define USERPAGER_CLI_RECORD_COMMAND_H_

#include <string>
#include <string_view>
#include <vector>

namespace userpager::cli {

inline constexpr std::string_view kRecordHelp =
    "usage: userpager record [-o FILE] [options of run] [--] program [arguments]\n"
    "  Executes the program as userpager run does, and records what the pager does: each fault,\n"
    "  and what is paged in and out. userpager report makes a page of it.\n"
    "\n"
    "options:\n"
    "  -o FILE               where to record (default userpager.trace); each %p in the name\n"
    "                        stands for the process id, and the programs that it starts are then\n"
    "                        recorded as well, each to its own file. A file that is no trace\n"
    "                        file is never overwritten.\n"
    "  --callers             records too which code asks for memory, for the page's list of\n"
    "                        regions; costs something at each mapping and at each extent or\n"
    "                        large block of malloc's, and nothing at a fault\n"
    "  all others            as userpager run has them\n"
    "\n"
    "exit status: as of userpager run; 126 also where the file cannot be written\n"
    "\n"
    "example:\n"
    "  userpager record -o sort.trace --callers --memory 256M -- sort -S 4G large.txt\n"
    "  userpager report sort.trace\n";

// `arguments` are those after "record". As RunCommand.
int RecordCommand(const std::vector<std::string>& arguments);
// As RunWantsValue.
bool RecordWantsValue(const std::string& option);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_RECORD_COMMAND_H_
