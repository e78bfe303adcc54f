// userpager run: executes a program with the preload library, in its own place: process id, exit
// status, signals and standard streams are the program's.
#ifndef USERPAGER_CLI_RUN_COMMAND_H_
#define USERPAGER_CLI_RUN_COMMAND_H_

#include <string>
#include <vector>

namespace userpager::cli {

inline constexpr int kUsageError = 2;
inline constexpr int kCannotRun = 126;

// `arguments` are those after "run". Does not return where the program runs. Returns the exit
// status: 2 for bad arguments, 126 where the program cannot be run so, 127 where there is none.
int RunCommand(const std::vector<std::string>& arguments);

// What --help prints of it.
std::string RunUsage();

// Where the preload library is: beside the tool, or where it is installed; empty: in neither place.
std::string FindPreloadLibrary();

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_RUN_COMMAND_H_
