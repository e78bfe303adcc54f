#include "runtime/cli/limit_command.h"

#include <userpager/userpager.h>

#include <iostream>
#include <memory>
#include <optional>

#include "runtime/cli/command.h"
#include "runtime/cli/managed_process.h"

namespace userpager::cli {
namespace {

// The size as the option `memory` takes it.
std::optional<uint64_t> BytesOf(const std::string& size) {
  userpager_options options;
  userpager_options_init(&options);
  const bool plain = size.find(',') == std::string::npos;
  if (!plain || userpager_options_parse(&options, ("memory:" + size).c_str()) != 0) return {};
  return options.memory_limit_bytes;
}

}  // namespace

int LimitCommand(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument.size() > 1 && argument[0] == '-') {
      return ComplainOfUsage("limit", "there is no option " + argument);
    }
  }
  if (arguments.size() != 2) return ComplainOfUsage("limit", "it takes a process and a size");
  const std::optional<uint64_t> bytes = BytesOf(arguments[1]);
  if (!bytes.has_value()) {
    return ComplainOfUsage("limit", "\"" + arguments[1] + "\" is no size, such as 512M or 25%");
  }
  std::string problem;
  const std::unique_ptr<ManagedProcess> process = ManagedProcess::Find(arguments[0], &problem);
  if (process == nullptr) return Complain("limit", kFailed, problem);
  const std::optional<std::string> refused = process->ChangeLimit(*bytes);
  if (refused.has_value()) return Complain("limit", kFailed, *refused);
  std::cout << process->number() << " (" << process->name() << "): the memory limit is "
            << process->Statistics().memory_limit_bytes / 1024 << " kB\n";
  return 0;
}

}  // namespace userpager::cli
