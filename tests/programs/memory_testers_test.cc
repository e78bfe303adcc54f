// Programs that are made to find memory that does not hold what was written to it. While they run
// they are looked at from outside: they must stay in their limits, and page.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/process_watch.h"
#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
// Beside the limit of each process: stacks, what the C library allocates for itself, the runtime's
// own data, of which there is more where there are more pages and blocks.
uint64_t UnmanagedBytes() { return (3 + ProgramsScale()) * kMiB; }

ProgramRun RunWatched(const std::vector<std::string>& command, uint64_t memory_bytes,
                      RunOptions options) {
  options.memory = std::to_string(memory_bytes);
  RunningProgram program(command, options);
  ProcessWatch watch(program.id());
  while (!program.HasEnded()) {
    watch.Look();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_GE(watch.most_bytes(), memory_bytes / 2);
  EXPECT_LE(watch.most_bytes(), memory_bytes + UnmanagedBytes());
  EXPECT_GT(watch.pages_out(), memory_bytes / 4096) << "more than memory has";
  EXPECT_GT(watch.pages_in(), memory_bytes / 4096);
  return program.Wait();
}

// It would lock its memory, and test less where it cannot have all of it locked. One that may lock
// none tests all of it.
TEST(MemoryTesters, Memtester) {
  for (const char* program : {"memtester", "prlimit", "setpriv"}) {
    if (!IsThere(program)) GTEST_SKIP() << program << " is not installed";
  }
  if (const std::string why = WhyNotManaged(); !why.empty()) GTEST_SKIP() << why;
  const unsigned mebibytes = 8 * ProgramsScale();
  const ProgramRun run = RunWatched(
      {"prlimit", "--memlock=0", "setpriv", "--bounding-set", "-ipc_lock", "memtester",
       std::to_string(mebibytes) + "M", "1"},
      mebibytes * kMiB / 4,
      // Beside its test of addresses: random values and a sequential increment.
      {.environment = {"MEMTESTER_TEST_MASK=0x81"},
       // Rings count as locked memory.
       .configuration = "page_file_max:4G,io:threads"});
  EXPECT_EQ(0, run.status) << run.output << run.complaints;
  EXPECT_NE(std::string::npos, run.complaints.find("Continuing with unlocked memory"))
      << run.complaints;
  EXPECT_NE(std::string::npos, run.output.find("Done.")) << run.output;
  EXPECT_EQ(std::string::npos, run.output.find("FAILURE")) << run.output;
}

// Its stressors are forked children. Not the one for brk: that writes to the page before the end of
// a heap, and with any malloc that does not use brk there is none. malloc's blocks are small: what
// is kept about a large one, of which it touches a few pages, is up to 8 KiB beside the limit.
TEST(MemoryTesters, StressNg) {
  if (!IsThere("stress-ng")) GTEST_SKIP() << "stress-ng is not installed";
  if (const std::string why = WhyNotManaged(); !why.empty()) GTEST_SKIP() << why;
  const std::string scale = std::to_string(ProgramsScale());
  const ProgramRun run = RunWatched(
      {"stress-ng", "--verify", "--metrics-brief", "--no-rand-seed",
       "--vm", "1", "--vm-bytes", std::to_string(16 * ProgramsScale()) + "m", "--vm-keep",
       "--vm-ops", scale + "000",
       "--malloc", "1", "--malloc-bytes", "256k", "--malloc-ops", scale + "000",
       "--mremap", "1", "--mremap-bytes", "4m", "--mremap-ops", scale + "0",
       "--mprotect", "1", "--mprotect-ops", scale + "00",
       "--munmap", "1", "--munmap-ops", scale,
       "--bigheap", "1", "--bigheap-growth", "64k", "--bigheap-ops", scale + "00",
       "--vm-splice", "1", "--vm-splice-ops", scale + "00"},
      4 * ProgramsScale() * kMiB, {.configuration = "page_file_max:4G"});
  EXPECT_EQ(0, run.status) << run.output << run.complaints;
  EXPECT_EQ(std::string::npos, run.output.find("fail:")) << run.output;
  EXPECT_EQ(std::string::npos, run.complaints.find("fail:")) << run.complaints;
  EXPECT_EQ(std::string::npos, run.complaints.find("userpager:")) << run.complaints;
}

}  // namespace
}  // namespace userpager::programs
