#include "bench/support/result_table.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/support/sample_set.h"
#include "runtime/cli/svg_chart.h"

namespace userpager::bench {
namespace {

using cli::ChartSeries;
using cli::ChartText;
using cli::DrawBars;
using cli::Scale;

constexpr Backend kMappings[] = {Backend::kMapped, Backend::kMappedSequential,
                                 Backend::kMappedRandom};

const char* UnitOf(Workload workload) { return TraitsOf(workload).in_bytes ? "MB/s" : "/s"; }

std::string Cell(std::optional<double> value) {
  if (!value.has_value()) return "";
  return *value >= 100 ? absl::StrFormat("%.0f", *value) : absl::StrFormat("%.2f", *value);
}

// The part of a title after the comma: which advice it was.
std::string AdviceOf(Backend mapping) {
  const std::string title = TraitsOf(mapping).title;
  const size_t comma = title.find(", ");
  return comma == title.npos ? "no advice" : title.substr(comma + 2);
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace

std::string FormatResult(unsigned round, Workload workload, Backend backend,
                         const Metrics& metrics) {
  std::string line =
      absl::StrFormat("[%u] %-12s %-18s", round, TraitsOf(workload).name, TraitsOf(backend).name);
  const auto value = metrics.find("value");
  if (value != metrics.end()) {
    absl::StrAppendFormat(&line, "%10.1f %-5s", value->second, UnitOf(workload));
  }
  for (const auto& [name, number] : metrics) {
    if (name != "value") absl::StrAppendFormat(&line, " %s=%.6g", name, number);
  }
  return line;
}

std::optional<double> ResultTable::MedianOf(Workload workload, Backend backend,
                                            const std::string& metric) const {
  const auto rounds = results_.find({workload, backend});
  if (rounds == results_.end()) return std::nullopt;
  std::vector<double> values;
  for (const auto& [round, metrics] : rounds->second) {
    if (const auto found = metrics.find(metric); found != metrics.end()) {
      values.push_back(found->second);
    }
  }
  if (values.empty()) return std::nullopt;
  return Median(std::move(values));
}

std::optional<double> ResultTable::RatioOf(Workload workload, Backend backend, Backend to) const {
  const auto upper = results_.find({workload, backend});
  const auto lower = results_.find({workload, to});
  if (upper == results_.end() || lower == results_.end()) return std::nullopt;
  std::vector<double> ratios;
  for (const auto& [round, metrics] : upper->second) {
    const auto same_round = lower->second.find(round);
    if (same_round == lower->second.end()) continue;
    const double below = same_round->second.at("value");
    if (below > 0) ratios.push_back(metrics.at("value") / below);
  }
  if (ratios.empty()) return std::nullopt;
  return Median(std::move(ratios));
}

std::optional<Backend> ResultTable::BestMapped(Workload workload) const {
  std::optional<Backend> best;
  for (const Backend mapping : kMappings) {
    const std::optional<double> value = MedianOf(workload, mapping, "value");
    if (!value.has_value()) continue;
    if (!best.has_value() || *value > *MedianOf(workload, *best, "value")) best = mapping;
  }
  return best;
}

bool ResultTable::Measured(Workload workload) const {
  return std::any_of(results_.begin(), results_.end(),
                     [workload](const auto& entry) { return entry.first.first == workload; });
}

std::string ResultTable::MarkdownRow(Workload workload) const {
  const auto median = [this, workload](Backend backend) {
    return Cell(MedianOf(workload, backend, "value"));
  };
  const std::optional<Backend> mapped = BestMapped(workload);
  std::string row =
      absl::StrFormat("| %s (%s) | %s | %s | %s", TraitsOf(workload).title, UnitOf(workload),
                      median(Backend::kLibrary), median(Backend::kPreload), median(Backend::kSwap));
  absl::StrAppend(&row, " | ", mapped ? median(*mapped) + " (" + AdviceOf(*mapped) + ")" : "",
                  " | ", median(Backend::kDisk), " | ", median(Backend::kPlain));
  absl::StrAppend(&row, " | ", Cell(RatioOf(workload, Backend::kLibrary, Backend::kSwap)), " | ",
                  mapped ? Cell(RatioOf(workload, Backend::kLibrary, *mapped)) : "", " | ",
                  Cell(RatioOf(workload, Backend::kLibrary, Backend::kDisk)), " | ",
                  Cell(RatioOf(workload, Backend::kLibrary, Backend::kPlain)), " |\n");
  return row;
}

std::string ResultTable::MarkdownFloors() const {
  std::string text;
  const auto miss = MedianOf(Workload::kRandom1, Backend::kLibrary, "miss_p50_us");
  const auto disk = MedianOf(Workload::kRandom1, Backend::kDisk, "p50_us");
  const auto echo = MedianOf(Workload::kRandom1, Backend::kEcho, "p50_us");
  if (miss && disk && echo) {
    absl::StrAppendFormat(&text,
                          "- Random read, 1 thread, a miss at the median: %.1f us; the disk's own "
                          "read %.1f us, a bare userfaultfd echo on the same CPU %.1f us; the "
                          "pager's own part %.1f us.\n",
                          *miss, *disk, *echo, *miss - *disk - *echo);
  }
  if (const auto own = MedianOf(Workload::kFill, Backend::kLibrary, "own_mib")) {
    const double touched_mib =
        *MedianOf(Workload::kFill, Backend::kLibrary, "accesses") * kPageBytes / (1024 * 1024);
    absl::StrAppendFormat(&text,
                          "- Memory of the runtime itself after the fill, buffers included: %.2f "
                          "MiB, %.2f%% of the %.0f MiB that were touched.\n",
                          *own, 100 * *own / touched_mib, touched_mib);
  }
  const auto shards = RatioOf(Workload::kTwoThreads, Backend::kLibraryTwoShards, Backend::kLibrary);
  if (shards) {
    absl::StrAppendFormat(&text, "- Two shards for two faulting threads: %.2f times one shard.\n",
                          *shards);
  }
  return text;
}

std::string ResultTable::Markdown(const Environment& environment) const {
  std::string text;
  for (const auto& [name, value] : environment) {
    absl::StrAppendFormat(&text, "- %s: %s\n", name, value);
  }
  absl::StrAppend(&text,
                  "\nMedians over the rounds; the ratios are medians of each round's ratio.\n\n"
                  "| workload | userpager | preloaded | kernel swap | mapped file, best advice | "
                  "the disk itself | ordinary memory | times swap | times mapped | of the disk | "
                  "of ordinary memory |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const WorkloadTraits& traits : kWorkloads) {
    if (Measured(traits.workload)) text += MarkdownRow(traits.workload);
  }
  absl::StrAppend(&text, "\n", MarkdownFloors());
  for (const auto& [backend, reason] : skipped_) {
    absl::StrAppendFormat(&text, "- Left out: %s: %s.\n", TraitsOf(backend).title, reason);
  }
  return text;
}

std::string ResultTable::Json(const Environment& environment) const {
  std::string text = "{\n  \"environment\": {";
  const char* separator = "\n";
  for (const auto& [name, value] : environment) {
    absl::StrAppend(&text, separator, "    ", Quoted(name), ": ", Quoted(value));
    separator = ",\n";
  }
  text += "\n  },\n  \"skipped\": {";
  separator = "\n";
  for (const auto& [backend, reason] : skipped_) {
    absl::StrAppend(&text, separator, "    ", Quoted(TraitsOf(backend).name), ": ", Quoted(reason));
    separator = ",\n";
  }
  text += "\n  },\n  \"results\": [";
  separator = "\n";
  for (const auto& [key, rounds] : results_) {
    for (const auto& [round, metrics] : rounds) {
      absl::StrAppendFormat(&text,
                            "%s    {\"workload\": \"%s\", \"backend\": \"%s\", \"round\": %u, "
                            "\"unit\": \"%s\"",
                            separator, TraitsOf(key.first).name, TraitsOf(key.second).name, round,
                            UnitOf(key.first));
      for (const auto& [name, value] : metrics) {
        absl::StrAppendFormat(&text, ", %s: %.9g", Quoted(name), value);
      }
      text += "}";
      separator = ",\n";
    }
  }
  return text + "\n  ]\n}\n";
}

std::string ResultTable::Chart(bool in_bytes) const {
  const std::pair<const char*, std::optional<Backend>> rivals[] = {
      {"userpager", Backend::kLibrary},    {"userpager, preloaded", Backend::kPreload},
      {"kernel swap", Backend::kSwap},     {"mapped file, best advice", std::nullopt},
      {"the disk itself", Backend::kDisk},
  };
  std::vector<std::string> groups;
  std::vector<ChartSeries> series;
  for (const auto& [name, backend] : rivals) series.push_back({name, {}});
  for (const WorkloadTraits& traits : kWorkloads) {
    if (traits.fits || traits.in_bytes != in_bytes || !Measured(traits.workload)) continue;
    groups.push_back(traits.title);
    for (size_t i = 0; i < series.size(); ++i) {
      const std::optional<Backend> backend =
          rivals[i].second ? rivals[i].second : BestMapped(traits.workload);
      series[i].values.push_back(
          backend ? MedianOf(traits.workload, *backend, "value").value_or(NAN) : NAN);
    }
  }
  std::erase_if(series, [](const ChartSeries& one) {
    return std::all_of(one.values.begin(), one.values.end(),
                       [](double value) { return std::isnan(value); });
  });
  const ChartText text = {"Data larger than the memory limit",
                          in_bytes ? "MB/s, logarithmic" : "accesses a second, logarithmic", ""};
  return DrawBars(text, Scale::kLogarithmic, groups, series);
}

}  // namespace userpager::bench
