#include "tests/programs/comparison.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/programs/program_run.h"

namespace userpager::programs {

void ExpectSameInLessMemory(const Comparison& comparison) {
  const ProgramRun idle = RunProgram(comparison.idle);
  ASSERT_EQ(0, idle.status) << idle.complaints;
  const ProgramRun plain = RunProgram(comparison.command);
  ASSERT_EQ(0, plain.status) << plain.complaints;
  const uint64_t memory_bytes = std::min(comparison.memory_bytes, plain.most_bytes / 4);
  RunningProgram program(comparison.command,
                         {.memory = std::to_string(memory_bytes),
                          .configuration = "page_file_max:4G"});
  uint64_t most_seen = 0;
  while (!program.HasEnded()) {
    most_seen = std::max(most_seen, program.MostBytes());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const ProgramRun managed = program.Wait();
  EXPECT_EQ(0, managed.status);
  EXPECT_EQ(plain.complaints, managed.complaints);
  EXPECT_TRUE(plain.output == managed.output)
      << "without: " << plain.output.substr(0, 500) << "\nwith: "
      << managed.output.substr(0, 500);
  const uint64_t most = idle.most_bytes + memory_bytes + comparison.unmanaged_bytes;
  EXPECT_GT(most_seen, 0u);
  EXPECT_LE(most_seen, most);
  EXPECT_LE(managed.most_bytes, most);
}

}  // namespace userpager::programs
