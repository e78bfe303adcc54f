// What libuserpager.so is made of: whom it needs, what it exports, and what its objects call.
#include <gtest/gtest.h>

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

using Names = std::set<std::string>;

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// All first captures of the expression in the text.
Names Captures(const std::string& text, const std::string& expression) {
  const std::regex pattern(expression);
  Names names;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    names.insert((*match)[1].str());
  }
  return names;
}

std::string DynamicSection() {
  const CommandResult result = RunShell(ShellLine({"readelf", "-dW", USERPAGER_LIBRARY}));
  EXPECT_EQ(0, result.status) << result.output;
  return result.output;
}

TEST(SharedLibrary, NeedsNoAbseilAndNoUring) {
  const Names needed = Captures(DynamicSection(), R"(\(NEEDED\)[^\[]*\[([^\]]*)\])");
  EXPECT_TRUE(needed.contains("libc.so.6"));
  for (const std::string& name : needed) {
    EXPECT_EQ(std::string::npos, name.find("absl")) << name;
    EXPECT_EQ(std::string::npos, name.find("uring")) << name;
  }
}

TEST(SharedLibrary, HasItsSoname) {
  const Names sonames = Captures(DynamicSection(), R"(\(SONAME\)[^\[]*\[([^\]]*)\])");
  EXPECT_EQ(Names{USERPAGER_SONAME}, sonames);
}

TEST(SharedLibrary, ResolvesAtStart) {
  // A function resolved on its first call could be resolved inside a fault.
  EXPECT_TRUE(std::regex_search(DynamicSection(), std::regex(R"(BIND_NOW|\bNOW\b)")));
}

TEST(SharedLibrary, ExportsThePublicFunctionsAlone) {
  Names declared;
  const std::filesystem::path folder = std::filesystem::path(USERPAGER_SOURCE_DIR) / "include";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    declared.merge(Captures(ReadAll(entry.path()), R"(\nUSERPAGER_API\s[^;(]*?(\w+)\s*\()"));
  }
  ASSERT_TRUE(declared.contains("VirtualAlloc"));
  // The C library's, which the library has as well, for SIGSEGV and SIGBUS.
  declared.merge(Names{"sigaction", "signal", "__sysv_signal"});

  const CommandResult result = RunShell(
      ShellLine({"nm", "--dynamic", "--defined-only", "--format=posix", USERPAGER_LIBRARY}));
  ASSERT_EQ(0, result.status) << result.output;
  Names exported;
  for (const std::string& line : SplitLines(result.output)) {
    const std::string name = line.substr(0, line.find_first_of("@ "));
    // The version itself is an absolute symbol.
    if (name.rfind("USERPAGER_", 0) != 0) exported.insert(name);
  }
  EXPECT_EQ(declared, exported);
}

TEST(SharedLibrary, ObjectsCallNeitherTheHeapNorExceptions) {
  const std::vector<std::string> objects = SplitLines(ReadAll(USERPAGER_OBJECT_LIST));
  ASSERT_FALSE(objects.empty());
  // Named without being called: operator delete (_ZdlPvm), by the deleting destructor of a class
  // with a virtual one; __throw_system_error, by std::atomic::wait, for a futex call that went
  // wrong.
  const std::regex forbidden(
      R"(^(malloc|calloc|realloc|free|strdup|posix_memalign|aligned_alloc|_Znwm|_Znam|_ZnwmSt.*)"
      R"(|_ZSt\d+__throw_(?!system_error).*|__cxa_throw|__cxa_allocate_exception|__dynamic_cast)"
      R"(|_ZNSo.*|_ZSt4cout)"
      R"(|printf|fprintf|snprintf|vsnprintf|fopen|getline)$)");
  for (const std::string& object : objects) {
    const CommandResult result =
        RunShell(ShellLine({"nm", "--undefined-only", "--format=posix", object}));
    ASSERT_EQ(0, result.status) << result.output;
    for (const std::string& line : SplitLines(result.output)) {
      const std::string name = line.substr(0, line.find(' '));
      EXPECT_FALSE(std::regex_match(name, forbidden)) << object << " calls " << name;
    }
  }
}

TEST(SharedLibrary, HasNoTextRelocationsAndNoExecutableStack) {
  EXPECT_EQ(std::string::npos, DynamicSection().find("TEXTREL"));
  const CommandResult result = RunShell(ShellLine({"readelf", "-lW", USERPAGER_LIBRARY}));
  ASSERT_EQ(0, result.status) << result.output;
  EXPECT_TRUE(std::regex_search(result.output, std::regex(R"(GNU_STACK[^\n]* RW )")))
      << result.output;
}

}  // namespace
}  // namespace userpager::package
