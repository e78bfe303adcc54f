// Recordings of a real pager, and what a recording does with files that are not its own.
#include "runtime/pager/recording.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>
#include <map>

#include "runtime/cli/trace_file.h"
#include "tests/support/captured_log.h"
#include "tests/support/child_process.h"
#include "tests/support/eventually.h"
#include "tests/support/running_pager.h"
#include "tests/support/temp_directory.h"

namespace userpager::cli {
namespace {

using testing::HasSubstr;

std::map<TraceKind, uint64_t> PagesByKind(const TraceFile& file) {
  std::map<TraceKind, uint64_t> pages;
  for (const auto& block : file.blocks()) {
    for (const TraceEvent& event : block.events) pages[event.kind] += event.page_count;
  }
  return pages;
}

std::map<TraceKind, uint64_t> EventsByKind(const TraceFile& file) {
  std::map<TraceKind, uint64_t> events;
  for (const auto& block : file.blocks()) {
    for (const TraceEvent& event : block.events) ++events[event.kind];
  }
  return events;
}

class RecordingOfPager : public testing::TestWithParam<Road> {
 protected:
  const TempDirectory folder_;
  const std::string path_ = folder_ / "trace";
};

TEST_P(RecordingOfPager, HasWhatTheCountersHave) {
  RunningPager pager;
  PagerOptions options = RunningPager::Options(GetParam(), 256 * GetParam().shards);
  options.record_to = path_.c_str();
  if (!pager.Start(options)) GTEST_SKIP() << pager.why();
  Vad* vad = pager.Reserve(600);
  ASSERT_NE(nullptr, vad);
  const PageRange range = vad->range;
  for (uint64_t i = 0; i < 600; ++i) FirstWord(range.begin + PageCount(i)) = i + 1;
  ASSERT_TRUE(pager.PushOut(*vad));
  uint64_t sum = 0;
  for (uint64_t i = 0; i < 600; ++i) sum += FirstWord(range.begin + PageCount(i));
  EXPECT_EQ(600u * 601 / 2, sum);
  ASSERT_EQ(0, pager->SetMemoryLimit(PageCount(320 * GetParam().shards)));
  pager.Turn();
  const CounterTotals& counted = pager.Counters();
  const uint64_t pages_in = counted.pages_in.value();
  const uint64_t pages_out = counted.pages_out.value();
  const uint64_t hard = counted.faults[static_cast<unsigned>(FaultKind::kHard)].value();
  uint64_t faults[kFaultKindCount];
  for (unsigned kind = 0; kind < kFaultKindCount; ++kind) {
    faults[kind] = counted.faults[kind].value();
  }
  pager.StopNow();

  TraceFile file;
  ASSERT_EQ("", file.Open(path_));
  EXPECT_TRUE(file.has_end());
  EXPECT_EQ(0u, file.dropped());
  std::map<TraceKind, uint64_t> events = EventsByKind(file);
  std::map<TraceKind, uint64_t> pages = PagesByKind(file);
  EXPECT_EQ(faults[0], events[TraceKind::kDemandZero]);
  EXPECT_EQ(faults[1], events[TraceKind::kSoft]);
  EXPECT_EQ(faults[2], events[TraceKind::kHard]);
  EXPECT_EQ(faults[3], events[TraceKind::kWriteProtect]);
  EXPECT_GT(hard, 0u);
  // What was under way when the counters were read came later.
  EXPECT_GE(pages[TraceKind::kPagesIn], pages_in);
  EXPECT_GE(pages[TraceKind::kPagesOut], pages_out);
  EXPECT_GE(pages[TraceKind::kDropped], 600u);
  EXPECT_EQ(events[TraceKind::kReserved], events[TraceKind::kReleased]);
  EXPECT_EQ(1u, events[TraceKind::kLimit]);
  EXPECT_FALSE(file.samples().empty());
}

INSTANTIATE_TEST_SUITE_P(Roads, RecordingOfPager,
                         testing::Values(Road{}, Road{.move = false}, Road{.shards = 2},
                                         Road{.faults = FaultDelivery::kSignals}),
                         [](const auto& road) { return road.param.Name(); });

TEST(Recording, WhatIsKeptAndWhatIsDroppedIsAllThereWas) {
  constexpr uint64_t kEvents = 300'000;
  const TempDirectory folder;
  const std::string path = folder / "trace";
  FrameLedger frames;
  const PageFile page_file;
  LogLine error;
  {
    Recording recording(frames, page_file);
    ASSERT_EQ(0, recording.Start(path.c_str(), 1, false, &error)) << error.c_str();
    for (uint64_t i = 0; i < kEvents; ++i) {
      recording.ring(0)->Add({i, i, 1, 0, 0, 0, TraceKind::kSoft, 0});
    }
  }
  TraceFile file;
  ASSERT_EQ("", file.Open(path));
  EXPECT_GE(file.event_count(), Recording::kRingEvents);
  EXPECT_EQ(kEvents, file.event_count() + file.dropped());
}

TEST(Recording, FilesOfOthersStayAsTheyAre) {
  const TempDirectory folder;
  const std::string path = folder / "letter";
  std::ofstream(path) << "Dear reader";
  FrameLedger frames;
  const PageFile page_file;
  Recording recording(frames, page_file);
  LogLine error;
  EXPECT_EQ(EEXIST, recording.Start(path.c_str(), 1, false, &error));
  EXPECT_THAT(error.c_str(), HasSubstr("it is no trace file"));
  std::string text;
  std::getline(std::ifstream(path) >> std::ws, text);
  EXPECT_EQ("Dear reader", text);
  Recording nowhere(frames, page_file);
  EXPECT_EQ(ENOENT, nowhere.Start((folder / "no/such").c_str(), 1, false, &error));
}

TEST(Recording, OneRecordsToAFileAtATimeAndTheNextOverwritesIt) {
  const TempDirectory folder;
  const std::string path = folder / "trace";
  FrameLedger frames;
  const PageFile page_file;
  LogLine error;
  {
    Recording first(frames, page_file);
    ASSERT_EQ(0, first.Start(path.c_str(), 1, false, &error)) << error.c_str();
    for (int i = 0; i < 1000; ++i) first.ring(0)->Add({1, 1, 1, 0, 0, 0, TraceKind::kSoft, 0});
    Recording second(frames, page_file);
    EXPECT_EQ(EBUSY, second.Start(path.c_str(), 1, false, &error));
    EXPECT_THAT(error.c_str(), HasSubstr("another process records to it"));
  }
  Recording third(frames, page_file);
  ASSERT_EQ(0, third.Start(path.c_str(), 2, false, &error)) << error.c_str();
  third.Finish();
  third.Finish();
  TraceFile file;
  ASSERT_EQ("", file.Open(path));
  EXPECT_EQ(0u, file.event_count());
  EXPECT_EQ(2u, file.header().shards);
}

// The disk is full, or a limit of file sizes is reached, in the middle of a block: the file keeps
// its whole blocks, a line tells it, and the program goes on.
TEST(Recording, EndsWhereItsFileCannotBeWritten) {
  const TempDirectory folder;
  const std::string path = folder / "trace";
  const std::string result = InChild([&]() -> std::string {
    signal(SIGXFSZ, SIG_IGN);
    const CapturedLog log;
    FrameLedger frames;
    const PageFile page_file;
    LogLine error;
    Recording recording(frames, page_file);
    if (recording.Start(path.c_str(), 1, false, &error) != 0) return error.c_str();
    constexpr rlim_t kMost = 100'000;
    const rlimit limit{kMost, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return "no limit can be set";
    for (uint64_t i = 0; i < 10'000; ++i) {
      recording.ring(0)->Add({i, i, 1, 0, 0, 0, TraceKind::kSoft, 0});
    }
    const bool told = Eventually([&] { return log.Has("the recording ends here"); });
    // What comes later is nowhere, and nobody waits for it.
    recording.ring(0)->Add({1, 1, 1, 0, 0, 0, TraceKind::kSoft, 0});
    recording.Finish();
    if (!told) return "no line: " + log.Text();
    return log.Has("EFBIG") ? "" : log.Text();
  });
  EXPECT_EQ("", result);
  TraceFile file;
  ASSERT_EQ("", file.Open(path));
  EXPECT_FALSE(file.has_end());
}

TEST(Recording, TheProcessIdStandsInTheName) {
  const TempDirectory folder;
  FrameLedger frames;
  const PageFile page_file;
  Recording recording(frames, page_file);
  LogLine error;
  ASSERT_EQ(0, recording.Start((folder / "a%pb%p").c_str(), 1, false, &error)) << error.c_str();
  const std::string id = std::to_string(getpid());
  struct stat status {};
  ASSERT_EQ(0, stat((folder / ("a" + id + "b" + id)).c_str(), &status));
  EXPECT_EQ(0600u, status.st_mode & 0777);
}

}  // namespace
}  // namespace userpager::cli
