#include "runtime/cli/top_view.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <iterator>

#include "runtime/base/types.h"

namespace userpager::cli {
namespace {

constexpr int kBarColumns = 40;
constexpr size_t kMostRegions = 5;
constexpr const char* kFaultNames[kFaultKindCount] = {"first touch", "soft", "hard",
                                                      "write-protect"};

[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

// "248.1M": four digits that say something.
std::string Size(uint64_t bytes) {
  constexpr const char* kUnits[] = {"K", "M", "G", "T", "P", "E"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return Format("%.1f%s", value, kUnits[unit]);
}

std::string Duration(uint64_t nanoseconds) {
  const double value = static_cast<double>(nanoseconds);
  if (nanoseconds == 0) return "-";
  if (value < 1e6) return Format("%.1f us", value / 1e3);
  if (value < 1e9) return Format("%.1f ms", value / 1e6);
  return Format("%.1f s", value / 1e9);
}

double Percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string Bar(double percent) {
  const double share = std::clamp(percent, 0.0, 100.0) / 100;
  const auto filled = static_cast<size_t>(share * kBarColumns + 0.5);
  return "[" + std::string(filled, '#') + std::string(kBarColumns - filled, '.') + "]";
}

// Of a name that may be anything.
std::string Printable(std::string name) {
  for (char& c : name) {
    if (c < ' ' || c > '~') c = '?';
  }
  return name;
}

double OfKind(const ProcessRates& process, FaultKind kind) {
  return process.faults[static_cast<unsigned>(kind)].per_second;
}

std::string Row(const ProcessRates& process) {
  const userpager_stats& stats = process.stats;
  const uint64_t hard_p99 = process.faults[static_cast<unsigned>(FaultKind::kHard)].p99_ns;
  return Format("%8d %-15.15s %8s %8s %5.1f %8s %9.1f %9.1f %9.1f %9.1f %8.2f %8.2f %10s",
                process.number, Printable(process.name).c_str(), Size(stats.resident_bytes).c_str(),
                Size(stats.memory_limit_bytes).c_str(),
                Percent(stats.resident_bytes, stats.memory_limit_bytes),
                Size(stats.page_file_used_bytes).c_str(),
                OfKind(process, FaultKind::kDemandZero), OfKind(process, FaultKind::kSoft),
                OfKind(process, FaultKind::kHard), OfKind(process, FaultKind::kWriteProtect),
                process.read_bytes_per_second / 1e6, process.write_bytes_per_second / 1e6,
                Duration(hard_p99).c_str());
}

// Trouble is shown where there is any.
void AddTrouble(const userpager_stats& stats, std::vector<std::string>* lines) {
  if (stats.lost_pages + stats.file_read_errors + stats.file_write_errors == 0) return;
  lines->push_back(Format("trouble     %llu pages lost, %llu reads and %llu writes failed",
                          static_cast<unsigned long long>(stats.lost_pages),
                          static_cast<unsigned long long>(stats.file_read_errors),
                          static_cast<unsigned long long>(stats.file_write_errors)));
}

void AddRegions(const ProcessRates& process, std::vector<std::string>* lines) {
  if (process.regions.empty()) return;
  lines->push_back("");
  lines->push_back(Format("%-14s %10s %11s %11s", "REGIONS", "a second", "of faults", "size"));
  for (size_t i = 0; i < std::min(process.regions.size(), kMostRegions); ++i) {
    const RegionRates& region = process.regions[i];
    lines->push_back(Format("%-14s %10.1f %10.1f%% %11s",
                            Format("%llx", static_cast<unsigned long long>(
                                               region.first_page << kPageShift)).c_str(),
                            region.share * process.faults_per_second, 100 * region.share,
                            Size(region.page_count << kPageShift).c_str()));
  }
}

}  // namespace

std::vector<std::string> TopTable(std::vector<ProcessRates> processes) {
  std::stable_sort(processes.begin(), processes.end(),
                   [](const ProcessRates& a, const ProcessRates& b) {
                     return a.faults_per_second > b.faults_per_second;
                   });
  std::vector<std::string> lines = {
      Format("%8s %-15s %8s %8s %5s %8s %9s %9s %9s %9s %8s %8s %10s", "PID", "NAME", "RESIDENT",
             "LIMIT", "%", "IN FILE", "FIRST/s", "SOFT/s", "HARD/s", "WRPROT/s", "IN MB/s",
             "OUT MB/s", "HARD p99")};
  for (const ProcessRates& process : processes) lines.push_back(Row(process));
  return lines;
}

std::vector<std::string> TopDetails(const ProcessRates& process) {
  const userpager_stats& stats = process.stats;
  const double used = Percent(stats.resident_bytes, stats.memory_limit_bytes);
  std::vector<std::string> lines = {
      Format("process     %d (%s), %u %s", process.number, Printable(process.name).c_str(),
             stats.shards, stats.shards == 1 ? "shard" : "shards"),
      Format("resident    %8s of %8s  %5.1f%% %s  peak %s", Size(stats.resident_bytes).c_str(),
             Size(stats.memory_limit_bytes).c_str(), used, Bar(used).c_str(),
             Size(stats.resident_bytes_peak).c_str()),
      Format("committed   %8s, at most %s", Size(stats.commit_bytes).c_str(),
             Size(stats.commit_limit_bytes).c_str()),
      Format("page file   %8s used, %s allocated, at most %s",
             Size(stats.page_file_used_bytes).c_str(),
             Size(stats.page_file_allocated_bytes).c_str(),
             Size(stats.page_file_max_bytes).c_str()),
      Format("in          %8.2f MB/s, %.1f reads/s", process.read_bytes_per_second / 1e6,
             process.reads_per_second),
      Format("out         %8.2f MB/s, %.1f writes/s", process.write_bytes_per_second / 1e6,
             process.writes_per_second),
      Format("readahead   %8.1f pages/s; used of all so far: %.1f%%", process.ahead_per_second,
             Percent(stats.ahead_pages_used, stats.ahead_pages)),
      Format("had to wait %8.1f faults/s, for memory", process.queued_per_second),
      "",
      Format("%-14s %10s %11s %11s %11s %14s", "FAULTS", "a second", "p50", "p99", "p99.9",
             "since start"),
  };
  for (unsigned kind = 0; kind < kFaultKindCount; ++kind) {
    const FaultRates& faults = process.faults[kind];
    lines.push_back(Format("%-14s %10.1f %11s %11s %11s %14llu", kFaultNames[kind],
                           faults.per_second, Duration(faults.p50_ns).c_str(),
                           Duration(faults.p99_ns).c_str(), Duration(faults.p999_ns).c_str(),
                           static_cast<unsigned long long>(faults.total)));
  }
  AddRegions(process, &lines);
  AddTrouble(stats, &lines);
  return lines;
}

}  // namespace userpager::cli
