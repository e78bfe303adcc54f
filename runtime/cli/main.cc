// userpager: the command-line tool.
#include <iostream>
#include <string>
#include <vector>

#include "runtime/cli/doctor.h"
#include "runtime/cli/run_command.h"

namespace {

std::string Usage() {
  return userpager::cli::RunUsage() +
         "usage: userpager doctor [--page-file PLACE]\n"
         "  shows what this machine allows, and how to allow what is missing\n";
}

}  // namespace

int main(int count, char** values) {
  std::vector<std::string> arguments(values + 1, values + count);
  const std::string command = arguments.empty() ? "" : arguments[0];
  if (!arguments.empty()) arguments.erase(arguments.begin());
  const bool asks = command == "--help" || (!arguments.empty() && arguments[0] == "--help");
  if (asks) {
    std::cout << Usage();
    return 0;
  }
  if (command == "run") return userpager::cli::RunCommand(arguments);
  if (command == "doctor") return userpager::cli::Doctor(arguments);
  std::cerr << Usage();
  return userpager::cli::kUsageError;
}
