#include "runtime/cli/statistics_text.h"

#include <cctype>
#include <iomanip>
#include <sstream>
#include <string_view>

#include "runtime/api/statistics_fields.h"

namespace userpager::cli {
namespace {

constexpr std::string_view kBytes = "_bytes";
constexpr std::string_view kNanoseconds = "_ns";
constexpr int kNameColumns = 24;
constexpr int kValueColumns = 16;

struct Quantile {
  const char* name;    // of userpager_latency's field, and so of JSON's
  const char* suffix;  // for people
  const char* share;
  uint64_t userpager_latency::*value;
};
constexpr Quantile kQuantiles[] = {
    {"p50_ns", "P50", "0.5", &userpager_latency::p50_ns},
    {"p99_ns", "P99", "0.99", &userpager_latency::p99_ns},
    {"p999_ns", "P99.9", "0.999", &userpager_latency::p999_ns},
    {"max_ns", "Max", "1", &userpager_latency::max_ns},
};

const char* CommitName(const userpager_stats& stats) {
  return stats.commit == USERPAGER_COMMIT_LAZY ? "lazy" : "strict";
}

const char* IoName(const userpager_stats& stats) {
  return stats.io == USERPAGER_IO_THREADS ? "threads" : "uring";
}


// "resident_bytes" becomes "Resident", "soft_faults" "SoftFaults".
std::string Title(std::string_view name) {
  if (const size_t bytes = name.find(kBytes); bytes != name.npos) {
    return Title(std::string(name.substr(0, bytes)) +
                 std::string(name.substr(bytes + kBytes.size())));
  }
  std::string title;
  bool starts = true;
  for (const char c : name) {
    if (c != '_') title += starts ? static_cast<char>(std::toupper(c)) : c;
    starts = c == '_';
  }
  return title;
}

void Line(std::ostream& out, const std::string& name, const std::string& value,
          const char* unit = "") {
  out << std::left << std::setw(kNameColumns) << name + ":" << std::right
      << std::setw(kValueColumns) << value << unit << '\n';
}

// A quoted string, as JSON and Prometheus' labels both have it; a byte that one of them does not
// take, such as a part of no UTF-8 character, becomes a question mark.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const bool plain = c >= ' ' && c <= '~';
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += plain ? c : '?';
  }
  return quoted + '"';
}

std::string Seconds(uint64_t nanoseconds) {
  std::ostringstream text;
  text << nanoseconds / 1'000'000'000 << '.' << std::setw(9) << std::setfill('0')
       << nanoseconds % 1'000'000'000;
  return text.str();
}

void LatencyJson(std::ostream& out, const userpager_latency& latency) {
  out << "{\"count\": " << latency.count;
  for (const Quantile& quantile : kQuantiles) {
    out << ", \"" << quantile.name << "\": " << latency.*quantile.value;
  }
  out << '}';
}

std::string LabelsOf(const ProcessStatistics& process) {
  return "pid=\"" + std::to_string(process.number) + "\",name=" + Quoted(process.name);
}

void LatencyMetric(std::ostream& out, const std::vector<ProcessStatistics>& processes) {
  const std::string metric = "userpager_fault_latency_seconds";
  out << "# HELP " << metric << " from the kernel's message to the answer\n"
      << "# TYPE " << metric << " summary\n";
  for (const ProcessStatistics& process : processes) {
    for (const LatencyField& field : kLatencyFields) {
      const userpager_latency& latency = process.stats.*field.value;
      const std::string labels = LabelsOf(process) + ",kind=\"" + std::string(field.kind) + "\"";
      for (const Quantile& quantile : kQuantiles) {
        out << metric << '{' << labels << ",quantile=\"" << quantile.share << "\"} "
            << Seconds(latency.*quantile.value) << '\n';
      }
      out << metric << "_count{" << labels << "} " << latency.count << '\n';
    }
  }
}

}  // namespace

std::string AsText(const ProcessStatistics& process) {
  std::ostringstream out;
  const userpager_stats& stats = process.stats;
  Line(out, "Pid", std::to_string(process.number));
  Line(out, "Name", process.name);
  Line(out, "Shards", std::to_string(stats.shards));
  Line(out, "Commitment", CommitName(stats));
  Line(out, "Io", IoName(stats));
  Line(out, "UsesMove", stats.uses_move != 0 ? "yes" : "no");
  Line(out, "KernelModeFaults", stats.kernel_mode_faults != 0 ? "yes" : "no");
  for (const StatisticsField& field : kStatisticsFields) {
    const uint64_t value = stats.*field.value;
    const bool is_bytes = field.name.find(kBytes) != field.name.npos;
    const bool is_time = field.name.ends_with(kNanoseconds);
    const size_t unit = is_time ? kNanoseconds.size() : 0;
    Line(out, Title(field.name.substr(0, field.name.size() - unit)),
         std::to_string(is_bytes ? value / 1024 : value), is_bytes ? " kB" : is_time ? " ns" : "");
  }
  for (const LatencyField& field : kLatencyFields) {
    for (const Quantile& quantile : kQuantiles) {
      Line(out, Title(field.kind) + quantile.suffix,
           std::to_string((stats.*field.value).*quantile.value), " ns");
    }
  }
  return out.str();
}

std::string AsJson(const ProcessStatistics& process) {
  std::ostringstream out;
  const userpager_stats& stats = process.stats;
  out << "{\n  \"pid\": " << process.number << ",\n  \"name\": " << Quoted(process.name)
      << ",\n  \"shards\": " << stats.shards << ",\n  \"commit\": \"" << CommitName(stats)
      << "\",\n  \"io\": \"" << IoName(stats) << "\",\n  \"uses_move\": " << stats.uses_move
      << ",\n  \"kernel_mode_faults\": " << stats.kernel_mode_faults;
  for (const StatisticsField& field : kStatisticsFields) {
    out << ",\n  \"" << field.name << "\": " << stats.*field.value;
  }
  for (const LatencyField& field : kLatencyFields) {
    out << ",\n  \"" << field.name << "\": ";
    LatencyJson(out, stats.*field.value);
  }
  out << "\n}";
  return out.str();
}

std::string AsJson(const std::vector<ProcessStatistics>& processes) {
  std::string all = "[";
  for (const ProcessStatistics& process : processes) {
    if (all.size() > 1) all += ",";
    all += "\n" + AsJson(process);
  }
  return all + "\n]";
}

std::string AsPrometheus(const std::vector<ProcessStatistics>& processes) {
  std::ostringstream out;
  for (const StatisticsField& field : kStatisticsFields) {
    const std::string metric =
        "userpager_" + std::string(field.name) + (field.is_level ? "" : "_total");
    out << "# HELP " << metric << ' ' << field.meaning << "\n# TYPE " << metric
        << (field.is_level ? " gauge\n" : " counter\n");
    for (const ProcessStatistics& process : processes) {
      out << metric << '{' << LabelsOf(process) << "} " << process.stats.*field.value << '\n';
    }
  }
  LatencyMetric(out, processes);
  return out.str();
}

}  // namespace userpager::cli
