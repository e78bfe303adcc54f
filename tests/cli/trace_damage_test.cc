// Trace files that nothing has written: what is reported of them is one line or a page, whatever
// stands in them. Their checksums are right, so that what they say is believed.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/cli/report_page.h"
#include "runtime/cli/trace_export.h"
#include "runtime/page_file/checksum.h"
#include "tests/cli/trace_of_events.h"
#include "tests/support/temp_directory.h"

namespace userpager::cli {
namespace {

constexpr size_t kFirstBlock = sizeof(TraceHeader);

// Makes the checksums of the header and of all blocks right, as far as blocks can be found.
void Seal(std::string* bytes) {
  const auto put = [&](size_t at, uint32_t sum) {
    std::memcpy(bytes->data() + at, &sum, sizeof sum);
  };
  put(offsetof(TraceHeader, checksum), Crc32c(bytes->data(), offsetof(TraceHeader, checksum)));
  for (size_t at = kFirstBlock; at + sizeof(TraceBlock) <= bytes->size();) {
    TraceBlock block;
    std::memcpy(&block, bytes->data() + at, sizeof block);
    const size_t records = at + sizeof block;
    const size_t length = size_t{block.record_count} * kTraceRecordBytes;
    if (length > bytes->size() - records) return;
    put(at + offsetof(TraceBlock, checksum), Crc32c(bytes->data() + records, length));
    put(at + offsetof(TraceBlock, head_checksum),
        Crc32c(bytes->data() + at, offsetof(TraceBlock, head_checksum)));
    at = records + length;
  }
}

// Some of everything.
std::vector<TraceEvent> SomeOfEach() {
  std::vector<TraceEvent> events = {{0, 0x1000, 256, 0, 0, 0, TraceKind::kReserved, 0}};
  for (uint32_t i = 0; i < 60; ++i) {
    const uint64_t page = 0x1000 + i;
    const uint64_t time = 1000 + i * 9000;
    events.push_back({time, page, 2, 7, 900 + i, 1, TraceKind::kDemandZero, 0});
    events.push_back({time + 1, page, 1, 7, 50, 0, TraceKind::kWriteProtect, 0});
    events.push_back({time + 2, page, 1, 0, 0, 0, TraceKind::kParked, 0});
    events.push_back({time + 3, page, 1, 7, 80, 0, TraceKind::kSoft, 0});
    events.push_back({time + 4, page, 1, 0, 700, 0, TraceKind::kPagesOut, 0});
    events.push_back({time + 5, page, 1, 0, 0, 0, TraceKind::kDropped, 0});
    events.push_back({time + 6, page, 1, 7, 90'000, 0, TraceKind::kHard, 0});
    events.push_back({time + 7, page, 1, 0, 0, 1, TraceKind::kPagesIn, 0});
  }
  events.push_back({600'000, 0x80, 0, 0, 0, 0, TraceKind::kLimit, 0});
  events.push_back({600'001, 0x1000, 256, 0, 0, 0, TraceKind::kReleased, 0});
  return events;
}

class TraceDamageTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteTrace(folder_ / "whole", SomeOfEach());
    bytes_ = ContentOf(folder_ / "whole");
    ASSERT_GT(bytes_.size(), kFirstBlock + 480 * kTraceRecordBytes);
  }
  // Reports all of it in all forms. Returns the complaint, or "".
  std::string Report(std::string bytes) {
    Seal(&bytes);
    WriteFile(folder_ / "changed", bytes);
    TraceFile file;
    std::string wrong = file.Open(folder_ / "changed");
    if (!wrong.empty()) return wrong;
    std::ostringstream out;
    WriteCsv(file, out);
    WriteChromeTrace(file, out);
    out << ReportPage(file, TraceSummary(file));
    EXPECT_EQ("</html>\n", out.str().substr(out.str().size() - 8));
    return "";
  }
  // With another event in the place of one.
  std::string ReportWith(size_t index, const TraceEvent& event) {
    std::string bytes = bytes_;
    std::memcpy(bytes.data() + kFirstBlock + sizeof(TraceBlock) + index * sizeof event, &event,
                sizeof event);
    return Report(bytes);
  }

  const TempDirectory folder_;
  std::string bytes_;
};

TEST_F(TraceDamageTest, WhatIsWholeIsReported) { EXPECT_EQ("", Report(bytes_)); }

TEST_F(TraceDamageTest, PagesThatCannotBeThereAreTold) {
  constexpr uint64_t kFar = ~uint64_t{0};
  EXPECT_NE("", ReportWith(5, {9000, kFar, 1, 7, 50, 0, TraceKind::kDemandZero, 0}));
  EXPECT_NE("", ReportWith(5, {9000, kFar - 3, 9, 7, 50, 0, TraceKind::kPagesIn, 0}));
  EXPECT_NE("", ReportWith(5, {9000, 0x1000, UINT32_MAX, 0, 0, 0, TraceKind::kParked, 0}));
  EXPECT_NE("", ReportWith(5, {9000, kFar, 0, 0, 0, 0, TraceKind::kLimit, 0}));
  // A region may be as large as addresses are.
  EXPECT_EQ("", ReportWith(0, {0, 0x1000, UINT32_MAX, 0, 0, 0, TraceKind::kReserved, 0}));
  EXPECT_EQ("", ReportWith(5, {kFar, 0x1000, 1, 7, UINT32_MAX, UINT16_MAX, TraceKind::kHard, 0}));
}

TEST_F(TraceDamageTest, AHeaderThatCannotBeIsTold) {
  const auto with = [&](auto change) {
    std::string bytes = bytes_;
    auto* header = reinterpret_cast<TraceHeader*>(bytes.data());
    change(header);
    return Report(bytes);
  };
  EXPECT_NE("", with([](TraceHeader* header) { header->shards = UINT32_MAX; }));
  EXPECT_NE("", with([](TraceHeader* header) { header->shards = 0; }));
  EXPECT_NE("", with([](TraceHeader* header) { header->limit_pages = UINT64_MAX; }));
  EXPECT_NE("", with([](TraceHeader* header) {
    std::memset(header->program, 'p', sizeof header->program);
  }));
  EXPECT_EQ("", with([](TraceHeader* header) { header->limit_pages = 0; }));
  EXPECT_EQ("", with([](TraceHeader* header) { header->began_ns = UINT64_MAX; }));
}

// Random bytes in random places.
TEST_F(TraceDamageTest, AnythingIsALineOrAPage) {
  constexpr int kRounds = 400;
  constexpr unsigned kSeed = 20261201;
  std::mt19937 random(kSeed);
  int reported = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string bytes = bytes_;
    const auto changes = 1 + random() % 12;
    for (size_t i = 0; i < changes; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    SCOPED_TRACE("round " + std::to_string(round));
    const std::string complaint = Report(bytes);
    EXPECT_EQ(std::string::npos, complaint.find('\n')) << complaint;
    if (complaint.empty()) ++reported;
  }
  // Both happen.
  EXPECT_GT(reported, kRounds / 20);
  EXPECT_LT(reported, kRounds);
}

}  // namespace
}  // namespace userpager::cli
