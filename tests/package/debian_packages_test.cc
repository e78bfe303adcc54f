// The Debian packages: what is in them, that lintian finds no error, that the manual pages are
// readable and complete, and that dpkg installs and removes them without leaving anything behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/package/command.h"

namespace userpager::package {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;

using Names = std::set<std::string>;

bool IsThere(std::string_view program) {
  return RunShell("command -v " + ShellLine({program})).status == 0;
}

// The packages, built once for all tests, and what they hold, unpacked over each other.
class DebianPackages : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string pattern = (fs::temp_directory_path() / "userpager_debs_XXXXXX").string();
    ASSERT_NE(nullptr, mkdtemp(pattern.data()));
    folder_ = pattern;
    if (!IsThere("dpkg-deb") || !IsThere("dpkg-shlibdeps")) return;
    // The rights of what is packed are not to depend on the user's mask.
    const CommandResult built = RunShell(
        "umask 022 && cd " + ShellLine({folder_.string()}) + " && " +
        ShellLine({USERPAGER_CPACK, "--config", USERPAGER_BINARY_DIR "/CPackConfig.cmake", "-B",
                   (folder_ / "debs").string()}));
    ASSERT_EQ(0, built.status) << built.output;
    for (const auto& entry : fs::directory_iterator(folder_ / "debs")) {
      if (entry.path().extension() != ".deb") continue;
      const std::string file = entry.path().filename().string();
      const std::string name = file.substr(0, file.find('_'));
      packages_.insert(name);
      files_ += " " + ShellLine({entry.path().string()});
      const CommandResult unpacked = RunShell(
          ShellLine({"dpkg-deb", "--extract", entry.path().string(), (folder_ / name).string()}) +
          " && " +
          ShellLine({"dpkg-deb", "--extract", entry.path().string(), root().string()}));
      ASSERT_EQ(0, unpacked.status) << unpacked.output;
    }
  }
  static void TearDownTestSuite() {
    std::error_code error;
    if (!folder_.empty()) fs::remove_all(folder_, error);
  }
  void SetUp() override {
    if (packages_.empty()) GTEST_SKIP() << "dpkg-deb or dpkg-shlibdeps is missing: not Debian";
  }

  static fs::path root() { return folder_ / "root"; }

  // The paths of all that is no folder, from the package's root on.
  static Names FilesOf(const std::string& package) {
    Names names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / package)) {
      if (entry.is_directory()) continue;
      names.insert(entry.path().lexically_relative(folder_ / package).string());
    }
    return names;
  }
  static std::string Field(const std::string& package, std::string_view field) {
    return RunShell("dpkg-deb --field " +
                    ShellLine({(folder_ / "debs").string() + "/" + package}) + "_*.deb " +
                    ShellLine({field}))
        .output;
  }

  static inline fs::path folder_;
  static inline Names packages_;
  static inline std::string files_;  // as a line of shell
};

TEST_F(DebianPackages, HoldWhatTheyAreFor) {
  EXPECT_EQ((Names{"libuserpager0", "libuserpager-dev", "userpager"}), packages_);
  const std::string libraries = "usr/" USERPAGER_LIBDIR "/";
  EXPECT_THAT(FilesOf("libuserpager0"),
              testing::UnorderedElementsAre(
                  libraries + USERPAGER_SONAME,
                  testing::StartsWith(libraries + USERPAGER_SONAME "."),
                  "usr/share/doc/libuserpager0/copyright",
                  "usr/share/doc/libuserpager0/changelog.gz"));
  EXPECT_THAT(FilesOf("libuserpager-dev"),
              IsSupersetOf(Names{"usr/include/userpager/virtual_alloc.h",
                                 "usr/include/userpager/memory.hpp", libraries + "libuserpager.so",
                                 libraries + "pkgconfig/userpager.pc",
                                 libraries + "cmake/userpager/userpager-config.cmake",
                                 "usr/share/man/man3/VirtualAlloc.3userpager.gz"}));
  EXPECT_THAT(FilesOf("userpager"),
              testing::UnorderedElementsAre(
                  "usr/bin/userpager", libraries + "libuserpager_preload.so",
                  "usr/share/bash-completion/completions/userpager",
                  "usr/share/doc/userpager/changelog.gz", "usr/share/doc/userpager/copyright",
                  "usr/share/man/man1/userpager.1.gz", "usr/share/man/man7/userpager.7.gz",
                  "usr/share/userpager/60-userpager.conf",
                  "usr/share/userpager/60-userpager.rules"))
      << "a right is given by nothing that is installed";
  EXPECT_THAT(Field("libuserpager-dev", "Depends"), HasSubstr("libuserpager0 (= "));
  EXPECT_THAT(Field("libuserpager0", "Depends"), HasSubstr("libc6 (>= "));
  EXPECT_THAT(Field("userpager", "Depends"), Not(HasSubstr("libuserpager0")));
}

TEST_F(DebianPackages, LintianFindsNoError) {
  if (!IsThere("lintian")) GTEST_SKIP() << "lintian is missing";
  const CommandResult result = RunShell("lintian --fail-on error --no-cfg" + files_);
  EXPECT_EQ(0, result.status) << result.output;
}

TEST_F(DebianPackages, TheRuleIsWhatTheManualSays) {
  std::ifstream file(root() / "usr/share/userpager/60-userpager.rules");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_THAT(text, HasSubstr("\nSUBSYSTEM==\"misc\", KERNEL==\"userfaultfd\", GROUP=\"userpager\","
                              " MODE=\"0660\"\n"));
  const CommandResult manual =
      RunShell("gzip -dc " + ShellLine({(root() / "usr/share/man/man7/userpager.7.gz").string()}));
  for (const std::string_view command :
       {"groupadd --system userpager", "usermod --append --groups userpager NAME",
        "udevadm control --reload", "udevadm trigger --name-match=userfaultfd"}) {
    EXPECT_THAT(text, HasSubstr("#   " + std::string(command) + "\n"));
    EXPECT_THAT(std::regex_replace(manual.output, std::regex(R"(\\-)"), "-"),
                HasSubstr("\n" + std::string(command) + "\n"));
  }
}

TEST_F(DebianPackages, ManualPagesAreReadable) {
  if (!IsThere("man")) GTEST_SKIP() << "man is missing";
  // What goes wrong is on standard error. References to other pages are from the folder above.
  const CommandResult result = RunShell(
      "cd " + ShellLine({(root() / "usr/share/man").string()}) +
      " && MANWIDTH=100 LC_ALL=C.UTF-8 man --warnings=w --local-file man*/* 2>&1 "
      ">/dev/null");
  EXPECT_EQ(0, result.status);
  EXPECT_EQ("", result.output);
}

TEST_F(DebianPackages, EachFunctionHasAManualPage) {
  const Names files = FilesOf("libuserpager-dev");
  const std::regex declaration(R"(\nUSERPAGER_API\s[^;(]*?(\w+)\s*\()");
  size_t functions = 0;
  for (const auto& entry : fs::directory_iterator(root() / "usr/include/userpager")) {
    std::ifstream file(entry.path());
    const std::string text(std::istreambuf_iterator<char>(file), {});
    for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at) {
      const std::string name = (*at)[1];
      EXPECT_TRUE(files.contains("usr/share/man/man3/" + name + ".3userpager.gz")) << name;
      ++functions;
    }
  }
  EXPECT_GT(functions, 40u);
}

// What --help tells of is in userpager(1).
TEST_F(DebianPackages, TheManualKnowsEachCommandAndOption) {
  const std::string raw =
      RunShell("gzip -dc " + ShellLine({(root() / "usr/share/man/man1/userpager.1.gz").string()}))
          .output;
  const std::string manual = std::regex_replace(raw, std::regex(R"(\\-)"), "-");
  const std::string all = RunShell(ShellLine({USERPAGER_TOOL, "--help"})).output;
  const std::regex command_line(R"(\n  ([a-z]+)  )");
  const std::regex option(R"(--[a-z][a-z-]*)");
  size_t commands = 0;
  for (std::sregex_iterator at(all.begin(), all.end(), command_line), end; at != end; ++at) {
    const std::string command = (*at)[1];
    ++commands;
    EXPECT_THAT(manual, HasSubstr("\n.SS userpager " + command + "\n"));
    const std::string help = RunShell(ShellLine({USERPAGER_TOOL, command, "--help"})).output;
    for (std::sregex_iterator o(help.begin(), help.end(), option); o != end; ++o) {
      const std::regex word(o->str() + R"((?![a-z-]))");
      EXPECT_TRUE(std::regex_search(manual, word))
          << "runtime/cli/man/userpager.1 has no " << o->str() << " of userpager " << command;
    }
  }
  EXPECT_GE(commands, 2u) << all;
}

// As root on the machine's own files, which it is given a copy-on-write view of.
TEST_F(DebianPackages, AreInstalledAndRemovedCleanly) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can install packages";
  const std::string scratch = (folder_ / "scratch").string();
  fs::create_directory(scratch);
  const std::string script = USERPAGER_SOURCE_DIR "/tests/package/install_and_remove.sh";
  const CommandResult result =
      RunShell(ShellLine({"unshare", "--mount", "--propagation", "private", "bash", script,
                          scratch}) +
               files_);
  if (result.status == 77) GTEST_SKIP() << result.output;
  EXPECT_EQ(0, result.status) << result.output;
}

}  // namespace
}  // namespace userpager::package
