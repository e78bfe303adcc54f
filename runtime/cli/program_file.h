// ProgramFile: the file that exec would run for a command, and whether the preload library can come
// into it.
#ifndef USERPAGER_CLI_PROGRAM_FILE_H_
#define USERPAGER_CLI_PROGRAM_FILE_H_

#include <string>

namespace userpager::cli {

// The path of the command as exec finds it in PATH. `*status` is 0, or 126 (it may not be executed)
// or 127 (there is none), as env(1) ends with, and the result is then empty.
std::string FindProgram(const std::string& command, int* status);

// Why the dynamic linker would not load the library into the program, or, for a script, into its
// interpreter: a static program, one with more rights than its user, one for another processor.
// Empty: it would.
std::string WhyNotPreloaded(const std::string& path);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_PROGRAM_FILE_H_
