#include "runtime/cli/report_page.h"

#include <ctime>

#include "runtime/base/types.h"
#include "runtime/cli/call_sites.h"
#include "runtime/cli/format.h"
#include "runtime/cli/report_advice.h"
#include "runtime/cli/report_charts.h"
#include "runtime/cli/report_text.h"

namespace userpager::cli {
namespace {

const char* const kFaultNames[kFaultKindCount] = {"demand-zero", "soft", "hard", "write-protect"};

double Bytes(uint64_t pages) { return static_cast<double>(pages) * kPageBytes; }

std::string Tag(const char* name, const std::string& attributes, const std::string& inside) {
  return std::string("<") + name + (attributes.empty() ? "" : " ") + attributes + ">" + inside +
         "</" + name + ">\n";
}

std::string When(const TraceHeader& header) {
  const auto seconds = static_cast<std::time_t>(header.began_unix_ns / 1'000'000'000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z", &parts);
  return text;
}

std::string Head(const TraceFile& file, const TraceSummary& summary) {
  const TraceHeader& header = file.header();
  const std::string program = Escaped(header.program);
  std::string html = Tag("h1", "", program.empty() ? "a program" : program);
  html += Tag("p", "class=\"quiet\"",
              Format("process %u, recorded from %s on for %s under a memory limit of %s%s; "
                     "%s events",
                     header.process_id, When(header).c_str(),
                     DurationText(summary.seconds() * 1e9).c_str(),
                     SizeText(Bytes(header.limit_pages)).c_str(),
                     summary.limit_changed()
                         ? Format(", at the end %s", SizeText(Bytes(summary.limit_pages())).c_str())
                               .c_str()
                         : "",
                     CountText(file.event_count()).c_str()));
  return html;
}

std::string Tile(const std::string& number, const std::string& what, const std::string& more) {
  return Tag("div", "class=\"tile\"",
             Tag("b", "", number) + Tag("span", "", what) + Tag("small", "", more));
}

std::string Tiles(const TraceSummary& summary) {
  std::string html;
  const RegionUse& total = summary.total();
  for (unsigned kind = 0; kind < kFaultKindCount; ++kind) {
    const LatencyHistogram& latency = summary.latency(static_cast<FaultKind>(kind));
    html += Tile(CountText(total.faults[kind]), std::string(kFaultNames[kind]) + " faults",
                 latency.count() == 0
                     ? "none"
                     : "half within " + DurationText(static_cast<double>(latency.Percentile(500))) +
                           ", 99% within " +
                           DurationText(static_cast<double>(latency.Percentile(990))));
  }
  html += Tile(DurationText(static_cast<double>(total.all_waited_ns())), "waited for faults",
               "all threads together");
  html += Tile(SizeText(Bytes(total.pages_in)), "read from the page file",
               total.ahead_pages == 0
                   ? "nothing ahead of demand"
                   : Format("%s pages ahead of demand, %s known to be used, %s wasted",
                            CountText(total.ahead_pages).c_str(),
                            CountText(total.ahead_used).c_str(),
                            CountText(total.ahead_wasted).c_str()));
  html += Tile(SizeText(Bytes(total.pages_out)), "written to the page file",
               CountText(summary.zero_pages_dropped()) + " pages left as zeros, unwritten");
  html += Tile(SizeText(static_cast<double>(total.touched_bytes)), "touched",
               "in units of 64 KiB");
  return Tag("section", "class=\"tiles\"", html);
}

std::string AdviceList(const TraceFile& file, const TraceSummary& summary) {
  std::string html;
  for (const Advice& advice : AdviceFor(file, summary)) {
    std::string item = Escaped(advice.finding);
    if (!advice.what_to_do.empty()) item += " " + Tag("em", "", Escaped(advice.what_to_do));
    html += Tag("li", "", item);
  }
  return Tag("section", "id=\"advice\"", Tag("h2", "", "What this shows") + Tag("ul", "", html));
}

std::string Chart(const char* id, const std::string& svg) {
  return Tag("figure", std::string("id=\"") + id + "\"", svg);
}

// One chart for each group, of which one is shown.
template <typename Draw>
std::string Filtered(const char* id, const TraceSummary& summary, Draw draw) {
  std::string html;
  for (size_t group = 0; group < summary.groups().size(); ++group) {
    html += Tag("div", Format("data-for=\"%zu\"%s", group, group == 0 ? "" : " hidden"),
                draw(summary, group));
  }
  return Tag("figure", std::string("id=\"") + id + "\"", html);
}

// `code`: who asked for it; nullptr where that was not recorded.
std::string RegionRow(const RegionUse& use, const std::string& pick, const CallSite* code) {
  std::string cells = Tag("td", "", pick);
  cells += Tag("td", "class=\"address\"", Escaped(RegionName(use)));
  if (code != nullptr) cells += Tag("td", "class=\"code\"", Escaped(code->name));
  for (const uint64_t count : use.faults) cells += Tag("td", "", CountText(count));
  cells += Tag("td", "", DurationText(static_cast<double>(use.all_waited_ns())));
  cells += Tag("td", "", SizeText(Bytes(use.pages_in)));
  cells += Tag("td", "", SizeText(Bytes(use.pages_out)));
  cells += Tag("td", "", CountText(use.ahead_used) + " / " + CountText(use.ahead_wasted));
  return Tag("tr", "data-pick=\"" + pick + "\" tabindex=\"0\" role=\"button\"", cells);
}

std::string CallersOf(const std::vector<CallSite>& sites) {
  std::string html = Tag("p", "class=\"quiet\"", kCallersNote);
  for (size_t i = 0; i < sites.size(); ++i) {
    std::string frames;
    for (const std::string& frame : sites[i].frames) frames += Tag("li", "", Escaped(frame));
    const std::string name = sites[i].frames.empty() ? "not known" : Escaped(sites[i].name);
    html += Tag("details", "",
                Tag("summary", "", Format("region %zu: ", i + 1) + name) + Tag("ol", "", frames));
  }
  return Tag("section", "id=\"callers\"", Tag("h2", "", "Who asked for them") + html);
}

std::string RegionTable(const TraceFile& file, const TraceSummary& summary) {
  const bool has_callers = !file.callers().empty();
  CallSites names(file);
  std::vector<CallSite> sites;
  for (const size_t shown : summary.shown()) {
    const RegionUse& use = summary.regions()[shown];
    sites.push_back(names.Of(use.first_page, use.page_count, use.reserved_ns, use.released_ns));
  }
  std::string rows = Tag("th", "", "") + Tag("th", "", "region");
  if (has_callers) rows += Tag("th", "class=\"code\"", "asked for by");
  for (const char* title : {"demand-zero", "soft", "hard", "write-protect", "waited", "read",
                            "written", "ahead: used / wasted"}) {
    rows += Tag("th", "", title);
  }
  rows = Tag("tr", "", rows);
  for (size_t i = 0; i < summary.shown().size(); ++i) {
    rows += RegionRow(summary.regions()[summary.shown()[i]], std::to_string(i + 1),
                      has_callers ? &sites[i] : nullptr);
  }
  rows += Tag("tr", "data-pick=\"0\" tabindex=\"0\" role=\"button\" class=\"all\"",
              Tag("td", "", "all") +
                  Tag("td", "",
                      CountText(summary.regions().size() - 1) + " regions were there in all") +
                  Tag("td", has_callers ? "colspan=\"9\"" : "colspan=\"8\"", ""));
  const std::string note =
      std::string(kRegionsNote) + (has_callers ? "" : std::string(" ") + kNoCallersNote);
  return Tag("section", "id=\"regions\"",
             Tag("h2", "", "Regions whose faults took longest") +
                 Tag("p", "class=\"quiet\"", note) +
                 Tag("div", "class=\"wide\"", Tag("table", "", rows))) +
         (has_callers ? CallersOf(sites) : "");
}

std::string MissRow(const TraceSummary& summary, double times) {
  const auto limit = static_cast<double>(summary.limit_pages());
  const auto more = static_cast<int64_t>(limit * (times - 1));
  const uint64_t read = summary.curve().PagesRead(more);
  const uint64_t waited = summary.curve().HardFaults(more);
  const uint64_t touches = summary.total().all_faults() + summary.total().ahead_used;
  const LatencyHistogram& hard = summary.latency(FaultKind::kHard);
  const double mean_ns =
      hard.count() == 0
          ? 0
          : static_cast<double>(
                summary.total().waited_ns[static_cast<unsigned>(FaultKind::kHard)]) /
                static_cast<double>(hard.count());
  return Tag("tr", "",
             Tag("td", "", Format("%.3gx", times)) +
                 Tag("td", "", SizeText(limit * times * kPageBytes)) +
                 Tag("td", "", CountText(read)) + Tag("td", "", CountText(waited)) +
                 Tag("td", "", touches == 0 ? ""
                                            : Format("%.1f%%", 100 * static_cast<double>(waited) /
                                                                   static_cast<double>(touches))) +
                 Tag("td", "", DurationText(mean_ns * static_cast<double>(waited))));
}

std::string MissSection(const TraceSummary& summary) {
  std::string html = Tag("h2", "", "Another memory limit");
  const std::string chart = MissChart(summary);
  if (chart.empty()) {
    return Tag("section", "id=\"misses\"",
               html + Tag("p", "", "No page was read back, so a higher limit would have changed"
                                   " nothing."));
  }
  html += Chart("miss-chart", chart);
  std::string rows;
  for (const char* title : {"limit", "", "pages read", "faults that wait", "miss ratio",
                            "waited (at the mean latency)"}) {
    rows += Tag("th", "", title);
  }
  rows = Tag("tr", "", rows);
  for (const double times : {1.0, 1.25, 1.5, 2.0, 3.0}) rows += MissRow(summary, times);
  html += Tag("div", "class=\"wide\"", Tag("table", "class=\"plain\"", rows));
  html += Tag("p", "class=\"quiet\"", kMissNote);
  if (summary.limit_changed()) html += Tag("p", "class=\"quiet\"", kLimitChangedNote);
  return Tag("section", "id=\"misses\"", html);
}

}  // namespace

std::string ReportPage(const TraceFile& file, const TraceSummary& summary) {
  const std::string program = Escaped(file.header().program);
  std::string body = Head(file, summary) + Tiles(summary) + AdviceList(file, summary);
  body += Tag("p", "id=\"picked\" role=\"status\"",
              "<span>all memory</span> <button data-pick=\"0\" hidden>show all</button>");
  body += Chart("addresses", AddressChart(summary));
  body += Tag("p", "class=\"quiet\"", kAddressNote);
  body += Filtered("faults", summary, FaultChart);
  body += Filtered("latency", summary, LatencyChart);
  body += Filtered("traffic", summary, TrafficChart);
  body += Chart("memory", MemoryChart(file, summary));
  body += Tag("p", "class=\"quiet\"", kMemoryNote);
  body += MissSection(summary) + RegionTable(file, summary);
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n"
         "<link rel=\"icon\" href=\"data:,\">\n<title>userpager report: " +
         program + "</title>\n<style>\n" + ChartStyle() + kPageStyle +
         "</style>\n</head>\n<body data-pick=\"0\">\n" + body + "<script>\n" + kPageScript +
         "</script>\n</body>\n</html>\n";
}

}  // namespace userpager::cli
