// The userpager tool: what it runs, what it refuses, and how it ends.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/programs/program_run.h"
#include "tests/support/child_process.h"

namespace userpager::programs {
namespace {

ProgramRun Tool(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
  arguments.insert(arguments.begin(), USERPAGER_TOOL);
  return RunProgram(arguments, {.memory = "", .input = {}, .environment = environment});
}

bool Says(const ProgramRun& run, const std::string& what) {
  return run.complaints.find(what) != std::string::npos;
}

class ToolTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("userpager_tool_" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
    works_ = Tool({"doctor"}).status == 0;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text, unsigned mode) const {
    const std::string path = (folder_ / name).string();
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }

  std::filesystem::path folder_;
  bool works_ = false;
};

TEST_F(ToolTest, UsageErrorsAreTwo) {
  EXPECT_EQ(2, Tool({}).status);
  EXPECT_EQ(2, Tool({"walk"}).status);
  EXPECT_EQ(2, Tool({"run"}).status);
  EXPECT_EQ(2, Tool({"run", "--memory"}).status);
  EXPECT_EQ(2, Tool({"run", "--speed", "9", "true"}).status);
  EXPECT_EQ(2, Tool({"run", "--children", "some", "true"}).status);
  const ProgramRun run = Tool({"run", "--memory", "much", "true"});
  EXPECT_EQ(2, run.status);
  EXPECT_TRUE(Says(run, "much")) << run.complaints;
}

TEST_F(ToolTest, HelpAndVersionOfEachCommand) {
  const ProgramRun all = Tool({"--help"});
  EXPECT_EQ(0, all.status);
  EXPECT_EQ("", all.complaints);
  const ProgramRun version = Tool({"--version"});
  EXPECT_EQ(0, version.status);
  EXPECT_EQ("userpager " USERPAGER_VERSION "\n", version.output);
  std::istringstream lines(all.output.substr(all.output.find("commands:\n") + 10));
  size_t commands = 0;
  for (std::string line; std::getline(lines, line) && !line.empty(); ++commands) {
    std::string name;
    std::istringstream(line) >> name;
    const ProgramRun help = Tool({name, "--help"});
    EXPECT_EQ(0, help.status) << name;
    EXPECT_EQ(0u, help.output.find("usage: userpager " + name)) << help.output;
    const size_t example = help.output.find("\nexample:\n");
    ASSERT_NE(std::string::npos, example) << name;
    EXPECT_NE(std::string::npos, help.output.find("\n  userpager " + name, example)) << name;
    EXPECT_NE(std::string::npos, help.output.find("\nexit status: ")) << name;
    EXPECT_EQ(version.output, Tool({name, "--version"}).output) << name;
    const ProgramRun wrong = Tool({name, "--no-such-option"});
    EXPECT_EQ(2, wrong.status) << name;
    EXPECT_EQ("", wrong.output) << name;
    EXPECT_EQ(1, std::count(wrong.complaints.begin(), wrong.complaints.end(), '\n'))
        << wrong.complaints;
  }
  EXPECT_GE(commands, 2u);
}

TEST_F(ToolTest, WhatIsWrongWithAnOptionIsSaid) {
  for (const auto& [arguments, words] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"run", "--speed"}, "run: there is no option --speed;"},
           {{"run", "--trace=", "true"}, "run: --trace wants a value;"},
           {{"run", "--stats", "", "true"}, "run: --stats wants a value;"},
           {{"run", "--memory"}, "run: --memory wants a value;"},
           {{"record", "-o", "file"}, "record: no program is named;"},
           {{"record", "-o", "--", "true"}, "record: -o wants a value;"},
           {{"record", "--speed", "9", "true"}, "record: there is no option --speed;"}}) {
    const ProgramRun run = Tool(arguments);
    EXPECT_EQ(2, run.status) << words;
    EXPECT_EQ(0u, run.complaints.find("userpager " + words)) << run.complaints;
    EXPECT_EQ(1, std::count(run.complaints.begin(), run.complaints.end(), '\n'));
  }
  // Behind the value of an option there are options still.
  EXPECT_EQ(0u, Tool({"run", "--memory", "8M", "--help"}).output.find("usage: userpager run"));
  EXPECT_EQ(0u, Tool({"record", "-o", "x", "--version"}).output.find("userpager "));
}

// Runs a line of shell, in which $0 is the tool.
ProgramRun Shell(const std::string& line) {
  return RunProgram({"sh", "-c", line, USERPAGER_TOOL});
}

TEST_F(ToolTest, OutputThatCannotBeWrittenIsAnError) {
  for (const char* line : {"--help > /dev/full", "--version > /dev/full", "stat --help >&-",
                           "stat --prometheus > /dev/full",
                           "top -b -n 1 -d 0.1 > /dev/full"}) {
    const ProgramRun run = Shell(std::string("\"$0\" ") + line);
    EXPECT_EQ(1, run.status) << line;
    EXPECT_TRUE(Says(run, "standard output cannot be written: ")) << line << run.complaints;
    EXPECT_EQ(1, std::count(run.complaints.begin(), run.complaints.end(), '\n'));
  }
}

TEST_F(ToolTest, AFolderThatIsGoneIsNoEndWithoutAWord) {
  const std::string gone = (folder_ / "gone").string();
  for (const char* line : {"record true", "run --trace x true"}) {
    const ProgramRun run =
        Shell("mkdir " + gone + "; cd " + gone + "; rmdir " + gone + "; \"$0\" " + line);
    EXPECT_EQ(126, run.status) << run.complaints;
    EXPECT_TRUE(Says(run, ": No such file or directory\n")) << run.complaints;
  }
}

TEST_F(ToolTest, AClosedStreamStaysClosedForTheProgram) {
  if (!works_) GTEST_SKIP() << "userpager run does not work here: userpager doctor says why";
  const ProgramRun run =
      Shell("\"$0\" run sh -c '(echo text) 2> /dev/null || echo closed >&2' >&-");
  EXPECT_EQ("closed\n", run.complaints);
}

TEST_F(ToolTest, OptionsOfTheProgramAreItsOwn) {
  if (!works_) GTEST_SKIP() << "userpager run does not work here: userpager doctor says why";
  EXPECT_EQ("--help\n", Tool({"run", "--memory", "8M", "sh", "-c", "echo $0", "--help"}).output);
  EXPECT_EQ("--help\n",
            Tool({"run", "--", "sh", "-c", "echo $1", "--version", "--help"}).output);
}

TEST_F(ToolTest, WhatCannotBeExecutedIsAsEnvHasIt) {
  EXPECT_EQ(127, Tool({"run", "no-such-program-anywhere"}).status);
  EXPECT_EQ(127, Tool({"run", "/no/such/program"}).status);
  EXPECT_EQ(126, Tool({"run", Write("text", "nothing", 0644)}).status);
}

TEST_F(ToolTest, StaticProgramsAreRefused) {
  const std::string source = Write("static.c", "int main(void) { return 0; }\n", 0644);
  const std::string program = (folder_ / "static").string();
  if (RunProgram({USERPAGER_C_COMPILER, "-static", "-o", program, source}).status != 0) {
    GTEST_SKIP() << "no static program can be linked here";
  }
  const ProgramRun run = Tool({"run", program});
  EXPECT_EQ(126, run.status);
  EXPECT_TRUE(Says(run, "statically")) << run.complaints;
  // A script is run by its interpreter.
  EXPECT_EQ(126, Tool({"run", Write("script", "#!" + program + "\n", 0755)}).status);
}

TEST_F(ToolTest, ProgramsWithMoreRightsAreRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make a file somebody else's";
  const std::string program = Write("other", "", 0755);
  std::filesystem::copy_file("/bin/true", program,
                             std::filesystem::copy_options::overwrite_existing);
  ASSERT_EQ(0, chown(program.c_str(), 65534, 65534));
  ASSERT_EQ(0, chmod(program.c_str(), 04755));
  const ProgramRun run = Tool({"run", program});
  EXPECT_EQ(126, run.status);
  EXPECT_TRUE(Says(run, "set-uid")) << run.complaints;
}

// Somebody without rights, where the kernel gives the right to nobody.
TEST_F(ToolTest, SystemCallsThatWouldFailAreARefusal) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  if (!IsThere("setpriv")) GTEST_SKIP() << "setpriv is not installed";
  int allowed = -1;
  std::ifstream("/proc/sys/vm/unprivileged_userfaultfd") >> allowed;
  // Where nobody else may look, the tool cannot be run by somebody else.
  const std::string tool = (folder_ / "userpager").string();
  std::filesystem::permissions(folder_, std::filesystem::perms(0755));
  std::filesystem::copy_file(USERPAGER_TOOL, tool);
  std::filesystem::copy_file(USERPAGER_PRELOAD_LIBRARY, folder_ / "libuserpager_preload.so");
  const auto as_nobody = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {"setpriv", "--reuid=65534", "--regid=65534",
                                        "--clear-groups", "--inh-caps=-all", tool};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return RunProgram(command);
  };
  if (as_nobody({"--version"}).status != 0) {
    GTEST_SKIP() << folder_ << " cannot be reached by somebody else";
  }
  const ProgramRun run = as_nobody({"run", "--memory", "8M", "echo", "ran"});
  const ProgramRun doctor = as_nobody({"doctor"});
  if (allowed == 1) {
    EXPECT_EQ("ran\n", run.output) << run.complaints;
    return;
  }
  EXPECT_EQ(126, run.status);
  EXPECT_EQ("", run.output);
  EXPECT_TRUE(Says(run, "sysctl vm.unprivileged_userfaultfd=1")) << run.complaints;
  EXPECT_EQ(1, doctor.status);
  EXPECT_NE(std::string::npos, doctor.output.find("faults of system calls            MISSING"))
      << doctor.output;
}

TEST_F(ToolTest, TheProgramsEndIsTheToolsEnd) {
  if (!works_) GTEST_SKIP() << "userpager run does not work here: userpager doctor says why";
  const ProgramRun run = Tool({"run", "--memory", "8M", "--", "sh", "-c",
                               "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(7, run.status);
  EXPECT_EQ("out\n", run.output);
  EXPECT_EQ("err\n", run.complaints);
  EXPECT_EQ(128 + 15, Tool({"run", "sh", "-c", "kill -TERM $$"}).status);
}

TEST_F(ToolTest, OptionsComeOverTheEnvironment) {
  if (!works_) GTEST_SKIP() << "userpager run does not work here: userpager doctor says why";
  const ProgramRun run =
      Tool({"run", "--memory=6M", "sh", "-c", "echo $USERPAGER_CONF; echo $LD_PRELOAD"},
           {"USERPAGER_CONF=memory:9M,shards:2", "LD_PRELOAD=libm.so.6"});
  EXPECT_EQ("shards:2,memory:6M\n" + std::string(USERPAGER_PRELOAD_LIBRARY) + ":libm.so.6\n",
            run.output);
  const ProgramRun alone = Tool({"run", "--children", "none", "sh", "-c", "echo .$LD_PRELOAD"});
  EXPECT_EQ(".\n", alone.output);
}

// The rule of the package, 60-userpager.rules, gives a device like this one to a group. It takes
// the place of the machine's own in a mount namespace alone.
ProgramRun RunAsNobody(const std::filesystem::path& folder, const std::string& groups,
                       const std::string& command) {
  struct stat device {};
  stat("/dev/userfaultfd", &device);
  const std::string node = (folder / "device").string();
  const std::string script = "rm -f " + node + "; mknod -m 660 " + node + " c " +
                             std::to_string(major(device.st_rdev)) + " " +
                             std::to_string(minor(device.st_rdev)) + " && chgrp 4242 " + node +
                             " && mount --bind " + node + " /dev/userfaultfd || exit 77; " +
                             "exec setpriv --reuid 65534 --regid 65534 " + groups + " " +
                             (folder / "userpager").string() + " " + command;
  return RunProgram({"unshare", "--mount", "--propagation", "private", "sh", "-c", script});
}

TEST_F(ToolTest, AGroupMayHaveTheRight) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  if (!std::filesystem::exists("/dev/userfaultfd")) GTEST_SKIP() << "no /dev/userfaultfd here";
  for (const char* file : {USERPAGER_TOOL, USERPAGER_PRELOAD_LIBRARY}) {
    std::filesystem::copy(file, folder_);
  }
  const ProgramRun member = RunAsNobody(folder_, "--groups 4242", "doctor");
  if (member.status == 77) GTEST_SKIP() << "no device can be mounted here: " << member.complaints;
  EXPECT_EQ(0, member.status) << member.output << member.complaints;
  EXPECT_NE(std::string::npos, member.output.find("root:4242, mode 660")) << member.output;
  EXPECT_EQ(7, RunAsNobody(folder_, "--groups 4242", "run --memory 8M -- sh -c 'exit 7'").status);

  int for_all = 0;
  std::ifstream("/proc/sys/vm/unprivileged_userfaultfd") >> for_all;
  const ProgramRun other = RunAsNobody(folder_, "--clear-groups", "doctor");
  EXPECT_EQ(for_all == 1 ? 0 : 1, other.status) << other.output << other.complaints;
  EXPECT_NE(std::string::npos, other.output.find("its members may use it")) << other.output;
}

// Of a program that may not make an io_uring, as in many containers: threads do its work.
TEST_F(ToolTest, IoUringForbidden) {
  if (!works_) GTEST_SKIP() << "userpager run does not work here: userpager doctor says why";
  EXPECT_EQ(InChild([]() -> std::string {
    RefuseSystemCall(SYS_io_uring_setup, EPERM);
    ProgramRun run = Tool({"doctor"});
    if (run.status != 0) return "doctor: " + run.output;
    const size_t line = run.output.find("\nio_uring");
    const size_t end = run.output.find('\n', line + 1);
    if (line == std::string::npos || run.output.find("threads read and write", line) > end) {
      return "doctor does not tell: " + run.output;
    }
    if (Tool({"doctor"}, {"USERPAGER_CONF=io:uring"}).status == 0) return "io:uring is not refused";
    run = Tool({"run", "--memory", "4M", "sh", "-c", "seq 200000 | sort -S 64M -n | tail -n 1"});
    if (run.output != "200000\n") return "wrong: " + run.output + run.complaints;
    return Says(run, "threads read and write the page file") ? "" : "not told: " + run.complaints;
  }), "");
}

TEST_F(ToolTest, StatisticsAreJson) {
  if (!works_) GTEST_SKIP() << "userpager run does not work here: userpager doctor says why";
  const std::string file = (folder_ / "stats.json").string();
  const ProgramRun run =
      Tool({"run", "--stats", file, "--memory", "8M", "/usr/bin/python3", "-c", ""});
  ASSERT_EQ(0, run.status) << run.complaints;
  const ProgramRun check = RunProgram(
      {"/usr/bin/python3", "-c",
       "import json, sys; print(json.load(open(sys.argv[1]))['memory_limit_bytes'])", file});
  EXPECT_EQ("8388608\n", check.output) << check.complaints;
}

}  // namespace
}  // namespace userpager::programs
