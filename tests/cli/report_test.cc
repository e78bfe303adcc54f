// Reports of recordings that were made by hand, so that what they must say is known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "runtime/cli/format.h"
#include "runtime/cli/report_advice.h"
#include "runtime/cli/report_page.h"
#include "runtime/cli/trace_export.h"
#include "tests/cli/trace_of_events.h"
#include "tests/support/temp_directory.h"

namespace userpager::cli {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kBusy = 0x1000;   // pages
constexpr uint64_t kQuiet = 0x9000;

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Two regions. Each page of the one is written once, dropped, and read back 200 times in all; the
// other is touched once.
std::vector<TraceEvent> TwoRegions() {
  std::vector<TraceEvent> events = {
      {0, kBusy, 256, 0, 0, 0, TraceKind::kReserved, 0},
      {0, kQuiet, 512, 0, 0, 0, TraceKind::kReserved, 0},
      {1000, kQuiet, 4, 11, 9'000, 1, TraceKind::kDemandZero, 0},
  };
  for (uint64_t i = 0; i < 200; ++i) {
    const uint64_t page = kBusy + i % 100;
    const uint64_t time = 2000 + i * 100'000;
    if (i < 100) {
      events.push_back({time, page, 1, 12, 8'000, 0, TraceKind::kDemandZero, 0});
      events.push_back({time + 1, page, 1, 0, 50'000, 0, TraceKind::kPagesOut, 0});
      events.push_back({time + 2, page, 1, 0, 0, 0, TraceKind::kDropped, 0});
    }
    events.push_back({time + 3, page, 1, 12, 3'000'000, 0, TraceKind::kHard, 0});
    events.push_back({time + 4, page, 1, 0, 0, 1, TraceKind::kPagesIn, 0});
    if (i < 100) events.push_back({time + 5, page, 1, 0, 0, 0, TraceKind::kDropped, 0});
  }
  return events;
}

class ReportTest : public testing::Test {
 protected:
  void Record(const std::vector<TraceEvent>& events) {
    ASSERT_NO_FATAL_FAILURE(WriteTrace(path_, events));
    ASSERT_EQ("", file_.Open(path_));
  }

  const TempDirectory folder_;
  const std::string path_ = folder_ / "trace";
  TraceFile file_;
};

TEST_F(ReportTest, CountsByRegion) {
  Record(TwoRegions());
  const TraceSummary summary(file_);
  EXPECT_EQ(301u, summary.total().all_faults());
  EXPECT_EQ(200u, summary.total().pages_in);
  EXPECT_EQ(100u, summary.total().pages_out);
  ASSERT_EQ(2u, summary.shown().size());
  const RegionUse& first = summary.regions()[summary.shown()[0]];
  EXPECT_EQ(kBusy, first.first_page);
  EXPECT_EQ(200u * 3'000'000, first.waited_ns[static_cast<unsigned>(FaultKind::kHard)]);
  EXPECT_EQ(1u, summary.regions()[summary.shown()[1]].all_faults());
  // A column for each moment, a group for each region: nothing is lost on the way there.
  double everywhere = 0;
  for (const double faults : summary.groups()[0].faults[0]) everywhere += faults;
  EXPECT_EQ(101, everywhere);
  uint64_t cells = 0;
  for (const auto& row : summary.addresses().rows) {
    for (const uint32_t count : row) cells += count;
  }
  EXPECT_EQ(301u, cells);
  ASSERT_EQ(2u, summary.bands().size());
  EXPECT_EQ("1", summary.bands()[0].pick);
}

TEST_F(ReportTest, ThePageIsWholeAndNeedsNothingElse) {
  Record(TwoRegions());
  const TraceSummary summary(file_);
  const std::string page = ReportPage(file_, summary);
  for (const char* id : {"addresses", "faults", "latency", "traffic", "memory", "miss-chart"}) {
    EXPECT_EQ(1u, Count(page, std::string("<figure id=\"") + id + "\"")) << id;
  }
  EXPECT_EQ(3u * 3, Count(page, "data-for=\"") - Count(page, "[data-for=\""));
  EXPECT_EQ(Count(page, "<svg "), Count(page, "</svg>"));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
  EXPECT_THAT(page, HasSubstr("0x1000000, 1.00 MiB"));
  EXPECT_THAT(page, Not(ContainsRegex("nan|inf[ ,\"]")));
  // No address of the network but the name of SVG itself.
  EXPECT_EQ(Count(page, "http"), Count(page, "http://www.w3.org/2000/svg"));
  EXPECT_THAT(page, Not(ContainsRegex("src=|@import|url\\(")));
}

TEST_F(ReportTest, ARecordingOfNothingIsAPageToo) {
  Record({});
  const TraceSummary summary(file_);
  const std::string page = ReportPage(file_, summary);
  EXPECT_THAT(page, HasSubstr("No page was read back"));
  EXPECT_THAT(page, Not(ContainsRegex("nan|inf[ ,\"]")));
}

TEST_F(ReportTest, AdviceSaysWhatTheNumbersSay) {
  Record(TwoRegions());
  const TraceSummary summary(file_);
  std::string all;
  for (const Advice& advice : AdviceFor(file_, summary)) {
    all += advice.finding + " " + advice.what_to_do + "\n";
  }
  EXPECT_THAT(all, HasSubstr("in 200 faults for the page file"));
  EXPECT_THAT(all, HasSubstr("was for one region: region 1"));
  EXPECT_THAT(all, HasSubstr("only 0% were read ahead"));
  EXPECT_THAT(all, HasSubstr("Put the page file on a faster device"));
  EXPECT_THAT(all, Not(HasSubstr("dropped while recording")));
}

TEST_F(ReportTest, NamesFromOutsideAreEscaped) {
  EXPECT_EQ("a&lt;b&gt;&amp;&quot;", Escaped("a<b>&\""));
}

TEST_F(ReportTest, CsvHasALineForEachEvent) {
  Record(TwoRegions());
  std::ostringstream csv;
  WriteCsv(file_, csv);
  EXPECT_EQ(1 + file_.event_count() + 4 * file_.samples().size(), Count(csv.str(), "\n"));
  EXPECT_THAT(csv.str(), HasSubstr(",demand_zero,0x9001000,4,11,9000\n"));
  std::istringstream lines(csv.str());
  for (std::string line; std::getline(lines, line);) EXPECT_EQ(6u, Count(line, ",")) << line;
}

TEST(Format, Texts) {
  EXPECT_EQ("1,234,567", CountText(1234567));
  EXPECT_EQ("999", CountText(999));
  EXPECT_EQ("4 KiB", SizeText(4096));
  EXPECT_EQ("1.50 GiB", SizeText(1.5 * (1 << 30)));
  EXPECT_EQ("1.25 ms", DurationText(1.25e6));
}

}  // namespace
}  // namespace userpager::cli
