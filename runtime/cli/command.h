// Command: one word of the tool's command line, and the table of them. A command is a file of this
// room (stat_command.cc, ...) that has a text for --help and a function; command_table.cc names it.
//
// Exit statuses, of all commands but those that become a program (run): 0 it was done, 1 it could
// not be done, 2 the arguments are wrong. Results are on standard output, complaints on standard
// error, one line each.
#ifndef USERPAGER_CLI_COMMAND_H_
#define USERPAGER_CLI_COMMAND_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace userpager::cli {

inline constexpr int kFailed = 1;
inline constexpr int kUsageError = 2;
inline constexpr int kCannotRun = 126;

struct Command {
  std::string_view name;
  // For the list of commands.
  std::string_view summary;
  // What --help prints: usage lines, options, exit statuses where they are the command's own, and
  // an example, each paragraph beginning with its name and a colon.
  std::string_view help;
  // `arguments` are those after the name. Returns the exit status.
  int (*run)(const std::vector<std::string>& arguments);
  // Of a command that runs a program: whether the option has its value in the next argument. From
  // the first argument on that is neither an option nor a value, everything is the program and its
  // own arguments: --help behind that is the program's.
  bool (*wants_value)(const std::string& option) = nullptr;
};

std::span<const Command> Commands();

// Prints "userpager COMMAND: what" on standard error. Returns `status`.
int Complain(std::string_view command, int status, std::string_view what);
// The same for wrong arguments, and says where help is. Returns kUsageError.
int ComplainOfUsage(std::string_view command, std::string_view what);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_COMMAND_H_
