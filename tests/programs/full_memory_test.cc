// What a program is told when neither memory nor page file has room for what it asks for.
#include <errno.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

constexpr size_t kMiB = 1 << 20;

ProgramRun RunManaged(const std::string& name, const std::string& commit) {
  return RunManagedTest(name,
                        {.memory = "8M", .configuration = "page_file_max:32M,commit:" + commit});
}

char* Fill(char* block, size_t bytes) {
  if (block != nullptr) std::memset(block, 'x', bytes);
  return block;
}

TEST(FullMemory, EndsTheProgramAsTheKernelWould) {
  if (const std::string why = WhyNotManaged(); !why.empty()) GTEST_SKIP() << why;
  const ProgramRun run = RunManaged("TakesMoreThanThereIs", "lazy");
  EXPECT_EQ(128 + SIGKILL, run.status) << run.output << run.complaints;
  EXPECT_EQ(0u, run.complaints.find("userpager: killed: no memory for the page at "))
      << run.complaints;
  EXPECT_NE(std::string::npos,
            run.complaints.find("raise the memory limit or page_file_max\n"));
}

TEST(FullMemory, IsRefusedWithStrictCommit) {
  if (const std::string why = WhyNotManaged(); !why.empty()) GTEST_SKIP() << why;
  const ProgramRun run = RunManaged("IsRefusedWhatDoesNotFit", "strict");
  EXPECT_EQ(0, run.status) << run.output << run.complaints;
  EXPECT_EQ("", run.complaints);
}

TEST(Managed, DISABLED_TakesMoreThanThereIs) {
  for (;;) ASSERT_NE(nullptr, Fill(static_cast<char*>(std::malloc(kMiB)), kMiB));
}

TEST(Managed, DISABLED_IsRefusedWhatDoesNotFit) {
  std::vector<char*> blocks;
  blocks.reserve(64);
  for (unsigned round = 0; round < 2; ++round) {
    errno = 0;
    while (char* block = Fill(static_cast<char*>(std::malloc(2 * kMiB)), 2 * kMiB)) {
      blocks.push_back(block);
      ASSERT_LT(blocks.size(), 64u);
    }
    EXPECT_EQ(ENOMEM, errno);
    EXPECT_GE(blocks.size(), 8u);
    constexpr size_t kMuch = 40 * kMiB;
    EXPECT_EQ(MAP_FAILED, mmap(nullptr, kMuch, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_EQ(ENOMEM, errno);
    for (char* block : blocks) {
      EXPECT_EQ('x', block[0]);
      EXPECT_EQ('x', block[2 * kMiB - 1]);
      std::free(block);
    }
    blocks.clear();
  }
}

}  // namespace
}  // namespace userpager::programs
