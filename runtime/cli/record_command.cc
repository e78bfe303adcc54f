#include "runtime/cli/record_command.h"

#include <cstddef>

#include "runtime/cli/command.h"
#include "runtime/cli/run_command.h"

namespace userpager::cli {
namespace {

constexpr const char* kDefaultFile = "userpager.trace";

bool IsOutput(const std::string& argument) {
  return argument == "-o" || argument == "--output" || argument.compare(0, 9, "--output=") == 0;
}

}  // namespace

bool RecordWantsValue(const std::string& option) {
  return option == "-o" || option == "--output" || RunWantsValue(option);
}

int RecordCommand(const std::vector<std::string>& arguments) {
  std::string file = kDefaultFile;
  std::vector<std::string> rest = arguments;
  // Among the options of run, wherever that is. What begins with no dash is an option's value, or
  // the program, which has options of its own.
  for (size_t i = 0; i < rest.size() && rest[i] != "--"; ++i) {
    if (rest[i].compare(0, 1, "-") != 0 && !(i > 0 && RecordWantsValue(rest[i - 1]))) break;
    if (!IsOutput(rest[i])) continue;
    const size_t equals = rest[i].find('=');
    const bool apart = equals == std::string::npos;
    const bool is_there = !apart || (i + 1 < rest.size() && rest[i + 1] != "--");
    if (!is_there) return ComplainOfUsage("record", rest[i] + " wants a value");
    file = apart ? rest[i + 1] : rest[i].substr(equals + 1);
    const auto at = rest.begin() + static_cast<std::ptrdiff_t>(i);
    rest.erase(at, at + (apart ? 2 : 1));
    break;
  }
  if (file.empty()) return ComplainOfUsage("record", "-o wants the name of a file");
  rest.insert(rest.begin(), "--trace=" + file);
  return RunAs("record", rest);
}

}  // namespace userpager::cli
