// The installed package serves programs in C and C++, found by CMake and by pkg-config, wherever
// the tree was moved to.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "tests/package/command.h"

namespace userpager::package {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConsumerInC = R"(
#include <stdio.h>
#include <string.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

int main(void) {
  if (userpager_start(NULL) != 0) {
    puts(userpager_error_message());
    return 77;
  }
  char* memory = (char*)VirtualAlloc(NULL, 65536, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (memory == NULL) return 1;
  strcpy(memory + 5000, "paged");
  if (strcmp(memory + 5000, "paged") != 0 || memory[0] != 0) return 2;
  return VirtualFree(memory, 0, MEM_RELEASE) ? 0 : 3;
}
)";

constexpr std::string_view kConsumerInCxx = R"(
#include <cstdio>
#include <userpager/memory.hpp>
#include <userpager/userpager.h>
#include <vector>

int main() {
  if (userpager_start(nullptr) != 0) {
    std::puts(userpager_error_message());
    return 77;
  }
  std::vector<int, userpager::allocator<int>> numbers;
  for (int i = 0; i < 100000; ++i) numbers.push_back(i);
  long sum = 0;
  for (const int i : numbers) sum += i;
  return sum == 4999950000 ? 0 : 2;
}
)";

constexpr std::string_view kConsumerProject = R"(
cmake_minimum_required(VERSION 3.22)
project(consumer LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(userpager 0.1 REQUIRED)
add_executable(consumer_c consumer.c)
target_link_libraries(consumer_c PRIVATE userpager::userpager)
add_executable(consumer_cxx consumer.cc)
target_link_libraries(consumer_cxx PRIVATE userpager::userpager)
# The samples as they are, with the library that is installed.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
add_library(userpager_warnings INTERFACE)
add_subdirectory("${SAMPLES}" samples)
)";

// The first block of that language in README.md.
std::string ReadmeExample(std::string_view language) {
  std::ifstream file(fs::path(USERPAGER_SOURCE_DIR) / "README.md", std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const std::string fence = "\n```" + std::string(language) + "\n";
  const size_t begin = text.find(fence);
  if (begin == std::string::npos) return {};
  const size_t end = text.find("\n```\n", begin + fence.size());
  return text.substr(begin + fence.size(), end + 1 - begin - fence.size());
}

void WriteFile(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A folder with the installed tree and the sources of two programs that use it.
class InstalledPackage : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "userpager_install_XXXXXX").string();
    ASSERT_NE(nullptr, mkdtemp(pattern.data()));
    folder_ = pattern;
    const fs::path first = folder_ / "first";
    const CommandResult installed = RunShell(ShellLine(
        {USERPAGER_CMAKE, "--install", USERPAGER_BINARY_DIR, "--prefix", first.string()}));
    ASSERT_EQ(0, installed.status) << installed.output;
    fs::rename(first, prefix());
    WriteFile(folder_ / "consumer.c", kConsumerInC);
    WriteFile(folder_ / "consumer.cc", kConsumerInCxx);
    WriteFile(folder_ / "CMakeLists.txt", kConsumerProject);
  }

  void TearDown() override {
    std::error_code error;
    if (!folder_.empty()) fs::remove_all(folder_, error);
  }

  fs::path prefix() const { return folder_ / "moved"; }

  std::string FileUnderPrefix(std::string_view name) const {
    for (const auto& entry : fs::recursive_directory_iterator(prefix())) {
      if (entry.path().filename() == name) return entry.path().string();
    }
    return {};
  }

  // Compile one file with the flags that pkg-config gives.
  CommandResult CompileC(const fs::path& source, const std::string& program) const {
    return Compile(USERPAGER_C_COMPILER, "-std=c11", source, program);
  }
  CommandResult CompileCxx(const fs::path& source, const std::string& program) const {
    return Compile(USERPAGER_CXX_COMPILER, "-std=c++20", source, program);
  }

  void ExpectRuns(const fs::path& program, const std::string& environment) const {
    const CommandResult ran = RunShell(environment + ShellLine({program.string()}));
    if (ran.status == 77) GTEST_SKIP() << "the pager cannot start here: " << ran.output;
    EXPECT_EQ(0, ran.status) << ran.output;
  }

  fs::path folder_;

 private:
  CommandResult Compile(std::string_view compiler, std::string_view standard,
                        const fs::path& source, const std::string& program) const {
    const fs::path pc = FileUnderPrefix("userpager.pc");
    const std::string search = "PKG_CONFIG_PATH=" + ShellLine({pc.parent_path().string()});
    return RunShell(ShellLine({compiler, standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                               source.string(), "-o", program}) +
                    " $(" + search + " pkg-config --cflags --libs userpager)");
  }
};

TEST_F(InstalledPackage, HasItsFiles) {
  for (const std::string_view name :
       {"virtual_alloc.h", "userpager.h", "memory.hpp", USERPAGER_SONAME, "libuserpager.so",
        "userpager.pc", "userpager-config.cmake", "userpager-config-version.cmake",
        "VirtualAlloc.3userpager.gz"}) {
    EXPECT_NE("", FileUnderPrefix(name)) << name;
  }
}

TEST_F(InstalledPackage, IsFoundByCMakeAndBuildsTheSamples) {
  const std::string build = (folder_ / "build").string();
  const CommandResult configured =
      RunShell(ShellLine({USERPAGER_CMAKE, "-S", folder_.string(), "-B", build,
                          "-DCMAKE_PREFIX_PATH=" + prefix().string(),
                          "-DSAMPLES=" USERPAGER_SOURCE_DIR "/samples",
                          std::string("-DCMAKE_C_COMPILER=") + USERPAGER_C_COMPILER,
                          std::string("-DCMAKE_CXX_COMPILER=") + USERPAGER_CXX_COMPILER}));
  ASSERT_EQ(0, configured.status) << configured.output;
  const CommandResult built =
      RunShell(ShellLine({USERPAGER_CMAKE, "--build", build, "--parallel", "2"}));
  ASSERT_EQ(0, built.status) << built.output;
  ExpectRuns(folder_ / "build" / "consumer_c", "");
  ExpectRuns(folder_ / "build" / "consumer_cxx", "");
  for (const std::string_view sample : {"containers", "gc_heap", "reserve_commit", "word_index"}) {
    EXPECT_TRUE(fs::exists(folder_ / "build" / "samples" / sample)) << sample;
  }
  ExpectRuns(folder_ / "build" / "samples" / "reserve_commit", "");
}

TEST_F(InstalledPackage, IsFoundByPkgConfig) {
  const std::string in_c = (folder_ / "consumer_c").string();
  const std::string in_cxx = (folder_ / "consumer_cxx").string();
  const CommandResult c = CompileC(folder_ / "consumer.c", in_c);
  ASSERT_EQ(0, c.status) << c.output;
  const CommandResult cxx = CompileCxx(folder_ / "consumer.cc", in_cxx);
  ASSERT_EQ(0, cxx.status) << cxx.output;
  const fs::path library = FileUnderPrefix("libuserpager.so");
  const std::string path = "LD_LIBRARY_PATH=" + ShellLine({library.parent_path().string()}) + " ";
  ExpectRuns(in_c, path);
  ExpectRuns(in_cxx, path);
}

TEST_F(InstalledPackage, ExamplesOfTheReadmeCompile) {
  const std::string in_c = ReadmeExample("c");
  const std::string in_cxx = ReadmeExample("cpp");
  ASSERT_NE("", in_c);
  ASSERT_NE("", in_cxx);
  WriteFile(folder_ / "example.c", in_c);
  WriteFile(folder_ / "example.cc", in_cxx);
  const std::string program = (folder_ / "example").string();
  const CommandResult c = CompileC(folder_ / "example.c", program);
  EXPECT_EQ(0, c.status) << c.output;
  const CommandResult cxx = CompileCxx(folder_ / "example.cc", program);
  EXPECT_EQ(0, cxx.status) << cxx.output;
}

}  // namespace
}  // namespace userpager::package
