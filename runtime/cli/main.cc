// userpager: the command-line tool.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <iomanip>
#include <iostream>
#include <new>
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
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == wanted) return true;
    const bool is_option = argument.size() > 1 && argument[0] == '-';
    if (argument == "--") return false;
    if (command.wants_value == nullptr) continue;
    if (!is_option) return false;
    if (command.wants_value(argument)) ++i;
  }
  return false;
}

// Whoever started this may have closed a standard stream. The next file that is opened would come
// in its place, and what is printed would be written into that file. What stands there instead can
// be neither read nor written, and a program that is run finds the stream closed.
void OccupyClosedStreams() {
  for (int file = STDIN_FILENO; file <= STDERR_FILENO; ++file) {
    if (fcntl(file, F_GETFD) < 0) (void)open("/", O_PATH | O_CLOEXEC);
  }
}

int RunWith(const Command& command, const std::vector<std::string>& arguments) {
  if (Asks(command, arguments, "--help")) {
    std::cout << command.help;
    return 0;
  }
  if (Asks(command, arguments, "--version")) return PrintVersion();
  return command.run(arguments);
}

int Dispatch(const std::vector<std::string>& arguments) {
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
  if (command != commands.end()) {
    return RunWith(*command, {arguments.begin() + 1, arguments.end()});
  }
  std::cerr << "userpager: there is no command " << arguments[0]
            << "; userpager --help lists them\n";
  return kUsageError;
}

int Main(const std::vector<std::string>& arguments) {
  const int status = Dispatch(arguments);
  // A command that wrote much may have noticed, and told. Where it did not, the reason is lost, and
  // the next write fails for the same.
  const bool lost = !std::cout;
  if (lost && status != 0) return status;
  if (lost) {
    std::cout.clear();
    std::cout << '\n';
  }
  errno = 0;
  if (std::cout.flush() && !lost) return status;
  const std::string why = errno == 0 ? "" : std::string(": ") + std::strerror(errno);
  std::cerr << "userpager: standard output cannot be written" << why << '\n';
  return status == 0 ? kFailed : status;
}

}  // namespace
}  // namespace userpager::cli

int main(int count, char** values) {
  userpager::cli::OccupyClosedStreams();
  try {
    return userpager::cli::Main({values + std::min(count, 1), values + count});
  } catch (const std::bad_alloc&) {
    std::cerr << "userpager: there is not enough memory for that\n";
  } catch (const std::exception& error) {
    std::cerr << "userpager: " << error.what() << '\n';
  }
  return userpager::cli::kFailed;
}
