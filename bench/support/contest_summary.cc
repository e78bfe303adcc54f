#include "bench/support/contest_summary.h"

#include "absl/strings/str_format.h"

namespace userpager::bench {
namespace {

constexpr double kNanosecondsInMicrosecond = 1000;

RivalSummary SummarizeRival(RivalResult* result) {
  std::vector<double> medians;
  for (const double median : result->round_medians) {
    if (median > 0) medians.push_back(median);
  }
  const auto percentile_us = [result](size_t per_mille) {
    return static_cast<double>(result->samples.Percentile(per_mille)) / kNanosecondsInMicrosecond;
  };
  RivalSummary summary;
  summary.name = result->rival->name();
  summary.role = result->rival->role();
  summary.p50_us = Median(std::move(medians)) / kNanosecondsInMicrosecond;
  summary.p99_us = percentile_us(990);
  summary.p999_us = percentile_us(999);
  summary.touch_mean_us = Median(result->round_touch_means) / kNanosecondsInMicrosecond;
  summary.samples = result->samples.count();
  if (result->touches > 0) {
    summary.intended_percent =
        100 * static_cast<double>(summary.samples) / static_cast<double>(result->touches);
  }
  return summary;
}

const std::vector<double>& RoundFigures(const RivalResult& result, Compared compared) {
  return compared == Compared::kFaults ? result.round_medians : result.round_touch_means;
}

EchoComparison Compare(const RivalResult& pager, const RivalResult& echo, const RivalResult* disk,
                       Compared compared) {
  const std::vector<double>& pager_ns = RoundFigures(pager, compared);
  const std::vector<double>& echo_ns = RoundFigures(echo, compared);
  std::vector<double> own;
  std::vector<double> ratios;
  for (size_t round = 0; round < pager_ns.size(); ++round) {
    if (pager_ns[round] <= 0 || echo_ns[round] <= 0) continue;
    const double disk_ns = disk == nullptr ? 0 : RoundFigures(*disk, compared)[round];
    own.push_back(pager_ns[round] - echo_ns[round] - disk_ns);
    ratios.push_back(pager_ns[round] / echo_ns[round]);
  }
  EchoComparison comparison;
  comparison.echo = echo.rival->name();
  comparison.own_us = Median(std::move(own)) / kNanosecondsInMicrosecond;
  comparison.ratio = Median(std::move(ratios));
  return comparison;
}

}  // namespace

ContestSummary Summarize(const std::string& title, Contest* contest) {
  ContestSummary summary;
  summary.title = title;
  summary.rounds = contest->rounds_done();
  summary.compared = contest->options().compared;
  const RivalResult* const disk = contest->Find(Role::kDisk);
  summary.with_disk = disk != nullptr;
  for (RivalResult& result : contest->results()) summary.rivals.push_back(SummarizeRival(&result));
  const RivalResult* const pager = contest->Find(Role::kPager);
  for (const Role role : {Role::kEcho, Role::kEchoSameCpu}) {
    const RivalResult* const echo = contest->Find(role);
    if (pager != nullptr && echo != nullptr) {
      summary.comparisons.push_back(Compare(*pager, *echo, disk, summary.compared));
    }
  }
  return summary;
}

std::string FormatSummary(const ContestSummary& summary) {
  std::string text = absl::StrFormat("%s (%u rounds)\n", summary.title, summary.rounds);
  absl::StrAppendFormat(&text, "  %-52s%10s%10s%10s%12s%10s%10s\n", "microseconds", "p50", "p99",
                        "p99.9", "mean/touch", "samples", "intended");
  for (const RivalSummary& rival : summary.rivals) {
    const char* const floor = rival.role == Role::kPager ? "" : "floor: ";
    absl::StrAppendFormat(&text, "  %-52s%10.2f%10.2f%10.2f%12.2f%10u%9.1f%%\n", floor + rival.name,
                          rival.p50_us, rival.p99_us, rival.p999_us, rival.touch_mean_us,
                          rival.samples, rival.intended_percent);
  }
  for (const EchoComparison& comparison : summary.comparisons) {
    absl::StrAppendFormat(&text, "  pager's own part: %.2f us %s over %s%s", comparison.own_us,
                          summary.compared == Compared::kFaults ? "a fault" : "a page",
                          comparison.echo, summary.with_disk ? " + disk" : "");
    if (!summary.with_disk) absl::StrAppendFormat(&text, "; ratio %.2f", comparison.ratio);
    text += "\n";
  }
  return text;
}

}  // namespace userpager::bench
