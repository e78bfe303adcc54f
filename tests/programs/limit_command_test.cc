// userpager limit: another memory limit for a process that runs.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/programs/program_run.h"
#include "tests/programs/talking_program.h"

namespace userpager::programs {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

ProgramRun Tool(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), USERPAGER_TOOL);
  return RunProgram(arguments);
}

uint64_t StatOf(pid_t process, const std::string& name) {
  const std::string json = Tool({"stat", "--json", std::to_string(process)}).output;
  const std::string key = "\"" + name + "\": ";
  const size_t at = json.find(key);
  EXPECT_NE(std::string::npos, at) << json;
  return at == std::string::npos ? 0 : std::strtoull(json.c_str() + at + key.size(), nullptr, 10);
}

// Fills 32 MiB with what is no zeros, and adds it up whenever it gets a line.
class LimitCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    program_ = std::make_unique<TalkingProgram>(
        std::vector<std::string>{"/usr/bin/python3", "-c",
                                 "import sys\n"
                                 "block = bytearray(b'x' * (32 << 20))\n"
                                 "print('ready', flush=True)\n"
                                 "for line in sys.stdin: print(block.count(b'x'), flush=True)\n"},
        RunOptions{.memory = "48M", .input = {}, .environment = {}});
    ASSERT_EQ("ready", program_->ReadLine());
  }
  ProgramRun Limit(const std::string& size) {
    return Tool({"limit", std::to_string(program_->number()), size});
  }
  uint64_t Stat(const std::string& name) { return StatOf(program_->number(), name); }
  void ExpectContents() {
    program_->WriteLine("count");
    EXPECT_EQ(std::to_string(32 * kMiB), program_->ReadLine());
  }

  std::unique_ptr<TalkingProgram> program_;
};

TEST_F(LimitCommandTest, GoesDownAndUp) {
  const ProgramRun down = Limit("8M");
  EXPECT_EQ(0, down.status) << down.complaints;
  EXPECT_NE(std::string::npos, down.output.find("the memory limit is 8388608 bytes\n"));
  EXPECT_EQ(8 * kMiB, Stat("memory_limit_bytes"));
  EXPECT_GE(8 * kMiB, Stat("resident_bytes"));
  ExpectContents();
  EXPECT_GE(8 * kMiB, Stat("resident_bytes"));
  const ProgramRun up = Limit("64M");
  EXPECT_EQ(0, up.status) << up.complaints;
  EXPECT_EQ(64 * kMiB, Stat("memory_limit_bytes"));
  ExpectContents();
  EXPECT_LT(16 * kMiB, Stat("resident_bytes"));
  EXPECT_EQ(0, program_->Finish());
}

TEST_F(LimitCommandTest, WhatIsRefusedChangesNothing) {
  for (const char* size : {"4K", "900T"}) {
    const ProgramRun refused = Limit(size);
    EXPECT_EQ(1, refused.status) << size;
    EXPECT_EQ("", refused.output);
    EXPECT_EQ(0u, refused.complaints.find("userpager limit: the memory limit of "))
        << refused.complaints;
    EXPECT_EQ(1, std::count(refused.complaints.begin(), refused.complaints.end(), '\n'));
  }
  for (const char* size : {"much", "0", "8M,shards:2", "", "-8M"}) {
    EXPECT_EQ(2, Limit(size).status) << size;
  }
  EXPECT_EQ(2, Tool({"limit"}).status);
  EXPECT_EQ(1, Tool({"limit", "1999999999", "8M"}).status);
  EXPECT_EQ(48 * kMiB, Stat("memory_limit_bytes"));
  EXPECT_EQ(0, program_->Finish());
}

TEST_F(LimitCommandTest, AStoppedProcessIsNotWaitedFor) {
  program_->Stop();
  const ProgramRun run = Limit("8M");
  EXPECT_EQ(1, run.status);
  EXPECT_NE(std::string::npos, run.complaints.find("is stopped")) << run.complaints;
  program_->Signal(SIGCONT);
  // What was asked for then is not done later.
  ExpectContents();
  EXPECT_EQ(48 * kMiB, Stat("memory_limit_bytes"));
  EXPECT_EQ(0, Limit("8M").status);
  EXPECT_EQ(0, program_->Finish());
}

TEST_F(LimitCommandTest, AskedByManyAtATime) {
  std::vector<std::unique_ptr<TalkingProgram>> askers;
  for (const char* size : {"8M", "16M", "24M", "40M"}) {
    askers.push_back(std::make_unique<TalkingProgram>(std::vector<std::string>{
        USERPAGER_TOOL, "limit", std::to_string(program_->number()), size}));
  }
  for (auto& asker : askers) EXPECT_EQ(0, asker->Finish());
  ExpectContents();
  EXPECT_EQ(0, program_->Finish());
}

}  // namespace
}  // namespace userpager::programs
