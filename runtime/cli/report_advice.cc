#include "runtime/cli/report_advice.h"

#include <algorithm>

#include "runtime/base/types.h"
#include "runtime/cli/format.h"

namespace userpager::cli {
namespace {

// From which share on something is worth a line.
constexpr double kMuch = 0.1;
constexpr double kMost = 0.5;
constexpr uint64_t kFew = 100;  // events that are too few to conclude from
constexpr double kSlowReadNs = 2e6;

double Bytes(uint64_t pages) { return static_cast<double>(pages) * kPageBytes; }

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string Percent(double share) { return Format("%.0f%%", 100 * share); }

uint64_t Faults(const RegionUse& use, FaultKind kind) {
  return use.faults[static_cast<unsigned>(kind)];
}

uint64_t Waited(const RegionUse& use, FaultKind kind) {
  return use.waited_ns[static_cast<unsigned>(kind)];
}

class Adviser {
 public:
  Adviser(const TraceFile& file, const TraceSummary& summary)
      : file_(file), summary_(summary), total_(summary.total()) {}

  std::vector<Advice> Take() {
    Incomplete();
    Disk();
    OneRegion();
    ReadAhead();
    SlowDisk();
    WriteProtect();
    Writes();
    Enough();
    if (advice_.empty()) {
      Say("Nothing stands out: faults took little of the recorded time.", "");
    }
    return advice_;
  }

 private:
  void Say(const std::string& finding, const std::string& what_to_do) {
    advice_.push_back({finding, what_to_do});
  }

  void Incomplete() {
    if (file_.dropped() > 0) {
      Say(CountText(file_.dropped()) + " events were dropped while recording, as they came faster"
              " than they were written; " + CountText(file_.event_count()) +
              " were kept. All counts here are too low by them.",
          "Record to a faster file system, or a shorter part of the run.");
    }
    if (!file_.has_end()) {
      Say("The recording has no end: the program was killed, called _exit, executed another program"
          " in its place, or still ran when it was read. The last moments may be missing.",
          file_.event_count() > 0
              ? ""
              : "A script that starts the program by exec is such a program: with %p in the name of"
                " the recording, each program that is executed has its own.");
    }
  }

  void Disk() {
    const uint64_t waited = Waited(total_, FaultKind::kHard);
    const double share = static_cast<double>(waited) / 1e9 / summary_.seconds();
    const uint64_t read = summary_.curve().PagesRead(0);
    if (share < kMuch || Faults(total_, FaultKind::kHard) < kFew) return;
    std::string advice;
    if (summary_.curve().pages_to_read_nothing() > 0) {
      const auto half = static_cast<int64_t>(summary_.limit_pages() / 2);
      advice = Format("With half as much memory again (%s) about %s fewer pages would be read; with"
                      " %s none (see the miss curve).",
                      SizeText(Bytes(summary_.limit_pages() + static_cast<uint64_t>(half))).c_str(),
                      Percent(1 - Share(summary_.curve().PagesRead(half), read)).c_str(),
                      SizeText(Bytes(summary_.limit_pages() +
                                     summary_.curve().pages_to_read_nothing())).c_str());
    }
    Say(Format("Threads waited %s in %s faults for the page file: %s of the recorded time (threads"
               " that wait at once count each).",
               DurationText(static_cast<double>(waited)).c_str(),
               CountText(Faults(total_, FaultKind::kHard)).c_str(), Percent(share).c_str()),
        advice);
  }

  void OneRegion() {
    if (summary_.shown().empty() || summary_.regions().size() < 3) return;
    const RegionUse& first = summary_.regions()[summary_.shown().front()];
    const double share = Share(first.all_waited_ns(), total_.all_waited_ns());
    if (share < kMost || first.all_faults() < kFew) return;
    Say(Percent(share) + " of all waiting was for one region: region 1, " + RegionName(first) + ".",
        "What is laid out or walked through there decides; click on it to see it alone.");
  }

  void ReadAhead() {
    const uint64_t ahead = total_.ahead_pages;
    const double wasted = Share(total_.ahead_wasted, ahead);
    if (ahead >= kFew && wasted > kMost) {
      Say(Format("%s of %s pages that were read ahead left memory unused.",
                 Percent(wasted).c_str(), CountText(ahead).c_str()),
          "The accesses look sequential and are not, or memory is too short for what is read ahead:"
          " touch pages in the order of their addresses, or give more memory.");
    } else if (ahead < total_.pages_in / 10 && Faults(total_, FaultKind::kHard) >= kFew) {
      Say("Pages are read back in no order that could be foreseen: only " +
              Percent(Share(ahead, total_.pages_in)) + " were read ahead of demand.",
          "If the program knows what it will touch next, PrefetchVirtualMemory tells the pager;"
          " data that is used together should lie together.");
    }
  }

  void SlowDisk() {
    const LatencyHistogram& hard = summary_.latency(FaultKind::kHard);
    if (hard.count() < kFew || static_cast<double>(hard.Percentile(500)) < kSlowReadNs) return;
    Say("Half of the faults that read took " +
            DurationText(static_cast<double>(hard.Percentile(500))) + " or more: that is the page"
            " file's device, not the pager.",
        "Put the page file on a faster device (option page_file).");
  }

  void WriteProtect() {
    const uint64_t faults = Faults(total_, FaultKind::kWriteProtect);
    if (faults < kFew || Share(faults, total_.all_faults()) < kMost) return;
    Say(Percent(Share(faults, total_.all_faults())) +
            " of all faults were first writes to pages that were clean.",
        "Pages that are read and soon after written cost two faults: write first where that is"
        " possible.");
  }

  void Writes() {
    if (Bytes(total_.pages_out) < 64 << 20 || total_.pages_out < total_.pages_in) return;
    Say(Format("%s were written to the page file, and %s read back.",
               SizeText(Bytes(total_.pages_out)).c_str(),
               SizeText(Bytes(total_.pages_in)).c_str()),
        "Memory whose content is not needed any more is written all the same: free it, or give it"
        " up (MEM_RESET, DiscardVirtualMemory, MADV_DONTNEED).");
  }

  void Enough() {
    if (total_.pages_in > 0 || file_.samples().empty()) return;
    uint32_t most = 0;
    for (const TraceSample& sample : file_.samples()) most = std::max(most, sample.charged);
    Say("No page was read back: the memory limit of " +
            SizeText(Bytes(summary_.limit_pages())) + " was enough. At most " +
            SizeText(Bytes(most)) + " were in use.",
        most < summary_.limit_pages() / 2 ? "A lower limit would do." : "");
  }

  const TraceFile& file_;
  const TraceSummary& summary_;
  const RegionUse& total_;
  std::vector<Advice> advice_;
};

}  // namespace

std::vector<Advice> AdviceFor(const TraceFile& file, const TraceSummary& summary) {
  return Adviser(file, summary).Take();
}

}  // namespace userpager::cli
