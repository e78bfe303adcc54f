// userpager limit: another memory limit for a process that runs.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
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
  EXPECT_NE(std::string::npos, down.output.find("the memory limit is 8192 kB\n"));
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

// What is said must not go into the file that the request is written to.
TEST_F(LimitCommandTest, AskedWithStreamsClosed) {
  const std::string line =
      std::string(USERPAGER_TOOL) + " limit " + std::to_string(program_->number()) + " ";
  for (const std::string closed : {" 2>&-", " >&- 2>&-", " <&- >&- 2>&-"}) {
    EXPECT_EQ(1, RunProgram({"sh", "-c", line + "4K" + closed}).status) << closed;
    EXPECT_EQ(48 * kMiB, Stat("memory_limit_bytes"));
  }
  // Done, but not told.
  EXPECT_EQ(1, RunProgram({"sh", "-c", line + "40M >&-"}).status);
  EXPECT_EQ(40 * kMiB, Stat("memory_limit_bytes"));
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

// A cgroup of the test's own, in the hierarchy that limits memory.
class MemoryGroup {
 public:
  MemoryGroup() {
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
      const bool one = line.find(":memory:") != std::string::npos;
      const bool two = line.compare(0, 3, "0::") == 0 &&
                       std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers");
      if (!one && !two) continue;
      const std::string mount = one ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
      path_ = mount + line.substr(line.rfind(':') + 1) + "/userpager_test_" +
              std::to_string(getpid());
      limit_file_ = one ? "/memory.limit_in_bytes" : "/memory.max";
    }
    std::error_code error;
    made_ = !path_.empty() && std::filesystem::create_directory(path_, error) &&
            std::filesystem::exists(path_ + limit_file_);
  }
  ~MemoryGroup() {
    if (!path_.empty()) rmdir(path_.c_str());
  }
  bool made() const { return made_; }
  const std::string& path() const { return path_; }
  void SetLimit(uint64_t bytes) const { std::ofstream(path_ + limit_file_) << bytes; }

 private:
  std::string path_;
  std::string limit_file_;
  bool made_ = false;
};

TEST(MemoryAutoTest, FollowsTheGroup) {
  const MemoryGroup group;
  if (!group.made()) GTEST_SKIP() << "no cgroup with a memory limit can be made here";
  group.SetLimit(256 * kMiB);
  const std::string complaints = testing::TempDir() + "userpager_auto_" + std::to_string(getpid());
  {
    TalkingProgram program({"sh", "-c",
                            "echo $$ > " + group.path() + "/cgroup.procs && exec " USERPAGER_TOOL
                            " run --memory auto cat 2> " + complaints});
    program.WriteLine("here");
    ASSERT_EQ("here", program.ReadLine());
    EXPECT_EQ(128 * kMiB, StatOf(program.number(), "memory_limit_bytes"));
    group.SetLimit(64 * kMiB);
    constexpr int kPatienceSeconds = 120;
    for (int i = 0; i < kPatienceSeconds * 10; ++i) {
      if (StatOf(program.number(), "memory_limit_bytes") == 48 * kMiB) break;
      usleep(100'000);
    }
    EXPECT_EQ(48 * kMiB, StatOf(program.number(), "memory_limit_bytes"));
    // Who sets a limit has it.
    EXPECT_EQ(0, Tool({"limit", std::to_string(program.number()), "50M"}).status);
    std::string said;
    for (int i = 0; i < kPatienceSeconds * 10; ++i) {
      std::ifstream file(complaints);
      said.assign(std::istreambuf_iterator<char>(file), {});
      if (said.find("no longer follows") != std::string::npos) break;
      usleep(100'000);
    }
    EXPECT_NE(std::string::npos,
              said.find("goes from 128 to 48 MiB: the machine or the process's cgroup allows"))
        << said;
    EXPECT_NE(std::string::npos, said.find("a memory limit of 50 MiB was set")) << said;
    EXPECT_EQ(50 * kMiB, StatOf(program.number(), "memory_limit_bytes"));
    EXPECT_EQ(0, program.Finish());
  }
  std::filesystem::remove(complaints);
}

}  // namespace
}  // namespace userpager::programs
