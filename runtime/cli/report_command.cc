#include "runtime/cli/report_command.h"

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <iostream>
#include <iterator>
#include <ostream>
#include <system_error>

#include "runtime/cli/command.h"
#include "runtime/cli/output_file.h"
#include "runtime/cli/progress_line.h"
#include "runtime/cli/report_page.h"
#include "runtime/cli/trace_export.h"
#include "runtime/cli/trace_file.h"
#include "runtime/cli/trace_summary.h"

namespace userpager::cli {
namespace {

struct Wishes {
  std::string recording;
  std::string page;
  std::string chrome_trace;
  std::string csv;
};

int Parse(const std::vector<std::string>& arguments, Wishes* wishes) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.empty() || argument[0] != '-' || argument == "-") {
      if (!wishes->recording.empty()) {
        return ComplainOfUsage("report", "more than one recording is named");
      }
      wishes->recording = argument;
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    std::string* value = name == "-o" || name == "--output" ? &wishes->page
                         : name == "--chrome-trace"         ? &wishes->chrome_trace
                         : name == "--csv"                  ? &wishes->csv
                                                            : nullptr;
    if (value == nullptr) return ComplainOfUsage("report", "there is no option " + name);
    if (equals != std::string::npos) {
      *value = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      *value = arguments[++i];
    }
    if (value->empty()) return ComplainOfUsage("report", name + " wants a value");
  }
  if (wishes->recording.empty()) return ComplainOfUsage("report", "no recording is named");
  if (wishes->page.empty() && wishes->chrome_trace.empty() && wishes->csv.empty()) {
    wishes->page = wishes->recording + ".html";
  }
  return 0;
}

bool IsSameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error);
}

// Each result has a place of its own. 0, or the exit status.
int CheckPlaces(const Wishes& wishes) {
  const std::string* const places[] = {&wishes.page, &wishes.chrome_trace, &wishes.csv};
  for (size_t i = 0; i < std::size(places); ++i) {
    if (places[i]->empty()) continue;
    if (IsSameFile(*places[i], wishes.recording)) {
      return ComplainOfUsage("report", *places[i] + " is the recording itself, and would be"
                                                    " overwritten; give another name");
    }
    for (size_t j = 0; j < i; ++j) {
      if (*places[i] != *places[j]) continue;
      return ComplainOfUsage("report", *places[i] + " is to hold two results; give each its own");
    }
  }
  return 0;
}

// Writes to the file, or to standard output for "-". Returns the exit status.
int WriteTo(const std::string& path, const std::function<void(std::ostream&)>& write) {
  const std::string why = WriteOutput(path, write);
  if (why.empty()) return 0;
  const std::string what = path == "-" ? "standard output" : path;
  return Complain("report", kFailed, what + " cannot be written: " + why);
}

// The recording is mapped: where it becomes shorter meanwhile (its program runs once more and
// records anew), or the disk fails, a touch is no longer an error that can be returned.
void TellOfLostFile(int) {
  constexpr char kLine[] =
      "userpager report: the recording cannot be read any more: it has become shorter, or its disk"
      " fails; try again\n";
  RemoveUnfinishedOutput();
  (void)!write(STDERR_FILENO, kLine, sizeof kLine - 1);
  _exit(kFailed);
}

TraceSummary Summarised(const TraceFile& file) {
  ProgressLine progress("userpager report: " + std::to_string(file.event_count()) + " events");
  return TraceSummary(file, [&](double share) { progress.Show(share); });
}

}  // namespace

int ReportCommand(const std::vector<std::string>& arguments) {
  Wishes wishes;
  if (const int status = Parse(arguments, &wishes); status != 0) return status;
  if (const int status = CheckPlaces(wishes); status != 0) return status;
  signal(SIGBUS, &TellOfLostFile);
  TraceFile file;
  if (const std::string wrong = file.Open(wishes.recording); !wrong.empty()) {
    return Complain("report", kFailed, wrong);
  }
  int status = 0;
  if (!wishes.csv.empty()) {
    status = WriteTo(wishes.csv, [&](std::ostream& out) { WriteCsv(file, out); });
  }
  if (status == 0 && !wishes.chrome_trace.empty()) {
    status = WriteTo(wishes.chrome_trace, [&](std::ostream& out) { WriteChromeTrace(file, out); });
  }
  if (status != 0 || wishes.page.empty()) return status;
  const TraceSummary summary = Summarised(file);
  status = WriteTo(wishes.page, [&](std::ostream& out) { out << ReportPage(file, summary); });
  if (status == 0 && wishes.page != "-") std::cout << "The report is in " << wishes.page << '\n';
  return status;
}

}  // namespace userpager::cli
