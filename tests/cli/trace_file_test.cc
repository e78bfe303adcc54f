// Trace files: what a recording writes is what is read, and what is wrong with a file is told.
#include "runtime/cli/trace_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/page_file/checksum.h"
#include "tests/cli/trace_of_events.h"
#include "tests/support/temp_directory.h"

namespace userpager::cli {
namespace {

using testing::HasSubstr;

std::vector<TraceEvent> SomeEvents() {
  std::vector<TraceEvent> events;
  events.push_back({0, 1000, 512, 0, 0, 0, TraceKind::kReserved, 0});
  for (uint32_t i = 0; i < 100; ++i) {
    events.push_back({i * 1000, 1000 + i, 4, 77, 500 + i, 2, TraceKind::kDemandZero, 0});
  }
  return events;
}

class TraceFileTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteTrace(path_, SomeEvents());
    bytes_ = ContentOf(path_);
    ASSERT_GT(bytes_.size(), sizeof(TraceHeader) + 101 * kTraceRecordBytes);
  }
  std::string ComplaintAbout(const std::string& bytes) {
    const std::string path = folder_ / "changed";
    WriteFile(path, bytes);
    return TraceFile().Open(path);
  }

  const TempDirectory folder_;
  const std::string path_ = folder_ / "trace";
  std::string bytes_;
};

TEST_F(TraceFileTest, HasWhatWasRecorded) {
  TraceFile file;
  ASSERT_EQ("", file.Open(path_));
  EXPECT_EQ(static_cast<uint32_t>(getpid()), file.header().process_id);
  EXPECT_THAT(file.header().program, HasSubstr("trace_file_test"));
  EXPECT_EQ(1024u, file.header().limit_pages);
  EXPECT_TRUE(file.has_end());
  EXPECT_EQ(0u, file.dropped());
  EXPECT_FALSE(file.samples().empty());
  std::vector<TraceEvent> events;
  for (const auto& block : file.blocks()) {
    EXPECT_EQ(0u, block.shard);
    events.insert(events.end(), block.events.begin(), block.events.end());
  }
  const std::vector<TraceEvent> expected = SomeEvents();
  ASSERT_EQ(expected.size(), events.size());
  EXPECT_EQ(expected.size(), file.event_count());
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_GE(events[i].time_ns - expected[i].time_ns, 1u);
    events[i].time_ns = expected[i].time_ns;
    EXPECT_EQ(0, std::memcmp(&expected[i], &events[i], sizeof events[i])) << i;
  }
}

TEST_F(TraceFileTest, EveryCutWithinAPartIsTold) {
  // Ends of whole blocks.
  std::vector<size_t> ends = {sizeof(TraceHeader)};
  while (ends.back() < bytes_.size()) {
    TraceBlock block;
    std::memcpy(&block, bytes_.data() + ends.back(), sizeof block);
    ends.push_back(ends.back() + sizeof block + block.record_count * kTraceRecordBytes);
  }
  ASSERT_EQ(bytes_.size(), ends.back());
  for (size_t size = 0; size < bytes_.size(); size += size < 600 ? 1 : 13) {
    const bool whole = std::find(ends.begin(), ends.end(), size) != ends.end();
    const std::string complaint = ComplaintAbout(bytes_.substr(0, size));
    if (size < sizeof kTraceMagic) {
      EXPECT_THAT(complaint, HasSubstr("is no trace file")) << size;
    } else if (!whole) {
      EXPECT_THAT(complaint, HasSubstr("is truncated")) << size;
    }
    EXPECT_EQ(std::string::npos, complaint.find('\n'));
  }
  // Behind a whole block it is the recording that was cut off, and what is there is good.
  TraceFile file;
  const std::string path = folder_ / "without_end";
  WriteFile(path, bytes_.substr(0, ends[ends.size() - 2]));
  EXPECT_EQ("", file.Open(path));
  EXPECT_FALSE(file.has_end());
  EXPECT_EQ(101u, file.event_count());
}

TEST_F(TraceFileTest, EveryByteCounts) {
  for (size_t at = 0; at < bytes_.size(); at += at < 700 ? 1 : 37) {
    std::string changed = bytes_;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    EXPECT_NE("", ComplaintAbout(changed)) << "byte " << at;
  }
}

TEST_F(TraceFileTest, ABlockThatIsMissingOrDoubleIsTold) {
  TraceBlock block;
  std::memcpy(&block, bytes_.data() + sizeof(TraceHeader), sizeof block);
  const size_t length = sizeof block + block.record_count * kTraceRecordBytes;
  std::string without = bytes_;
  without.erase(sizeof(TraceHeader), length);
  EXPECT_THAT(ComplaintAbout(without), HasSubstr("is damaged at byte 480"));
  std::string twice = bytes_;
  twice.insert(sizeof(TraceHeader), bytes_.substr(sizeof(TraceHeader), length));
  EXPECT_THAT(ComplaintAbout(twice), HasSubstr("is damaged"));
  EXPECT_THAT(ComplaintAbout(bytes_ + bytes_.substr(sizeof(TraceHeader), length)),
              HasSubstr("behind its end"));
}

TEST_F(TraceFileTest, OtherVersionsAndOtherFilesAreTold) {
  TraceHeader header;
  std::memcpy(&header, bytes_.data(), sizeof header);
  header.version = kTraceVersion + 1;
  header.checksum = Crc32c(&header, offsetof(TraceHeader, checksum));
  std::string newer = bytes_;
  std::memcpy(newer.data(), &header, sizeof header);
  EXPECT_THAT(ComplaintAbout(newer), HasSubstr("version 2"));
  EXPECT_THAT(ComplaintAbout("a text that is no recording"), HasSubstr("is no trace file"));
  EXPECT_THAT(TraceFile().Open(folder_ / "nothing"), HasSubstr("No such file"));
  EXPECT_THAT(TraceFile().Open(folder_.path()), HasSubstr("is no file"));
}

}  // namespace
}  // namespace userpager::cli
