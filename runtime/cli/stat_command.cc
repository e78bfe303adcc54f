#include "runtime/cli/stat_command.h"

#include <unistd.h>

#include <iostream>
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/managed_process.h"
#include "runtime/cli/statistics_text.h"

namespace userpager::cli {
namespace {

enum class Form { kText, kJson, kPrometheus };

void Print(const std::vector<ProcessStatistics>& all, bool is_one, Form form) {
  switch (form) {
    case Form::kText:
      for (size_t i = 0; i < all.size(); ++i) std::cout << (i == 0 ? "" : "\n") << AsText(all[i]);
      break;
    case Form::kJson: std::cout << (is_one ? AsJson(all[0]) : AsJson(all)) << '\n'; break;
    case Form::kPrometheus: std::cout << AsPrometheus(all); break;
  }
}

}  // namespace

int StatCommand(const std::vector<std::string>& arguments) {
  Form form = Form::kText;
  std::string which;
  for (const std::string& argument : arguments) {
    const Form wanted = argument == "--json"         ? Form::kJson
                        : argument == "--prometheus" ? Form::kPrometheus
                                                     : Form::kText;
    if (wanted != Form::kText) {
      if (form != Form::kText && form != wanted) {
        return ComplainOfUsage("stat", "it takes --json or --prometheus, not both");
      }
      form = wanted;
    } else if (argument.empty() || argument[0] == '-') {
      return ComplainOfUsage("stat", "there is no option \"" + argument + "\"");
    } else if (!which.empty()) {
      return ComplainOfUsage("stat", "it takes one process, and none means all");
    } else {
      which = argument;
    }
  }
  std::vector<std::unique_ptr<ManagedProcess>> processes;
  size_t hidden = 0;
  if (which.empty()) {
    processes = ManagedProcess::All(&hidden);
  } else {
    std::string problem;
    processes.push_back(ManagedProcess::Find(which, &problem));
    if (processes[0] == nullptr) return Complain("stat", kFailed, problem);
  }
  std::vector<ProcessStatistics> all;
  for (const auto& process : processes) {
    all.push_back({process->number(), process->name(), process->Statistics()});
  }
  if (hidden > 0) {
    std::cerr << "userpager stat: " << hidden << (all.empty() ? "" : " more")
              << (hidden == 1 ? " process" : " processes") << " cannot be looked at; "
              << (geteuid() == 0 ? "userpager stat PID says why" : "ask as root") << '\n';
    if (all.empty() && form == Form::kText) return kFailed;
  }
  if (all.empty() && form == Form::kText) {
    return Complain("stat", kFailed, "no process runs under userpager");
  }
  Print(all, !which.empty(), form);
  return 0;
}

}  // namespace userpager::cli
