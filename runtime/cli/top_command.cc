#include "runtime/cli/top_command.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include "runtime/cli/command.h"
#include "runtime/cli/managed_process.h"
#include "runtime/cli/process_rates.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/top_view.h"

namespace userpager::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kLeastSeconds = 0.1;
constexpr double kMostSeconds = 3600;

struct Wishes {
  bool batch = false;
  std::optional<uint64_t> count;
  double seconds = 2;
  std::string which;  // empty: all
};

// A number of which nothing is left over.
template <typename Number>
bool Read(const std::string& text, Number* number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, *number);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

// 0, or the exit status.
int Parse(const std::vector<std::string>& arguments, Wishes* wishes) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "-b") {
      wishes->batch = true;
    } else if (argument == "-n" || argument == "-d") {
      if (i + 1 == arguments.size()) return ComplainOfUsage("top", argument + " wants a value");
      const std::string& value = arguments[++i];
      uint64_t count = 0;
      const bool is_count = argument == "-n";
      const bool read = is_count ? Read(value, &count) && count > 0
                                 : Read(value, &wishes->seconds) &&
                                       wishes->seconds >= kLeastSeconds &&
                                       wishes->seconds <= kMostSeconds;
      if (!read) {
        return ComplainOfUsage("top", argument + " wants " +
                                          (is_count ? "a number above 0" : "0.1 to 3600 seconds") +
                                          ", not \"" + value + "\"");
      }
      if (is_count) wishes->count = count;
    } else if (argument.empty() || argument[0] == '-') {
      return ComplainOfUsage("top", "there is no option \"" + argument + "\"");
    } else if (!wishes->which.empty()) {
      return ComplainOfUsage("top", "it takes one process, and none means all");
    } else {
      wishes->which = argument;
    }
  }
  if (!wishes->batch && !Terminal::IsThere()) {
    return ComplainOfUsage("top", "this is no terminal that can show a picture; -b writes text");
  }
  return 0;
}

std::string Headline(const Wishes& wishes, const std::string& rest) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::ostringstream line;
  line << "userpager top, " << std::put_time(&local, "%H:%M:%S") << ", every " << wishes.seconds
       << " s" << (wishes.batch ? "" : " (q quits)") << rest;
  return line.str();
}

// Looks, and remembers the look before.
class Watch {
 public:
  explicit Watch(const Wishes& wishes) : wishes_(wishes) {}

  // 0, or the exit status: the process that was asked for cannot be had.
  int Begin() {
    if (!wishes_.which.empty()) {
      std::string problem;
      one_ = ManagedProcess::Find(wishes_.which, &problem);
      if (one_ == nullptr) return Complain("top", kFailed, problem);
    }
    (void)NextPicture();
    return 0;
  }
  // Whether what was asked for is still there.
  bool HasEnded() const { return one_ != nullptr && !one_->IsAlive(); }

  std::vector<std::string> NextPicture() {
    return one_ != nullptr ? PictureOfOne() : PictureOfAll();
  }
  int emphasised() const { return one_ != nullptr ? -1 : 2; }

 private:
  std::vector<std::string> PictureOfOne() {
    ProcessLook now = LookAt(*one_);
    std::vector<std::string> lines = {Headline(wishes_, ""), ""};
    if (before_.counters != nullptr) {
      for (auto& line : TopDetails(RatesBetween(*one_, before_, now))) lines.push_back(line);
    }
    before_ = std::move(now);
    return lines;
  }

  // Processes come and go: they are looked up each time.
  std::vector<std::string> PictureOfAll() {
    size_t hidden = 0;
    std::map<pid_t, Known> next;
    std::vector<ProcessRates> rates;
    for (std::unique_ptr<ManagedProcess>& process : ManagedProcess::All(&hidden)) {
      Known known{LookAt(*process), std::move(process)};
      // One that is new was nothing before.
      ProcessLook begin;
      begin.when = last_;
      begin.counters = std::make_unique<CounterTotals>();
      const auto before = all_.find(known.process->number());
      const bool same = before != all_.end() && before->second.process->IsSame(*known.process);
      rates.push_back(
          RatesBetween(*known.process, same ? before->second.look : begin, known.look));
      next.emplace(known.process->number(), std::move(known));
    }
    last_ = Clock::now();
    all_ = std::move(next);
    std::string rest = "; " + std::to_string(all_.size()) +
                       (all_.size() == 1 ? " process" : " processes");
    if (hidden > 0) rest += ", " + std::to_string(hidden) + " more cannot be looked at";
    std::vector<std::string> lines = {Headline(wishes_, rest), ""};
    for (auto& line : TopTable(std::move(rates))) lines.push_back(line);
    return lines;
  }

  struct Known {
    ProcessLook look;
    std::unique_ptr<ManagedProcess> process;
  };

  const Wishes& wishes_;
  std::unique_ptr<ManagedProcess> one_;
  ProcessLook before_;  // of one_
  std::map<pid_t, Known> all_;
  Clock::time_point last_ = Clock::now();
};

Clock::duration Interval(const Wishes& wishes) {
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(wishes.seconds));
}

int ComplainOfEnd(const Wishes& wishes) {
  return Complain("top", 0, "process " + wishes.which + " has ended");
}

int RunBatch(const Wishes& wishes, Watch* watch) {
  Clock::time_point next = Clock::now();
  for (uint64_t i = 0; !wishes.count.has_value() || i < *wishes.count; ++i) {
    next += Interval(wishes);
    if (!SleepUntil(next)) return 0;
    if (watch->HasEnded()) return ComplainOfEnd(wishes);
    for (const std::string& line : watch->NextPicture()) std::cout << line << '\n';
    errno = 0;
    if (std::cout << std::endl) continue;
    return Complain("top", kFailed,
                    std::string("standard output cannot be written: ") + std::strerror(errno));
  }
  return 0;
}

int RunOnScreen(const Wishes& wishes, Watch* watch) {
  bool has_ended = false;
  {
    Terminal terminal;
    std::vector<std::string> picture = {Headline(wishes, ""), "", "(looking)"};
    terminal.Show(picture, watch->emphasised());
    Clock::time_point next = Clock::now();
    for (uint64_t i = 0; !wishes.count.has_value() || i < *wishes.count; ++i) {
      next = std::max(next, Clock::now()) + Interval(wishes);
      Terminal::Event event = terminal.AwaitUntil(next);
      while (event == Terminal::Event::kResized) {
        terminal.Show(picture, watch->emphasised());
        event = terminal.AwaitUntil(next);
      }
      has_ended = watch->HasEnded();
      if (event == Terminal::Event::kQuit || has_ended) break;
      picture = watch->NextPicture();
      terminal.Show(picture, watch->emphasised());
    }
  }
  return has_ended ? ComplainOfEnd(wishes) : 0;
}

}  // namespace

int TopCommand(const std::vector<std::string>& arguments) {
  Wishes wishes;
  if (const int status = Parse(arguments, &wishes); status != 0) return status;
  Watch watch(wishes);
  if (const int status = watch.Begin(); status != 0) return status;
  return wishes.batch ? RunBatch(wishes, &watch) : RunOnScreen(wishes, &watch);
}

}  // namespace userpager::cli
