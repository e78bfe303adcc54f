// userpager stat: what it shows of running processes, and what it makes of all that is not one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "runtime/observe/statistics_page.h"
#include "tests/programs/program_run.h"
#include "tests/programs/talking_program.h"

namespace userpager::programs {
namespace {

constexpr const char* kDirectory = "/dev/shm";

ProgramRun Tool(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), USERPAGER_TOOL);
  return RunProgram(arguments);
}

std::string Number(pid_t process) { return std::to_string(process); }

// The announcements of a process.
std::vector<std::filesystem::path> Announcements(pid_t process) {
  std::vector<std::filesystem::path> found;
  const std::string prefix = "userpager-" + Number(process) + "-";
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory)) {
    if (entry.path().filename().string().compare(0, prefix.size(), prefix) == 0) {
      found.push_back(entry.path());
    }
  }
  return found;
}

// The number behind "name": in JSON.
uint64_t NumberIn(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\": ";
  const size_t at = json.find(key);
  if (at == std::string::npos) {
    ADD_FAILURE() << "no " << name << " in " << json;
    return 0;
  }
  return std::strtoull(json.c_str() + at + key.size(), nullptr, 10);
}

uint64_t StatOf(pid_t process, const std::string& name) {
  return NumberIn(Tool({"stat", "--json", Number(process)}).output, name);
}

// Touches 16 MiB, under a limit of 8 MiB, says so, and ends with its standard input. Each line is
// executed.
std::unique_ptr<TalkingProgram> RunPython(const std::string& memory = "8M") {
  auto program = std::make_unique<TalkingProgram>(
      std::vector<std::string>{"/usr/bin/python3", "-c",
                               "import os, signal, sys\n"
                               "block = bytearray(16 << 20)\n"
                               "for at in range(0, len(block), 4096): block[at] = 1\n"
                               "print('ready', flush=True)\n"
                               "for line in sys.stdin: exec(line)\n"},
      RunOptions{.memory = memory, .input = {}, .environment = {}});
  EXPECT_EQ("ready", program->ReadLine());
  return program;
}

// One line on standard error that has `part`, nothing on standard output, and exit status 1.
void ExpectRefusal(const ProgramRun& run, const std::string& part) {
  EXPECT_EQ(1, run.status);
  EXPECT_EQ("", run.output);
  EXPECT_EQ(0u, run.complaints.find("userpager ")) << run.complaints;
  EXPECT_EQ(1, std::count(run.complaints.begin(), run.complaints.end(), '\n')) << run.complaints;
  EXPECT_NE(std::string::npos, run.complaints.find(part)) << run.complaints;
}

TEST(StatCommandTest, ShowsARunningProcess) {
  const auto program = RunPython();
  const std::string pid = Number(program->number());
  const std::string json = Tool({"stat", "--json", pid}).output;
  EXPECT_EQ(static_cast<uint64_t>(program->number()), NumberIn(json, "pid"));
  EXPECT_NE(std::string::npos, json.find("\"name\": \"python3")) << json;
  EXPECT_EQ(8u << 20, NumberIn(json, "memory_limit_bytes"));
  EXPECT_GE(8u << 20, NumberIn(json, "resident_bytes"));
  EXPECT_LT(16u << 20, NumberIn(json, "commit_bytes"));
  EXPECT_LT(0u, NumberIn(json, "demand_zero_faults"));
  EXPECT_LT(0u, NumberIn(json, "pages_out"));
  EXPECT_LT(0u, NumberIn(json.substr(json.find("demand_zero_latency")), "p50_ns"));
  const ProgramRun check =
      RunProgram({"/usr/bin/python3", "-c",
                  "import json, sys; print(json.loads(sys.argv[1])['shards'])", json});
  EXPECT_EQ("1\n", check.output) << check.complaints;

  EXPECT_LT(0u, NumberIn(json, "fault_longest_wait_ns"));
  const std::string text = Tool({"stat", pid}).output;
  EXPECT_NE(std::string::npos, text.find("FaultLongestWait:")) << text;
  EXPECT_NE(std::string::npos, text.find("\nMemoryLimit:                        8192 kB\n"))
      << text;
  const std::string metrics = Tool({"stat", "--prometheus", pid}).output;
  EXPECT_NE(std::string::npos, metrics.find("userpager_memory_limit_bytes{pid=\"" + pid + "\""));
  EXPECT_NE(std::string::npos, metrics.find("# TYPE userpager_soft_faults_total counter\n"));
  EXPECT_EQ(0, program->Finish());
}

TEST(StatCommandTest, CountsAreThoseOfTheMoment) {
  const auto program = RunPython();
  const uint64_t before = StatOf(program->number(), "commit_bytes");
  program->WriteLine("more = bytearray(32 << 20); print('done', flush=True)");
  ASSERT_EQ("done", program->ReadLine());
  EXPECT_LE(before + (32u << 20), StatOf(program->number(), "commit_bytes"));
  // A stopped process is shown as well.
  program->Stop();
  EXPECT_LE(before + (32u << 20), StatOf(program->number(), "commit_bytes"));
  program->Signal(SIGCONT);
}

// More than standard output keeps: what fails is a write long before the end.
TEST(StatCommandTest, MuchThatCannotBeWrittenIsTold) {
  std::vector<std::unique_ptr<TalkingProgram>> programs;
  for (int i = 0; i < 4; ++i) programs.push_back(RunPython());
  EXPECT_LT(4096u, Tool({"stat", "--prometheus"}).output.size());
  const ProgramRun run =
      RunProgram({"/bin/sh", "-c", "\"$0\" stat --prometheus > /dev/full", USERPAGER_TOOL});
  EXPECT_EQ(1, run.status);
  // Before that it may have something to say of other tests' programs, which come and go.
  EXPECT_TRUE(run.complaints.ends_with(
      "userpager: standard output cannot be written: No space left on device\n"))
      << run.complaints;
  for (const auto& program : programs) EXPECT_EQ(0, program->Finish());
}

TEST(StatCommandTest, FindsByName) {
  const std::string copy = testing::TempDir() + "upn" + Number(getpid() % 1000000);
  std::filesystem::copy_file("/bin/cat", copy, std::filesystem::copy_options::overwrite_existing);
  const std::string name = std::filesystem::path(copy).filename();
  ExpectRefusal(Tool({"stat", name}), "no process named " + name);
  {
    TalkingProgram one({copy}, {.memory = "8M", .input = {}, .environment = {}});
    one.WriteLine("here");
    ASSERT_EQ("here", one.ReadLine());
    EXPECT_EQ(static_cast<uint64_t>(one.number()),
              NumberIn(Tool({"stat", "--json", name}).output, "pid"));
    TalkingProgram two({copy}, {.memory = "8M", .input = {}, .environment = {}});
    two.WriteLine("here");
    ASSERT_EQ("here", two.ReadLine());
    ExpectRefusal(Tool({"stat", name}), "2 processes are named " + name);
    // Without a process, all: at least these.
    const std::string all = Tool({"stat", "--json"}).output;
    EXPECT_EQ('[', all[0]);
    EXPECT_NE(std::string::npos, all.find("\"pid\": " + Number(one.number()) + ","));
    EXPECT_NE(std::string::npos, all.find("\"pid\": " + Number(two.number()) + ","));
  }
  std::filesystem::remove(copy);
}

TEST(StatCommandTest, TheFileIsPrivateAndGoesWithTheProcess) {
  const auto program = RunPython();
  const auto files = Announcements(program->number());
  ASSERT_EQ(1u, files.size());
  struct stat status {};
  ASSERT_EQ(0, stat(files[0].c_str(), &status));
  EXPECT_EQ(0100600u, status.st_mode);
  // A child that ends leaves its parent's file alone.
  program->WriteLine(
      "child = os.fork(); child or sys.exit(0); os.waitpid(child, 0); print('forked', flush=True)");
  ASSERT_EQ("forked", program->ReadLine());
  EXPECT_EQ(files, Announcements(program->number()));
  EXPECT_EQ(0, Tool({"stat", Number(program->number())}).status);
  const pid_t number = program->number();
  EXPECT_EQ(0, program->Finish());
  EXPECT_TRUE(Announcements(number).empty());
}

TEST(StatCommandTest, AForkedChildIsNotFound) {
  const auto program = RunPython();
  program->WriteLine("child = os.fork(); child or signal.pause(); print(child, flush=True)");
  const std::string child = program->ReadLine();
  ExpectRefusal(Tool({"stat", child}), "does not run under userpager");
  program->WriteLine("os.kill(child, 9); os.waitpid(child, 0)");
  EXPECT_EQ(0, program->Finish());
}

TEST(StatCommandTest, FilesOfKilledProcessesAreCleaned) {
  const auto program = RunPython();
  const pid_t number = program->number();
  ASSERT_EQ(1u, Announcements(number).size());
  program->Signal(SIGKILL);
  EXPECT_EQ(128 + SIGKILL, program->Finish());
  ExpectRefusal(Tool({"stat", Number(number)}), "there is no process " + Number(number));
  (void)Tool({"stat", "--json"});
  EXPECT_TRUE(Announcements(number).empty());
  // The next process that starts cleans as well.
  const auto second = RunPython();
  const pid_t second_number = second->number();
  ASSERT_EQ(1u, Announcements(second_number).size());
  second->Signal(SIGKILL);
  EXPECT_EQ(128 + SIGKILL, second->Finish());
  const auto third = RunPython();
  EXPECT_TRUE(Announcements(second_number).empty());
}

TEST(StatCommandTest, CanBeSwitchedOff) {
  TalkingProgram program({"/bin/cat"},
                         {.memory = {},
                          .input = {},
                          .environment = {std::string("LD_PRELOAD=") + USERPAGER_PRELOAD_LIBRARY,
                                          "USERPAGER_CONF=memory:8M,stats_page:off"}});
  program.WriteLine("here");
  ASSERT_EQ("here", program.ReadLine());
  EXPECT_TRUE(Announcements(program.number()).empty());
  ExpectRefusal(Tool({"stat", Number(program.number())}), "stats_page:off");
  EXPECT_EQ(0, program.Finish());
}

TEST(StatCommandTest, LinkedProgramsAreFound) {
  const std::string folder = testing::TempDir() + "userpager_stat_" + Number(getpid());
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/linked.c")
      << "#include <stdio.h>\n#include <stdlib.h>\n#include <sys/wait.h>\n#include <unistd.h>\n"
         "#include <userpager/virtual_alloc.h>\n"
         "int main(void) {\n"
         "  char* memory = VirtualAlloc(NULL, 1 << 20, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);\n"
         "  if (memory == NULL) return 1;\n"
         "  for (int at = 0; at < 1 << 20; at += 4096) memory[at] = 1;\n"
         "  const pid_t child = fork();\n"
         "  if (child == 0) exit(0);\n"
         "  waitpid(child, NULL, 0);\n"
         "  puts(\"ready\");\n  fflush(stdout);\n"
         "  return getchar() == EOF ? 0 : 1;\n}\n";
  const std::string library_folder =
      std::filesystem::path(USERPAGER_LIBRARY).parent_path().string();
  const ProgramRun build = RunProgram(
      {USERPAGER_C_COMPILER, "-I" USERPAGER_SOURCE_DIR "/include", "-o", folder + "/linked",
       folder + "/linked.c", "-L" + library_folder, "-luserpager", "-Wl,-rpath," + library_folder});
  ASSERT_EQ(0, build.status) << build.complaints;
  {
    TalkingProgram program(
        {folder + "/linked"},
        {.memory = {}, .input = {}, .environment = {"USERPAGER_CONF=memory:8M"}});
    ASSERT_EQ("ready", program.ReadLine());
    EXPECT_EQ(1u << 20, StatOf(program.number(), "commit_bytes"));
    const pid_t number = program.number();
    EXPECT_EQ(0, program.Finish());
    EXPECT_TRUE(Announcements(number).empty());
  }
  std::filesystem::remove_all(folder);
}

TEST(StatCommandTest, WhereDevShmCannotBeWritten) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can mount over /dev/shm";
  const std::string folder = testing::TempDir() + "userpager_runtime_" + Number(getpid());
  std::filesystem::create_directory(folder);
  const std::string tool = USERPAGER_TOOL;
  // The shell is looked at by its own child.
  const std::string command = "mount -t tmpfs -o ro none /dev/shm && exec " + tool +
                              " run --memory 8M sh -c '" + tool + " stat --json $$; true'";
  const ProgramRun other = RunProgram(
      {"env", "XDG_RUNTIME_DIR=" + folder, "unshare", "-m", "sh", "-c", command});
  EXPECT_EQ("", other.complaints);
  EXPECT_EQ(8u << 20, NumberIn(other.output, "memory_limit_bytes"));
  // The shell ends by _exit().
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  const ProgramRun none =
      RunProgram({"env", "-u", "XDG_RUNTIME_DIR", "unshare", "-m", "sh", "-c",
                  "mount -t tmpfs -o ro none /dev/shm && exec " + tool + " run sh -c 'echo ran'"});
  EXPECT_EQ(0, none.status);
  EXPECT_EQ("ran\n", none.output);
  EXPECT_NE(std::string::npos, none.complaints.find("cannot be announced in /dev/shm"))
      << none.complaints;
  std::filesystem::remove_all(folder);
}

TEST(StatCommandTest, OtherUsersProcessesAreRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  const auto program = RunPython();
  const std::string tool = testing::TempDir() + "userpager_tool_" + Number(getpid());
  std::filesystem::copy_file(USERPAGER_TOOL, tool,
                             std::filesystem::copy_options::overwrite_existing);
  const std::vector<std::string> as_nobody = {"setpriv", "--reuid=65534", "--clear-groups", tool};
  std::vector<std::string> command = as_nobody;
  command.insert(command.end(), {"stat", Number(program->number())});
  ExpectRefusal(RunProgram(command), "ask as root");
  command = as_nobody;
  command.insert(command.end(), {"limit", Number(program->number()), "4M"});
  ExpectRefusal(RunProgram(command), "ask as root");
  EXPECT_EQ(8u << 20, StatOf(program->number(), "memory_limit_bytes"));
  std::filesystem::remove(tool);
}

// A file that claims to be about this very process.
class ForeignFile {
 public:
  ForeignFile()
      : path_(std::string(kDirectory) + "/userpager-" + Number(getpid()) + "-1"),
        file_(open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    // As of a process that lives.
    EXPECT_EQ(0, flock(file_, LOCK_EX | LOCK_NB));
    std::ifstream text("/proc/self/stat");
    EXPECT_TRUE(text.good());
    std::string all;
    std::getline(text, all);
    // Field 22, where the name has no parenthesis.
    size_t at = all.rfind(')');
    for (int field = 2; field < 22; ++field) at = all.find(' ', at + 1);
    announcement_.magic = Announcement::kMagic;
    announcement_.version = Announcement::kVersion;
    announcement_.process = getpid();
    announcement_.start_ticks = std::strtoull(all.c_str() + at + 1, nullptr, 10);
  }
  ~ForeignFile() {
    unlink(path_.c_str());
    close(file_);
  }

  void Write(size_t bytes = sizeof(Announcement)) {
    EXPECT_EQ(0, ftruncate(file_, 0));
    EXPECT_EQ(static_cast<ssize_t>(bytes), pwrite(file_, &announcement_, bytes, 0));
  }
  void PointTo(int descriptor) {
    struct stat status {};
    EXPECT_EQ(0, fstat(descriptor, &status));
    announcement_.page_device = status.st_dev;
    announcement_.page_inode = status.st_ino;
    announcement_.page_descriptor = descriptor;
    Write();
  }
  static ProgramRun Stat() { return Tool({"stat", Number(getpid())}); }
  Announcement& announcement() { return announcement_; }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const int file_;
  Announcement announcement_;
};

TEST(StatCommandTest, ForeignAndTruncatedFilesAreRecognised) {
  ForeignFile file;
  ExpectRefusal(ForeignFile::Stat(), "is not, or no longer, userpager's file");
  file.Write(20);
  ExpectRefusal(ForeignFile::Stat(), "is not, or no longer, userpager's file");
  file.announcement().magic ^= 1;
  file.Write();
  ExpectRefusal(ForeignFile::Stat(), "is not, or no longer, userpager's file");
  file.announcement().magic ^= 1;
  file.announcement().version += 1;
  file.Write();
  ExpectRefusal(ForeignFile::Stat(), "another version");
  file.announcement().version -= 1;
  file.announcement().start_ticks += 1;
  file.Write();
  ExpectRefusal(ForeignFile::Stat(), "has ended, or is in another namespace");
  file.announcement().start_ticks -= 1;
  // Nothing of it was taken for stale.
  EXPECT_TRUE(std::filesystem::exists(file.path()));
}

TEST(StatCommandTest, ForeignPagesAreRecognised) {
  ForeignFile file;
  file.announcement().page_descriptor = 1000;
  file.Write();
  ExpectRefusal(ForeignFile::Stat(), "has closed its statistics page");
  // A pipe would have the reader wait.
  int ends[2];
  ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
  file.PointTo(ends[0]);
  ExpectRefusal(ForeignFile::Stat(), "does not have the statistics page");
  close(ends[0]);
  close(ends[1]);
  // What may become shorter would end the reader.
  const int page = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ASSERT_EQ(0, ftruncate(page, 1 << 20));
  file.PointTo(page);
  ExpectRefusal(ForeignFile::Stat(), "does not have the statistics page");
  ASSERT_EQ(0, fcntl(page, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  ExpectRefusal(ForeignFile::Stat(), "another version");
  StatisticsHead head;
  head.magic = StatisticsHead::kMagic;
  head.version = StatisticsHead::kVersion;
  head.counters_bytes = sizeof(Counters);
  head.shards = StatisticsHead::kMostShards;  // more than there is
  head.page_bytes = StatisticsPage::BytesFor(head.shards);
  ASSERT_EQ(static_cast<ssize_t>(sizeof head), pwrite(page, &head, sizeof head, 0));
  ExpectRefusal(ForeignFile::Stat(), "another version");
  // Numbers may be anything.
  head.shards = 1;
  head.page_bytes = StatisticsPage::BytesFor(1);
  const std::vector<char> noise(head.page_bytes, '\xff');
  ASSERT_EQ(static_cast<ssize_t>(noise.size()), pwrite(page, noise.data(), noise.size(), 0));
  ASSERT_EQ(static_cast<ssize_t>(sizeof head), pwrite(page, &head, sizeof head, 0));
  EXPECT_EQ(0, ForeignFile::Stat().status);
  close(page);
}

TEST(StatCommandTest, LimitsThatNobodyIsThereToChangeAreNotAskedFor) {
  ForeignFile file;
  const int made = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  StatisticsPage page;
  page.head.magic = StatisticsHead::kMagic;
  page.head.version = StatisticsHead::kVersion;
  page.head.counters_bytes = sizeof(Counters);
  page.head.shards = 1;
  page.head.page_bytes = StatisticsPage::BytesFor(1);
  page.limit_is_fixed.store(1);
  ASSERT_EQ(static_cast<ssize_t>(page.head.page_bytes), write(made, &page, page.head.page_bytes));
  ASSERT_EQ(0, fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  file.PointTo(made);
  ExpectRefusal(Tool({"limit", Number(getpid()), "8M"}), "could not make the thread");
  EXPECT_EQ(0, ForeignFile::Stat().status);
  close(made);
}

TEST(StatCommandTest, WhatIsNoProcess) {
  ExpectRefusal(Tool({"stat", "1999999999"}), "there is no process 1999999999");
  ExpectRefusal(Tool({"stat", "no-such-name"}), "no process named no-such-name");
  ExpectRefusal(Tool({"stat", Number(getpid())}), "does not run under userpager");
  EXPECT_EQ(2, Tool({"stat", "--yaml"}).status);
  EXPECT_EQ(2, Tool({"stat", "--json", "--prometheus"}).status);
  EXPECT_EQ(2, Tool({"stat", "1", "2"}).status);
}

}  // namespace
}  // namespace userpager::programs
