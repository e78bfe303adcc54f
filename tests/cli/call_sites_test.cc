// Who asked for memory: from the call to the page of the report.
#include "runtime/cli/call_sites.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <userpager/memory.hpp>
#include <userpager/virtual_alloc.h>
#include <userpager/virtual_alloc2.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "runtime/api/runtime.h"
#include "runtime/base/clock.h"
#include "runtime/cli/report_page.h"
#include "runtime/cli/trace_summary.h"
#include "tests/cli/trace_of_events.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_directory.h"

namespace userpager::cli {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

[[gnu::noinline]] CallStack AskHere() {
  CallStack stack = CallersFrom(__builtin_return_address(0));
  asm volatile("" : : "r"(&stack) : "memory");
  return stack;
}

[[gnu::noinline]] CallStack LoadTheIndex() {
  CallStack stack = AskHere();
  asm volatile("" : : "r"(&stack) : "memory");
  return stack;
}

[[gnu::noinline]] CallStack OpenTheFile() {
  CallStack stack = AskHere();
  asm volatile("" : : "r"(&stack) : "memory");
  return stack;
}

class CallSitesTest : public testing::Test {
 protected:
  void SetUp() override {
    LogLine error;
    ASSERT_EQ(0, recording_.Start(path_.c_str(), 1, true, &error)) << error.c_str();
  }
  void Add(const CallStack& stack, uint64_t page, uint64_t pages) {
    recording_.AddCallers(PageRange(PageIndex(page), PageCount(pages)), stack, 1);
  }
  void Read() {
    recording_.Finish();
    ASSERT_EQ("", file_.Open(path_));
  }

  const TempDirectory folder_;
  const std::string path_ = folder_ / "trace";
  FrameLedger frames_;
  const PageFile page_file_{};
  Recording recording_{frames_, page_file_};
  TraceFile file_;
};

TEST_F(CallSitesTest, TheOneWhoAskedForMostOfTheRegionWhileItWasThere) {
  const uint64_t begin_ns = NowNanoseconds();
  Add(OpenTheFile(), 1000, 10);
  Add(LoadTheIndex(), 1010, 90);
  Add(OpenTheFile(), 1010, 90);
  const uint64_t end_ns = NowNanoseconds();
  Add(OpenTheFile(), 1000, 100);
  ASSERT_NO_FATAL_FAILURE(Read());
  EXPECT_EQ(4u, file_.callers().size());
  CallSites sites(file_);
  const CallSite site = sites.Of(1000, 100, begin_ns, end_ns);
  EXPECT_THAT(site.name, HasSubstr("LoadTheIndex()"));
  EXPECT_THAT(site.name, HasSubstr("(cli_call_sites_test, build-id "));
  ASSERT_GE(site.frames.size(), 2u);
  EXPECT_THAT(site.frames[1], HasSubstr("TheOneWhoAskedForMostOfTheRegionWhileItWasThere"));
  EXPECT_THAT(sites.Of(1000, 100, end_ns + 1, UINT64_MAX).name, HasSubstr("OpenTheFile()"));
  EXPECT_TRUE(sites.Of(1100, 100, begin_ns, UINT64_MAX).frames.empty());
}

TEST_F(CallSitesTest, CodeThatIsNowhereIsAnAddress) {
  CallStack stack;
  stack.frames[stack.count++] = 0x4711;
  Add(stack, 1, 1);
  ASSERT_NO_FATAL_FAILURE(Read());
  EXPECT_EQ("0x4711", CallSites(file_).Of(1, 1, 0, UINT64_MAX).name);
}

TEST_F(CallSitesTest, WhatFindsNoRoomIsCounted) {
  CallerLog log;
  ASSERT_EQ(0, log.Init());
  TraceCallers record{};
  for (size_t i = 0; i < CallerLog::kRecords + 3; ++i) log.Add(record);
  EXPECT_EQ(3u, log.dropped());
  EXPECT_EQ(CallerLog::kRecords, log.Take().size());
  log.Add(record);
  EXPECT_EQ(1u, log.Take().size());
  EXPECT_TRUE(log.Take().empty());
}

TEST_F(CallSitesTest, ThePageNamesThem) {
  const uint64_t now_ns = NowNanoseconds();
  recording_.ring(0)->Add({now_ns, 1000, 64, 0, 0, 0, TraceKind::kReserved, 0});
  Add(LoadTheIndex(), 1000, 64);
  recording_.ring(0)->Add({now_ns + 10, 1000, 1, 7, 9'000, 0, TraceKind::kDemandZero, 0});
  recording_.ring(0)->Add({now_ns, 5000, 64, 0, 0, 0, TraceKind::kReserved, 0});
  recording_.ring(0)->Add({now_ns + 10, 5000, 1, 7, 8'000, 0, TraceKind::kDemandZero, 0});
  ASSERT_NO_FATAL_FAILURE(Read());
  const std::string page = ReportPage(file_, TraceSummary(file_));
  EXPECT_THAT(page, HasSubstr("<summary>region 1: userpager::cli::(anonymous namespace)::"
                              "LoadTheIndex() (cli_call_sites_test, build-id "));
  EXPECT_THAT(page, HasSubstr("<summary>region 2: not known</summary>"));
  EXPECT_THAT(page, HasSubstr("asked for by"));
}

TEST(CallSitesOfNobody, AreNotOnThePage) {
  const TempDirectory folder;
  ASSERT_NO_FATAL_FAILURE(
      WriteTrace(folder / "trace", {{0, 1000, 64, 0, 0, 0, TraceKind::kReserved, 0}}));
  TraceFile file;
  ASSERT_EQ("", file.Open(folder / "trace"));
  const std::string page = ReportPage(file, TraceSummary(file));
  EXPECT_THAT(page, HasSubstr("userpager record --callers does that"));
  EXPECT_THAT(page, testing::Not(HasSubstr("asked for by")));
}

[[gnu::noinline]] void* ReserveTheTable() {
  void* table = VirtualAlloc(nullptr, 1 << 20, MEM_RESERVE, PAGE_READWRITE);
  asm volatile("" : : "r"(table) : "memory");
  return table;
}

[[gnu::noinline]] void* ReserveTheOtherTable() {
  void* table = VirtualAlloc2(nullptr, nullptr, 1 << 20, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE,
                              nullptr, 0);
  asm volatile("" : : "r"(table) : "memory");
  return table;
}

[[gnu::noinline]] size_t FillTheVector(std::vector<char, allocator<char>>* vector) {
  vector->resize(3 << 20);
  asm volatile("" : : "r"(vector) : "memory");
  return vector->size();
}

// Of the region that begins at, or shortly before, the address.
std::string NameOf(const TraceFile& file, const void* at) {
  return CallSites(file).Of(reinterpret_cast<uint64_t>(at) >> kPageShift, 1, 0, UINT64_MAX).name;
}

TEST(CallSitesOfTheApi, AreThoseOfTheProgram) {
  const TempDirectory folder;
  const std::string path = folder / "trace";
  EXPECT_EQ("", InChild([&]() -> std::string {
    setenv("USERPAGER_TRACE", path.c_str(), 1);
    setenv("USERPAGER_TRACE_CALLERS", "1", 1);
    void* table = ReserveTheTable();
    if (table == nullptr) return "VirtualAlloc failed";
    void* other = ReserveTheOtherTable();
    // To commit it makes no region of its own.
    VirtualAlloc(table, 1 << 20, MEM_COMMIT, PAGE_READWRITE);
    std::vector<char, allocator<char>> vector;
    FillTheVector(&vector);
    Runtime::Get()->pager().EndRecording();
    TraceFile file;
    if (const std::string wrong = file.Open(path); !wrong.empty()) return wrong;
    const auto is_of_table = [&](const TraceFile::Callers& one) {
      return one.record->page == reinterpret_cast<uint64_t>(table) >> kPageShift;
    };
    EXPECT_EQ(1, std::count_if(file.callers().begin(), file.callers().end(), is_of_table));
    EXPECT_THAT(NameOf(file, table), HasSubstr("ReserveTheTable()"));
    EXPECT_THAT(NameOf(file, other), HasSubstr("ReserveTheOtherTable()"));
    EXPECT_THAT(NameOf(file, vector.data()),
                AnyOf(HasSubstr("FillTheVector"), HasSubstr("AreThoseOfTheProgram")));
    return testing::Test::HasFailure() ? "failed" : "";
  }));
}

}  // namespace
}  // namespace userpager::cli
