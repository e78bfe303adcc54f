#include "runtime/cli/report_command.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <ostream>

#include "runtime/cli/command.h"
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

// Writes to the file, or to standard output for "-". Returns the exit status.
template <typename Write>
int WriteTo(const std::string& path, Write write) {
  errno = 0;
  if (path == "-") {
    write(std::cout);
    std::cout.flush();
    if (std::cout) return 0;
  } else {
    std::ofstream out(path, std::ios::binary);
    if (out) write(out);
    out.close();
    if (out) return 0;
  }
  const std::string why = errno == 0 ? "it takes no more" : std::strerror(errno);
  return Complain("report", kFailed, path + " cannot be written: " + why);
}

TraceSummary Summarised(const TraceFile& file) {
  ProgressLine progress("userpager report: " + std::to_string(file.event_count()) + " events");
  return TraceSummary(file, [&](double share) { progress.Show(share); });
}

}  // namespace

int ReportCommand(const std::vector<std::string>& arguments) {
  Wishes wishes;
  if (const int status = Parse(arguments, &wishes); status != 0) return status;
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
