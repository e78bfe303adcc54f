// userpager record and userpager report, from a program that pages to a page in a real browser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

using testing::HasSubstr;
using testing::Not;

// Writes 24 MiB twice as large as its memory, and reads them back.
constexpr const char* kProgram =
    "a = bytearray(24 << 20)\n"
    "for i in range(0, len(a), 4096): a[i] = 1 + i % 251\n"
    "print(sum(a[i] for i in range(0, len(a), 4096)))\n";

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ReportTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("userpager_report_" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
    if (Tool({"doctor"}).status != 0) {
      GTEST_SKIP() << "userpager run does not work here: userpager doctor says why";
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string In(const std::string& name) const { return (folder_ / name).string(); }
  static ProgramRun Tool(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), USERPAGER_TOOL);
    return RunProgram(arguments);
  }
  void Record() {
    const ProgramRun run = Tool({"record", "-o", In("a.trace"), "--memory", "12M", "--",
                                 "/usr/bin/python3", "-c", kProgram});
    ASSERT_EQ(0, run.status) << run.complaints;
    ASSERT_EQ("", run.complaints);
  }
  // What the browser made of a page, and what its console said.
  ProgramRun Browse(const std::string& page) {
    const std::string profile = In("profile");
    std::filesystem::remove_all(profile);
    std::filesystem::create_directory(profile);
    return RunProgram({"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                       "--no-first-run", "--disable-background-networking",
                       "--disable-component-update", "--disable-sync",
                       "--user-data-dir=" + profile, "--enable-logging=stderr", "--dump-dom",
                       "file://" + page},
                      {.memory = "", .input = {}, .environment = {"HOME=" + profile}});
  }

  std::filesystem::path folder_;
};

TEST_F(ReportTest, APageThatABrowserShowsAndAClickFilters) {
  if (!IsThere("chromium")) GTEST_SKIP() << "needs the package chromium";
  Record();
  const ProgramRun report = Tool({"report", In("a.trace"), "-o", In("a.html")});
  ASSERT_EQ(0, report.status) << report.complaints;
  const std::string page = ReadAll(In("a.html"));

  const ProgramRun shown = Browse(In("a.html"));
  ASSERT_EQ(0, shown.status) << shown.complaints;
  EXPECT_THAT(shown.complaints, Not(HasSubstr("CONSOLE"))) << shown.complaints;
  EXPECT_THAT(shown.output, HasSubstr("<body data-pick=\"0\">"));
  for (const char* id : {"addresses", "faults", "latency", "traffic", "memory", "miss-chart"}) {
    EXPECT_THAT(shown.output, HasSubstr(std::string("<figure id=\"") + id + "\""));
  }
  EXPECT_THAT(shown.output, HasSubstr("<div data-for=\"1\" hidden=\"\">"));

  // A reader clicks on the first region's band of the heat map. The console would have been heard.
  const std::string click =
      "<script>document.querySelector('.band[data-pick=\"1\"] rect').dispatchEvent("
      "new MouseEvent('click', {bubbles: true})); console.error('it was heard');</script></body>";
  std::string clicked = page;
  clicked.replace(clicked.rfind("</body>"), 7, click);
  std::ofstream(In("b.html")) << clicked;
  const ProgramRun filtered = Browse(In("b.html"));
  ASSERT_EQ(0, filtered.status) << filtered.complaints;
  EXPECT_THAT(filtered.complaints, HasSubstr("it was heard"));
  EXPECT_THAT(filtered.output, HasSubstr("<body data-pick=\"1\">"));
  EXPECT_THAT(filtered.output, HasSubstr("<div data-for=\"0\" hidden=\"\">"));
  EXPECT_THAT(filtered.output, HasSubstr("<div data-for=\"1\">"));
  EXPECT_THAT(filtered.output, HasSubstr("<span>region 1: 0x"));
}

// A program that asks for memory in three ways, and pages a little.
[[gnu::noinline]] char* AskMalloc() {
  auto* block = static_cast<char*>(std::malloc(32 << 20));
  asm volatile("" : : "r"(block) : "memory");
  return block;
}
[[gnu::noinline]] char* AskMmap() {
  void* block = mmap(nullptr, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  asm volatile("" : : "r"(block) : "memory");
  return static_cast<char*>(block);
}
[[gnu::noinline]] size_t AskVector(std::vector<char>* vector) {
  vector->resize(24 << 20, 1);
  asm volatile("" : : "r"(vector) : "memory");
  return vector->size();
}
TEST(Managed, DISABLED_AsksForMemory) {
  char* blocks[] = {AskMalloc(), AskMmap()};
  std::vector<char> vector;
  ASSERT_EQ(size_t{24} << 20, AskVector(&vector));
  for (size_t i = 0; i < (16 << 20); i += 4096) blocks[0][i] = blocks[1][i] = 1;
}

TEST_F(ReportTest, NamesTheCodeThatAskedForMemory) {
  if (!IsThere("chromium")) GTEST_SKIP() << "needs the package chromium";
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const ProgramRun run = Tool({"record", "--callers", "-o", In("a.trace"), "--memory", "12M", "--",
                               self, "--gtest_also_run_disabled_tests",
                               "--gtest_filter=Managed.DISABLED_AsksForMemory"});
  ASSERT_EQ(0, run.status) << run.complaints << run.output;
  const ProgramRun report = Tool({"report", In("a.trace"), "-o", In("a.html")});
  ASSERT_EQ(0, report.status) << report.complaints;
  const ProgramRun shown = Browse(In("a.html"));
  EXPECT_THAT(shown.complaints, Not(HasSubstr("CONSOLE"))) << shown.complaints;
  for (const char* function : {"AskMalloc()", "AskMmap()", "AskVector("}) {
    const std::string name = std::string("userpager::programs::(anonymous namespace)::") + function;
    EXPECT_THAT(shown.output, HasSubstr("<td class=\"code\">" + name));
  }
  EXPECT_THAT(shown.output, HasSubstr(" (programs_report_test, build-id "));
  // Without a recording there is nothing to tell it to.
  EXPECT_EQ(2, Tool({"run", "--callers", "true"}).status);
}

TEST_F(ReportTest, OtherToolsCanReadIt) {
  Record();
  const ProgramRun report =
      Tool({"report", "--csv", In("a.csv"), "--chrome-trace=" + In("a.json"), In("a.trace")});
  ASSERT_EQ(0, report.status) << report.complaints;
  EXPECT_FALSE(std::filesystem::exists(In("a.trace.html")));
  const ProgramRun check = RunProgram(
      {"/usr/bin/python3", "-c",
       "import csv, json, sys\n"
       "rows = list(csv.DictReader(open(sys.argv[1])))\n"
       "events = json.load(open(sys.argv[2]))['traceEvents']\n"
       "hard = sum(row['kind'] == 'hard' for row in rows)\n"
       "slices = sum(e['name'] == 'hard' and e['ph'] == 'X' and e['dur'] > 0 for e in events)\n"
       "print(hard > 0, hard == slices)\n",
       In("a.csv"), In("a.json")});
  EXPECT_EQ("True True\n", check.output) << check.complaints;
  // Standard output has the result alone.
  EXPECT_EQ(ReadAll(In("a.csv")), Tool({"report", "--csv", "-", In("a.trace")}).output);
}

TEST_F(ReportTest, WhatIsNoRecordingIsToldInOneLine) {
  Record();
  const std::string whole = ReadAll(In("a.trace"));
  std::ofstream(In("cut")) << whole.substr(0, whole.size() / 2 + 1);
  std::ofstream(In("text")) << "a letter\n";
  for (const auto& [name, words] : std::vector<std::pair<std::string, std::string>>{
           {"cut", "is truncated"}, {"text", "is no trace file"}, {"none", "No such file"}}) {
    const ProgramRun run = Tool({"report", In(name)});
    EXPECT_EQ(1, run.status) << name;
    EXPECT_THAT(run.complaints, HasSubstr(words));
    EXPECT_EQ(run.complaints.size() - 1, run.complaints.find('\n')) << run.complaints;
    EXPECT_FALSE(std::filesystem::exists(In(name + ".html")));
  }
  EXPECT_EQ(1, Tool({"report", "-o", In("no/such"), In("a.trace")}).status);
  EXPECT_EQ(2, Tool({"report"}).status);
  EXPECT_EQ(2, Tool({"report", "--colour", "x", In("a.trace")}).status);
  EXPECT_EQ(2, Tool({"report", In("a.trace"), In("cut")}).status);
  EXPECT_EQ(2, Tool({"record", "-o"}).status);
  // The recording is never what is written to.
  std::filesystem::create_symlink("a.trace", In("link"));
  for (const char* name : {"a.trace", "link"}) {
    EXPECT_EQ(2, Tool({"report", "-o", In(name), In("a.trace")}).status) << name;
    EXPECT_EQ(2, Tool({"report", "--csv", In(name), In("a.trace")}).status) << name;
  }
  EXPECT_EQ(2, Tool({"report", "--csv", In("x"), "--chrome-trace", In("x"), In("a.trace")}).status);
  EXPECT_EQ(whole, ReadAll(In("a.trace")));
  // A file of somebody else's is not recorded to, and the program is not run.
  const ProgramRun refused = Tool({"record", "-o", In("text"), "echo", "ran"});
  EXPECT_EQ(126, refused.status);
  EXPECT_EQ("", refused.output);
  EXPECT_EQ("a letter\n", ReadAll(In("text")));
}

TEST_F(ReportTest, ProgramsThatItStartsAreRecordedWhereEachHasItsOwnFile) {
  const ProgramRun alone = Tool({"record", "-o", In("one"), "bash", "-c",
                                 "echo .$USERPAGER_TRACE.; /bin/true; /bin/true"});
  EXPECT_EQ(0, alone.status);
  EXPECT_EQ("..\n", alone.output);
  EXPECT_EQ("", alone.complaints);
  const ProgramRun each =
      Tool({"run", "--trace", In("each.%p"), "sh", "-c", "/bin/true; /bin/true; exit 0"});
  EXPECT_EQ(0, each.status) << each.complaints;
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    if (entry.path().filename().string().compare(0, 5, "each.") != 0) continue;
    ++files;
    EXPECT_EQ(0, Tool({"report", "--csv", "-", entry.path().string()}).status);
  }
  EXPECT_EQ(3u, files);
}

}  // namespace
}  // namespace userpager::programs
