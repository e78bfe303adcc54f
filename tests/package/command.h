// Runs other programs for tests of what is built and installed.
#ifndef USERPAGER_TESTS_PACKAGE_COMMAND_H_
#define USERPAGER_TESTS_PACKAGE_COMMAND_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace userpager::package {

struct CommandResult {
  int status;          // what the program returned, or -1 where it did not end by itself
  std::string output;  // standard output and standard error
};

// Runs a line of shell and waits for its end.
CommandResult RunShell(const std::string& line);

// The words as a line of shell, each quoted.
std::string ShellLine(std::initializer_list<std::string_view> words);

std::vector<std::string> SplitLines(std::string_view text);

}  // namespace userpager::package

#endif  // USERPAGER_TESTS_PACKAGE_COMMAND_H_
