// Every system call of a start failed in turn: it says in one line what failed, leaves nothing
// behind and works when it is tried again; or it does without what it could not have.
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/base/system_call.h"
#include "tests/api/virtual_memory_fixture.h"
#include "tests/support/captured_log.h"
#include "tests/support/child_process.h"
#include "tests/support/refusals.h"
#include "tests/support/temp_directory.h"

namespace userpager_tests {
namespace {

using userpager::CallFaults;
using userpager::kRefusals;
using userpager::Refusal;

// A start that makes more calls of one kind than that makes them without end.
constexpr uint64_t kMostCalls = 400;

size_t OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

std::string UsePager() {
  std::byte* base = Commit(kG);
  if (base == nullptr) return "VirtualAlloc failed";
  memset(base, 7, kG);
  if (ByteAt(base + kG - 1) != 7) return "a byte is wrong";
  return VirtualFree(base, 0, MEM_RELEASE) ? "" : "VirtualFree failed";
}

constexpr const char* kNoSuchCall = "no such call";

struct StartCase {
  const char* name;
  const char* options;
  bool recorded = false;
};

std::string StartWithFailure(const Refusal& refusal, uint64_t n, const StartCase& start) {
  return userpager::InChild([=]() -> std::string {
    const userpager::TempDirectory directory;
    if (start.recorded) setenv("USERPAGER_TRACE", (directory / "trace").c_str(), 1);
    const userpager::CapturedLog log;
    userpager_options options;
    userpager_options_init(&options);
    options.memory_limit_bytes = 8 * kMiB;
    options.page_file_max_bytes = 16 * kMiB;
    if (userpager_options_parse(&options, start.options) != 0) return userpager_error_message();
    const size_t open_before = OpenDescriptors();
    CallFaults::FailNth(refusal.kind, n, refusal.error);
    const int failed = userpager_start(&options);
    const bool hit = CallFaults::Stop();
    const std::string message = userpager_error_message();
    if (failed != 0) {
      if (!hit) return "it failed by itself: " + message;
      if (message.empty() || message.find('\n') != std::string::npos) return "no line: " + message;
      if (OpenDescriptors() != open_before) return "descriptors are left open after: " + message;
      if (userpager_start(&options) != 0) return "not again: " + message;
    }
    const std::string problem = UsePager();
    return !problem.empty() || hit ? problem : kNoSuchCall;
  });
}

class StartFailuresTest : public testing::TestWithParam<StartCase> {};

TEST_P(StartFailuresTest, EachCallInTurn) {
  uint64_t total = 0;
  for (const Refusal& refusal : kRefusals) {
    for (uint64_t n = 1; n < kMostCalls; ++n) {
      const std::string outcome = StartWithFailure(refusal, n, GetParam());
      if (outcome == kNoSuchCall) break;
      ++total;
      EXPECT_EQ(outcome, "") << "call " << n << " of kind " << static_cast<int>(refusal.kind)
                             << ", errno " << refusal.error;
    }
  }
  EXPECT_GT(total, 20u);
}

// The n-th thread cannot be made. "fixed" where the process runs and nobody is to ask it for
// another memory limit.
std::string StartWithoutThread(uint64_t n) {
  return userpager::InChild([n]() -> std::string {
    const userpager::CapturedLog log;
    userpager_options options;
    userpager_options_init(&options);
    options.memory_limit_bytes = 8 * kMiB;
    options.page_file_max_bytes = 16 * kMiB;
    CallFaults::FailNth(userpager::CallKind::kThread, n, EAGAIN);
    const int failed = userpager_start(&options);
    const bool hit = CallFaults::Stop();
    if (failed != 0) return hit ? "failed" : userpager_error_message();
    const bool fixed = userpager::Runtime::Get()->page().limit_is_fixed.load() != 0;
    if (fixed != log.Has("userpager limit cannot change it")) return "it is not told";
    if (hit != fixed) return "it goes on without another thread";
    const std::string problem = UsePager();
    return !problem.empty() ? problem : fixed ? "fixed" : "all threads are there";
  });
}

TEST(LimitKeeperTest, WithoutItsThreadTheLimitIsNotOfferedToBeChanged) {
  uint64_t n = 1;
  while (n < kMostCalls && StartWithoutThread(n) == "failed") ++n;
  EXPECT_GT(n, 1u);
  EXPECT_EQ(StartWithoutThread(n), "fixed");
  EXPECT_EQ(StartWithoutThread(n + 1), "all threads are there");
}

INSTANTIATE_TEST_SUITE_P(Options, StartFailuresTest,
                         testing::Values(StartCase{"Shards", "shards:2"},
                                         StartCase{"Threads", "io:threads"},
                                         StartCase{"Inline", "faults:inline"},
                                         StartCase{"Recorded", "shards:1", true}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace userpager_tests
