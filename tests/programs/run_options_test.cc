// The options of userpager run, each by what it does to a program that uses more memory than it
// may have.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/programs/program_run.h"
#include "tests/programs/talking_program.h"
#include "tests/support/loop_device.h"

namespace userpager::programs {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMiB = uint64_t{1} << 20;

// Fills 16 MiB with what is no zeros, and says so; at the end of its input it looks whether all is
// as it was.
constexpr const char* kProgram =
    "import os, sys\n"
    "pages = [os.urandom(4096) for i in range(4096)]\n"
    "total = sum(map(sum, pages))\n"
    "print('ready', flush=True)\n"
    "sys.stdin.read()\n"
    "sys.exit(0 if sum(map(sum, pages)) == total else 9)\n";

class RunOptionsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNotManaged(); !why.empty()) GTEST_SKIP() << why;
    if (!fs::exists("/usr/bin/python3")) GTEST_SKIP() << "python3 is not installed";
    folder_ = "/var/tmp/userpager_run_options_" + std::to_string(getpid());
    fs::create_directory(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::vector<std::string> Command(const std::vector<std::string>& options,
                                          const std::string& program = kProgram) {
    std::vector<std::string> command = {USERPAGER_TOOL, "run", "--memory", "4M"};
    command.insert(command.end(), options.begin(), options.end());
    // Each option once; by default it would be too little.
    constexpr const char* kMost = "--page-file-max";
    if (std::find(options.begin(), options.end(), kMost) == options.end()) {
      command.insert(command.end(), {kMost, "256M"});
    }
    command.insert(command.end(), {"--", "/usr/bin/python3", "-c", program});
    return command;
  }
  static ProgramRun Run(const std::vector<std::string>& options,
                        const std::string& program = kProgram) {
    return RunProgram(Command(options, program));
  }
  // Has written pages when this returns.
  static std::unique_ptr<TalkingProgram> Begin(const std::vector<std::string>& options) {
    auto program = std::make_unique<TalkingProgram>(Command(options));
    EXPECT_EQ("ready", program->ReadLine());
    return program;
  }
  fs::path folder_;
};

// What the descriptors of a process name.
std::set<std::string> OpenFiles(pid_t process) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(process) + "/fd")) {
    std::error_code gone;
    names.insert(fs::read_symlink(entry.path(), gone).string());
  }
  return names;
}

size_t CountOfPrefix(const std::set<std::string>& names, const std::string& prefix) {
  return static_cast<size_t>(std::count_if(names.begin(), names.end(), [&](const auto& name) {
    return name.compare(0, prefix.size(), prefix) == 0;
  }));
}

bool HasOtherThanZeros(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::any_of(std::istreambuf_iterator<char>(file), {}, [](char c) { return c != 0; });
}

uint64_t BlocksOf(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(0, stat(path.c_str(), &status)) << path;
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

std::set<std::string> ThreadNames(pid_t process) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    names.insert(name);
  }
  return names;
}

TEST_F(RunOptionsTest, PageFileInADirectory) {
  const auto program = Begin({"--page-file", folder_});
  // It has no name, and goes with the process.
  const std::set<std::string> files = OpenFiles(program->number());
  const std::string prefix = folder_.string() + "/#";
  ASSERT_EQ(1u, CountOfPrefix(files, prefix));
  EXPECT_EQ(0u, CountOfPrefix(files, "/var/tmp/#"));
  EXPECT_TRUE(fs::is_empty(folder_));
  for (const auto& entry :
       fs::directory_iterator("/proc/" + std::to_string(program->number()) + "/fd")) {
    std::error_code gone;
    const std::string name = fs::read_symlink(entry.path(), gone).string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    EXPECT_GE(BlocksOf(entry.path()), 8 * kMiB);
  }
  EXPECT_EQ(0, program->Finish());
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(RunOptionsTest, PageFileWithAName) {
  const std::string file = (folder_ / "pages").string();
  std::ofstream(file).close();
  // A page file before is one again.
  for (unsigned i = 0; i < 2; ++i) {
    const ProgramRun run = Run({"--page-file", file});
    EXPECT_EQ(0, run.status) << run.complaints;
    EXPECT_EQ("", run.complaints);
    EXPECT_GE(fs::file_size(file), 8 * kMiB);
    EXPECT_TRUE(HasOtherThanZeros(file));
  }
}

TEST_F(RunOptionsTest, PageFileThatIsNone) {
  const std::string file = (folder_ / "letter").string();
  const std::string text(5000, 'a');
  std::ofstream(file) << text;
  for (const std::string& place : {file, (folder_ / "nothing").string()}) {
    const ProgramRun run = Run({"--page-file", place}, "print('ran')");
    EXPECT_EQ(126, run.status);
    EXPECT_EQ("", run.output);
    EXPECT_NE(std::string::npos, run.complaints.find(place)) << run.complaints;
    EXPECT_EQ(1, std::count(run.complaints.begin(), run.complaints.end(), '\n'));
  }
  std::ifstream kept(file);
  EXPECT_EQ(text, std::string(std::istreambuf_iterator<char>(kept), {}));
  EXPECT_FALSE(fs::exists(folder_ / "nothing"));
}

TEST_F(RunOptionsTest, PageFileOnABlockDevice) {
  const std::string backing = (folder_ / "disk").string();
  ASSERT_TRUE(MakeSparseFile(backing, 64 * kMiB));
  const LoopDevice device(backing);
  if (!device.ok()) {
    GTEST_SKIP() << "no block device can be made here; it needs root, and loop devices";
  }
  EXPECT_EQ(0u, BlocksOf(backing));
  {
    const auto program = Begin({"--page-file", device.path()});
    EXPECT_EQ(1u, OpenFiles(program->number()).count(device.path()));
    EXPECT_EQ(0, program->Finish());
  }
  ASSERT_EQ(0, fsync(device.descriptor()));
  EXPECT_GE(BlocksOf(backing), 8 * kMiB);
  // A child cannot have its own beside it.
  const ProgramRun run = Run({"--page-file", device.path()},
                             "import os, sys\n"
                             "pages = [os.urandom(4096) for i in range(4096)]\n"
                             "total = sum(map(sum, pages))\n"
                             "child = os.fork()\n"
                             "if child == 0: os._exit(0 if sum(map(sum, pages)) == total else 1)\n"
                             "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n");
  EXPECT_EQ(0, run.status) << run.complaints;
  EXPECT_NE(std::string::npos, run.complaints.find("a forked child has plain memory"))
      << run.complaints;
}

TEST_F(RunOptionsTest, PageFileMax) {
  EXPECT_EQ(0, Run({"--page-file-max", "64M"}).status);
  const ProgramRun run = Run({"--page-file-max", "8M"});
  EXPECT_EQ(128 + SIGKILL, run.status) << run.output << run.complaints;
  EXPECT_EQ(0u, run.complaints.find("userpager: killed: no memory for the page at "))
      << run.complaints;
  EXPECT_EQ(1, std::count(run.complaints.begin(), run.complaints.end(), '\n')) << run.complaints;
  // A file with a name shows how large it became.
  const std::string file = (folder_ / "pages").string();
  std::ofstream(file).close();
  EXPECT_EQ(128 + SIGKILL, Run({"--page-file-max", "8M", "--page-file", file}).status);
  EXPECT_LE(fs::file_size(file), 8 * kMiB);
  EXPECT_GE(fs::file_size(file), 7 * kMiB);
}

// Asks malloc and mmap for far more than there is, and prints the errors.
constexpr const char* kAsker =
    "import ctypes, errno, mmap\n"
    "c = ctypes.CDLL(None, use_errno=True)\n"
    "c.malloc.restype = ctypes.c_void_p\n"
    "c.malloc.argtypes = [ctypes.c_size_t]\n"
    "block = c.malloc(1 << 30)\n"
    "print('malloc', errno.errorcode[ctypes.get_errno()] if block is None else 'given')\n"
    "try:\n"
    "    mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
    "    print('mmap given')\n"
    "except OSError as e: print('mmap', errno.errorcode[e.errno])\n"
    "print(len(bytearray(1 << 20)))\n";

TEST_F(RunOptionsTest, Commit) {
  const ProgramRun strict = Run({"--commit", "strict", "--page-file-max", "64M"}, kAsker);
  EXPECT_EQ(0, strict.status);
  EXPECT_EQ("", strict.complaints);
  EXPECT_EQ("malloc ENOMEM\nmmap ENOMEM\n1048576\n", strict.output);
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"--page-file-max", "64M"},
        std::vector<std::string>{"--page-file-max", "64M", "--commit=lazy"}}) {
    const ProgramRun lazy = Run(options, kAsker);
    EXPECT_EQ(0, lazy.status) << lazy.complaints;
    EXPECT_EQ("malloc given\nmmap given\n1048576\n", lazy.output);
  }
}

TEST_F(RunOptionsTest, Shards) {
  for (unsigned shards : {1u, 3u}) {
    const auto program = Begin({"--shards", std::to_string(shards)});
    const std::set<std::string> names = ThreadNames(program->number());
    for (unsigned i = 0; i < 4; ++i) {
      EXPECT_EQ(i < shards ? 1u : 0u, names.count("userpager-" + std::to_string(i))) << i;
    }
    EXPECT_EQ(0, program->Finish());
  }
}

// A forked child that pages has threads for that, and stays in the limit; one that does not has all
// of its memory in memory.
TEST_F(RunOptionsTest, Children) {
  const std::string look =
      "import os, sys\n"
      "pages = [os.urandom(4096) for i in range(4096)]\n"
      "total = sum(map(sum, pages))\n"
      "def resident():\n"
      "    return int(open('/proc/self/statm').read().split()[1]) * 4096 >> 20\n"
      "before = resident()\n"
      "child = os.fork()\n"
      "if child == 0:\n"
      "    right = sum(map(sum, pages)) == total\n"
      "    print(right, len(os.listdir('/proc/self/task')) > 1, resident() - before > 8)\n"
      "    sys.stdout.flush()\n"
      "    os._exit(0)\n"
      "os.waitpid(child, 0)\n";
  EXPECT_EQ("True True False\n", Run({}, look).output);
  EXPECT_EQ("True True False\n", Run({"--children", "paged"}, look).output);
  const ProgramRun none = Run({"--children", "none"}, look);
  EXPECT_EQ("True False True\n", none.output);
  EXPECT_EQ("", none.complaints);
}

TEST_F(RunOptionsTest, Stats) {
  // A name is one of the place where the tool was started.
  const std::string tool = USERPAGER_TOOL;
  const std::string program =
      "import os; os.chdir(\"/\"); p = [os.urandom(4096) for i in range(4096)];"
      " print(sum(map(len, p)))";
  const std::string options = " run --memory 4M --page-file-max 256M --stats s.json ";
  const ProgramRun run =
      RunProgram({"sh", "-c", "cd " + folder_.string() + " && exec " + tool + options +
                                  "/usr/bin/python3 -c '" + program + "'"});
  EXPECT_EQ(0, run.status) << run.complaints;
  EXPECT_EQ("16777216\n", run.output);
  EXPECT_EQ("", run.complaints);
  const ProgramRun check =
      RunProgram({"/usr/bin/python3", "-c",
                  "import json, sys; s = json.load(open(sys.argv[1])); "
                  "print(s['pages_out'] > 1000, s['resident_bytes_peak'] <= 4 << 20)",
                  (folder_ / "s.json").string()});
  EXPECT_EQ("True True\n", check.output) << check.complaints;
  // Where it cannot be made a line says so, and the program runs.
  const ProgramRun without = Run({"--stats", "/no/such/folder/s.json"}, "print('ran')");
  EXPECT_EQ(0, without.status);
  EXPECT_EQ("ran\n", without.output);
  EXPECT_NE(std::string::npos, without.complaints.find("/no/such/folder/s.json"));
  EXPECT_EQ(1, std::count(without.complaints.begin(), without.complaints.end(), '\n'));
}

TEST_F(RunOptionsTest, Verbose) {
  const ProgramRun silent = Run({}, "print('ran')");
  EXPECT_EQ("ran\n", silent.output);
  EXPECT_EQ("", silent.complaints);
  const ProgramRun verbose = Run({"--verbose", "--shards", "2"}, "print('ran')");
  EXPECT_EQ(0, verbose.status);
  EXPECT_EQ("ran\n", verbose.output);
  for (const char* part : {"/usr/bin/python3", USERPAGER_PRELOAD_LIBRARY,
                           "USERPAGER_CONF=memory:4M,shards:2,page_file_max:256M"}) {
    EXPECT_NE(std::string::npos, verbose.complaints.find(part)) << verbose.complaints;
  }
  EXPECT_EQ(0u, verbose.complaints.find("userpager: "));
}

}  // namespace
}  // namespace userpager::programs
