// userpager: the command-line tool.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include "runtime/cli/command.h"

namespace userpager::cli {
namespace {

constexpr int kNameColumns = 10;

int PrintHelp() {
  std::cout << "usage: userpager COMMAND [arguments]\n"
               "       userpager COMMAND --help\n"
               "       userpager --version\n\n"
               "commands:\n";
  for (const Command& command : Commands()) {
    std::cout << "  " << std::left << std::setw(kNameColumns) << command.name << command.summary
              << '\n';
  }
  std::cout << "\nexample:\n  userpager run --memory 256M -- sort -S 4G large.txt\n";
  return 0;
}

int PrintVersion() {
  std::cout << "userpager " << USERPAGER_VERSION << '\n';
  return 0;
}

// Whether `wanted` is among the command's own options.
bool Asks(const Command& command, const std::vector<std::string>& arguments,
          std::string_view wanted) {
  for (const std::string& argument : arguments) {
    if (argument == wanted) return true;
    const bool is_option = argument.size() > 1 && argument[0] == '-';
    if (argument == "--" || (command.takes_program && !is_option)) return false;
  }
  return false;
}

int RunWith(const Command& command, const std::vector<std::string>& arguments) {
  if (Asks(command, arguments, "--help")) {
    std::cout << command.help;
    return 0;
  }
  if (Asks(command, arguments, "--version")) return PrintVersion();
  return command.run(arguments);
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    std::cerr << "userpager: no command is named; userpager --help lists them\n";
    return kUsageError;
  }
  if (arguments[0] == "--help" || arguments[0] == "help") return PrintHelp();
  if (arguments[0] == "--version") return PrintVersion();
  const auto commands = Commands();
  const auto command =
      std::find_if(commands.begin(), commands.end(),
                   [&](const Command& candidate) { return candidate.name == arguments[0]; });
  if (command == commands.end()) {
    std::cerr << "userpager: there is no command " << arguments[0]
              << "; userpager --help lists them\n";
    return kUsageError;
  }
  const int status = RunWith(*command, {arguments.begin() + 1, arguments.end()});
  if (std::cout.flush()) return status;
  std::cerr << "userpager: standard output could not be written\n";
  return status == 0 ? kFailed : status;
}

}  // namespace
}  // namespace userpager::cli

int main(int count, char** values) {
  return userpager::cli::Main({values + 1, values + count});
}
