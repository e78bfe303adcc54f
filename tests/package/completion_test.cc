// bash completion of the tool: its commands and options, and the wrapped program's own words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/package/command.h"

namespace userpager::package {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

constexpr std::string_view kBashCompletion = "/usr/share/bash-completion/bash_completion";
constexpr std::string_view kOurs = USERPAGER_SOURCE_DIR "/runtime/cli/package/userpager.bash";

class Completion : public testing::Test {
 protected:
  void SetUp() override {
    if (RunShell("command -v bash").status != 0) GTEST_SKIP() << "bash is missing";
    std::string pattern = (fs::temp_directory_path() / "userpager_completion_XXXXXX").string();
    ASSERT_NE(nullptr, mkdtemp(pattern.data()));
    folder_ = pattern;
    fs::create_symlink(USERPAGER_TOOL, folder_ / "userpager");
  }
  void TearDown() override {
    std::error_code error;
    if (!folder_.empty()) fs::remove_all(folder_, error);
  }

  // What is offered for the last of the words. `general`: the package bash-completion is loaded.
  std::vector<std::string> Offered(std::vector<std::string> words, bool general) const {
    std::string script = "cd " + ShellLine({folder_.string()}) + "; PATH=$PWD:$PATH; ";
    if (general) script += ". " + std::string(kBashCompletion) + "; ";
    script += ". " + std::string(kOurs) + "; COMP_WORDS=(";
    std::string line;
    for (const std::string& word : words) {
      script += ShellLine({word}) + ' ';
      line += (line.empty() ? "" : " ") + word;
    }
    script += "); COMP_CWORD=" + std::to_string(words.size() - 1) +
              "; COMP_LINE=" + ShellLine({line}) + "; COMP_POINT=" + std::to_string(line.size()) +
              "; _userpager userpager '' ''; printf '%s\\n' \"${COMPREPLY[@]}\"";
    const CommandResult result = RunShell(ShellLine({"bash", "--norc", "-c", script}));
    EXPECT_EQ(0, result.status) << result.output;
    std::vector<std::string> offered;
    for (std::string text : SplitLines(result.output)) {
      text.erase(text.find_last_not_of(' ') + 1);
      if (!text.empty()) offered.push_back(text);
    }
    return offered;
  }

  fs::path folder_;
};

TEST_F(Completion, OfTheToolsOwnWords) {
  EXPECT_THAT(Offered({"userpager", ""}, false), IsSupersetOf({"run", "doctor", "--help"}));
  EXPECT_THAT(Offered({"userpager", "doc"}, false), ElementsAre("doctor"));
  EXPECT_THAT(Offered({"userpager", "run", "--"}, false),
              IsSupersetOf({"--memory", "--page-file", "--commit", "--verbose"}));
  EXPECT_THAT(Offered({"userpager", "run", "--page-file-"}, false),
              ElementsAre("--page-file-max"));
  EXPECT_THAT(Offered({"userpager", "doctor", "--p"}, false), ElementsAre("--page-file"));
  EXPECT_THAT(Offered({"userpager", "run", "--verbose", "--commit", ""}, false),
              ElementsAre("lazy", "strict"));
  EXPECT_THAT(Offered({"userpager", "run", "--commit", "=", "s"}, false), ElementsAre("strict"));
  EXPECT_THAT(Offered({"userpager", "run", "--children", "=", "n"}, false), ElementsAre("none"));
  EXPECT_THAT(Offered({"userpager", "run", "--page-file", "user"}, false),
              ElementsAre("userpager"));
}

// What stands in an example is no option, and what is run's is record's too.
TEST_F(Completion, OfRecordAndReport) {
  EXPECT_THAT(Offered({"userpager", "report", "--"}, false),
              UnorderedElementsAre("--chrome-trace", "--csv", "--help", "--output"));
  EXPECT_THAT(Offered({"userpager", "report", ""}, false), ElementsAre("userpager"));
  EXPECT_THAT(Offered({"userpager", "report", "--csv", "out", ""}, false),
              ElementsAre("userpager"));
  EXPECT_THAT(Offered({"userpager", "record", "--"}, false),
              IsSupersetOf({"--callers", "--memory", "--page-file", "--children"}));
  EXPECT_THAT(Offered({"userpager", "record", "-o", "x", "--memory", "6"}, false),
              ElementsAre("64M"));
  EXPECT_THAT(Offered({"userpager", "record", "--memory", "1G", "userp"}, false),
              Contains("userpager"));
}

TEST_F(Completion, OfProcesses) {
  // One announces itself by a file of this name.
  const std::string pid = std::to_string(getpid());
  std::ofstream(folder_ / ("userpager-" + pid + "-7")) << "";
  std::ofstream(folder_ / "userpager-1999999999-7") << "";
  setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  for (const char* command : {"stat", "top", "limit"}) {
    EXPECT_THAT(Offered({"userpager", command, ""}, false),
                AllOf(Contains(pid), Contains("package_complet"), Not(Contains("1999999999"))))
        << command;
  }
  EXPECT_THAT(Offered({"userpager", "limit", pid, "256"}, false), ElementsAre("256M"));
  EXPECT_THAT(Offered({"userpager", "stat", pid, ""}, false), Not(Contains(pid)));
  unsetenv("XDG_RUNTIME_DIR");
}

TEST_F(Completion, OfTheProgramByItself) {
  const std::vector<std::string> programs = Offered({"userpager", "run", "--", "userp"}, false);
  EXPECT_THAT(programs, Contains("userpager"));
  EXPECT_THAT(Offered({"userpager", "run", "--memory", "1G", "userp"}, false),
              Contains("userpager"));
  // Behind its name are files.
  EXPECT_THAT(Offered({"userpager", "run", "true", "user"}, false), ElementsAre("userpager"));
  // Options there are not ours.
  EXPECT_THAT(Offered({"userpager", "run", "true", "--mem"}, false),
              Not(Contains("--memory")));
}

TEST_F(Completion, OfTheProgramsOwnWords) {
  if (!fs::exists(kBashCompletion)) GTEST_SKIP() << "the package bash-completion is missing";
  // The wrapped program whose completion is known is the tool again.
  EXPECT_THAT(Offered({"userpager", "run", "--", "userp"}, true), Contains("userpager"));
  EXPECT_THAT(Offered({"userpager", "run", "--", "userpager", "doc"}, true),
              ElementsAre("doctor"));
  EXPECT_THAT(Offered({"userpager", "run", "--memory", "1G", "userpager", "run", "--verb"}, true),
              ElementsAre("--verbose"));
  EXPECT_THAT(
      Offered({"userpager", "run", "--", "userpager", "run", "--", "userpager", "doc"}, true),
      ElementsAre("doctor"));
}

}  // namespace
}  // namespace userpager::package
