#include <iostream>

#include "runtime/cli/command.h"
#include "runtime/cli/doctor.h"
#include "runtime/cli/limit_command.h"
#include "runtime/cli/record_command.h"
#include "runtime/cli/report_command.h"
#include "runtime/cli/run_command.h"
#include "runtime/cli/stat_command.h"
#include "runtime/cli/top_command.h"

namespace userpager::cli {
namespace {

constexpr Command kCommands[] = {
    {"run", "runs a program with its memory managed", kRunHelp, &RunCommand, &RunWantsValue},
    {"stat", "shows the statistics of processes under userpager", kStatHelp, &StatCommand},
    {"top", "shows what processes under userpager do, again and again", kTopHelp, &TopCommand},
    {"limit", "changes the memory limit of a process that runs", kLimitHelp, &LimitCommand},
    {"record", "runs a program so, and records what the pager does", kRecordHelp, &RecordCommand,
     &RecordWantsValue},
    {"report", "makes a page of a recording", kReportHelp, &ReportCommand},
    {"doctor", "shows what this machine allows, and how to allow what is missing", kDoctorHelp,
     &Doctor},
};

}  // namespace

std::span<const Command> Commands() { return kCommands; }

int Complain(std::string_view command, int status, std::string_view what) {
  std::cerr << "userpager " << command << ": " << what << '\n';
  return status;
}

int ComplainOfUsage(std::string_view command, std::string_view what) {
  std::cerr << "userpager " << command << ": " << what << "; userpager " << command
            << " --help says more\n";
  return kUsageError;
}

}  // namespace userpager::cli
