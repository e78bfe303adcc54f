// Real programs with less memory than they use: what they print is what they print without the
// runtime. Where both are measured, the limit is a quarter of what they use, or less, and the
// kernel's count of their memory stays small.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

constexpr const char* kMemory = "4M";
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kMemoryBytes = 4 * kMiB;  // of the large programs at scale 1
// Beside what the same program needs to start: what the C library allocates for itself, stacks, the
// runtime's own data, of which there is more where there are more pages.
uint64_t UnmanagedBytes() { return (7 + ProgramsScale()) * kMiB; }

class Programs : public testing::Test {
 protected:
  void SetUp() override {
    const ProgramRun run =
        RunProgram({"true"}, {.memory = kMemory, .input = {}, .environment = {}});
    if (run.status == 126) GTEST_SKIP() << "the pager cannot run here: " << run.complaints;
    ASSERT_EQ(0, run.status) << run.complaints;
  }

  static void ExpectSameOutput(const std::vector<std::string>& command,
                               const std::string& memory = kMemory) {
    if (!IsThere(command[0])) GTEST_SKIP() << command[0] << " is not installed";
    const ProgramRun plain = RunProgram(command);
    const ProgramRun managed =
        RunProgram(command, {.memory = memory, .input = {}, .environment = {}});
    EXPECT_EQ(plain.status, managed.status);
    EXPECT_EQ(plain.complaints, managed.complaints);
    EXPECT_TRUE(plain.output == managed.output)
        << plain.output.size() << " bytes without, " << managed.output.size() << " with";
  }

  // Both ways, compared, with memory for the tests' scale. `idle` is the same program with nothing
  // to do.
  static void Compare(const std::vector<std::string>& command,
                      const std::vector<std::string>& idle) {
    if (!IsThere(command[0])) GTEST_SKIP() << command[0] << " is not installed";
    const ProgramRun least = RunProgram(idle);
    const ProgramRun plain = RunProgram(command);
    ASSERT_EQ(0, plain.status) << plain.complaints;
    // What the program takes for itself does not grow with the scale.
    const uint64_t memory_bytes = std::min(kMemoryBytes * ProgramsScale(), plain.most_bytes / 4);
    const ProgramRun managed = RunProgram(
        command, {.memory = std::to_string(memory_bytes), .configuration = "page_file_max:4G"});
    EXPECT_EQ(0, managed.status);
    EXPECT_EQ("", managed.complaints);
    EXPECT_TRUE(plain.output == managed.output)
        << plain.output.size() << " bytes without, " << managed.output.size() << " with";
    EXPECT_LE(managed.most_bytes, least.most_bytes + memory_bytes + UnmanagedBytes());
  }
};

// The text with this number, at the tests' scale, in the place of each "COUNT".
std::string WithCount(std::string text, unsigned count) {
  const std::string number = std::to_string(count * ProgramsScale());
  for (size_t at; (at = text.find("COUNT")) != std::string::npos;) text.replace(at, 5, number);
  return text;
}

// A file of numbers in no order.
class NumberFile {
 public:
  explicit NumberFile(unsigned lines)
      : path_(std::filesystem::path(testing::TempDir()) /
              ("userpager_numbers_" + std::to_string(getpid()))) {
    std::ofstream file(path_);
    for (unsigned i = 0; i < lines; ++i) file << (i * 7919ull) % 1000003 << ' ' << i << '\n';
  }
  ~NumberFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST_F(Programs, Sort) {
  const NumberFile numbers(270'000 * ProgramsScale());
  Compare({"sort", "-S", WithCount("COUNTM", 200), "--parallel=1", numbers.path()},
          {"sort", "/dev/null"});
}

TEST_F(Programs, PythonObjectsAndThreads) {
  Compare({"/usr/bin/python3", "-c", WithCount(R"(
import threading
d = {i: str(i) * 4 for i in range(COUNT)}
words = sorted(d.values())
def count(first, results):
    results.append(sum(len(v) for k, v in d.items() if k % 4 == first))
results = []
threads = [threading.Thread(target=count, args=(i, results)) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(sum(results), words[::50000])
)", 90'000)}, {"/usr/bin/python3", "-c", "import threading"});
}

// Forked children have plain memory, and count for who waits: what they take is not compared.
TEST_F(Programs, PythonProcesses) {
  const std::vector<std::string> command = {"/usr/bin/python3", "-c", R"(
import multiprocessing, subprocess
d = {i: str(i) * 4 for i in range(60000)}
def length(i):
    return len(d[i])
with multiprocessing.get_context('fork').Pool(2) as pool:
    print(sum(pool.map(length, range(0, 60000, 50))))
print(subprocess.run(['sh', '-c', 'echo started; exit 3'], capture_output=True))
)"};
  ExpectSameOutput(command);
}

TEST_F(Programs, SqliteInMemory) {
  Compare({"sqlite3", ":memory:", WithCount(R"(
create table t(a integer primary key, b text);
with recursive c(x) as (select 1 union all select x + 1 from c where x < COUNT)
  insert into t select x, hex(x * 7919) || 'abcdefghijkl' from c;
create index i on t(b);
select count(*), sum(a) from t;
select count(*) from t x join t y on x.b = y.b where x.a % 50 = 0;
delete from t where a % 3 = 0;
select count(*), min(b), max(b) from t;
pragma integrity_check;
)", 130'000)}, {"sqlite3", ":memory:", ".quit"});
}

TEST_F(Programs, Compiler) {
  const std::filesystem::path source(USERPAGER_SOURCE_DIR);
  ExpectSameOutput({USERPAGER_CXX_COMPILER, "-std=c++20", "-S", "-o", "-", "-I", source.string(),
                    (source / "runtime/observe/counters.cc").string()},
                   "24M");
}

TEST_F(Programs, Git) { ExpectSameOutput({"git", "-C", USERPAGER_SOURCE_DIR, "log", "--stat"}); }

// Each program of the pipeline has the limit for itself; what they are together is not measured.
TEST_F(Programs, BashPipeline) {
  const NumberFile numbers(20'000);
  const std::vector<std::string> command = {
      "bash", "-c",
      "declare -A seen; while read -r a b; do seen[$((a % 1000))]=$b; done < $0; "
      "for k in \"${!seen[@]}\"; do echo \"$k ${seen[$k]}\"; done | sort -n | (cat; echo end) | "
      "tee >(wc -l > /dev/null) | awk '{ sum += $2 } END { print NR, sum }'",
      numbers.path()};
  ExpectSameOutput(command);
}

TEST_F(Programs, ClosedDescriptorsAreNotThePagers) {
  const ProgramRun run = RunProgram({"/usr/bin/python3", "-c", R"(
import os
os.closerange(3, 4096)
for fd in range(3, 4096):
    try: os.close(fd)
    except OSError: pass
os.dup2(1, 7)
memory = [bytes([i % 256]) * 4096 for i in range(6000)]
print(sum(m[0] for m in memory), os.open('/dev/null', os.O_RDONLY))
)"}, {.memory = kMemory, .input = {}, .environment = {}});
  EXPECT_EQ(0, run.status);
  EXPECT_EQ("", run.complaints);
  EXPECT_EQ("756936 3\n", run.output);
}

TEST_F(Programs, BadOptionsStopTheProgram) {
  const ProgramRun run = RunProgram({"/bin/echo", "ran"}, {.memory = "much", .input = {},
                                                    .environment = {}});
  EXPECT_EQ(126, run.status);
  EXPECT_EQ("", run.output);
  EXPECT_NE(std::string::npos, run.complaints.find("memory")) << run.complaints;
}

TEST_F(Programs, StatisticsAreOfTheProgramAlone) {
  const std::string file = testing::TempDir() + "/userpager_stats_" + std::to_string(getpid());
  const ProgramRun run =
      RunProgram({"/usr/bin/python3", "-c",
           "import os, subprocess; d = [str(i) * 9 for i in range(90000)]; "
           "subprocess.run(['true']); pid = os.fork(); "
           "os.waitpid(pid, 0) if pid else os._exit(0)"},
          {.memory = kMemory, .input = {}, .environment = {"USERPAGER_STATS=" + file}});
  EXPECT_EQ(0, run.status) << run.complaints;
  std::ifstream written(file);
  const std::string text((std::istreambuf_iterator<char>(written)), {});
  std::filesystem::remove(file);
  const size_t at = text.find("\"pages_out\": ");
  ASSERT_NE(std::string::npos, at) << text;
  EXPECT_NE('0', text[at + 13]) << text;
  EXPECT_NE(std::string::npos, text.find("\"memory_limit_bytes\": 4194304")) << text;
}

}  // namespace
}  // namespace userpager::programs
