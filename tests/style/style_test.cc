// The rules of style_rules.h hold for every file of the checkout; and each rule does complain where
// it is broken.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/style/source_file.h"
#include "tests/style/style_rules.h"

namespace userpager::style {
namespace {

const std::vector<SourceFile>& Sources() {
  static const auto* files = new std::vector<SourceFile>(LoadSources(USERPAGER_SOURCE_DIR));
  return *files;
}

const std::vector<SourceFile>& Scripts() {
  static const auto* files = new std::vector<SourceFile>(LoadScripts(USERPAGER_SOURCE_DIR));
  return *files;
}

void ExpectKept(const std::vector<SourceFile>& files, Complaints (*rule)(const SourceFile&)) {
  ASSERT_FALSE(files.empty()) << "nothing to check under " << USERPAGER_SOURCE_DIR;
  for (const SourceFile& file : files) {
    for (const std::string& complaint : rule(file)) ADD_FAILURE() << complaint;
  }
}

// How often the rule complains about a file of that name and text.
size_t ComplaintsAbout(Complaints (*rule)(const SourceFile&), std::string_view path,
                       std::string_view text) {
  return rule(ParseSource(std::string(path), text)).size();
}

std::string Repeated(std::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all.append(text);
  return all;
}

TEST(Style, SourcesWereFound) {
  const auto has = [](std::string_view path) {
    return std::any_of(Sources().begin(), Sources().end(),
                       [path](const SourceFile& file) { return file.path == path; });
  };
  EXPECT_TRUE(has("runtime/base/arena.h"));
  EXPECT_TRUE(has("include/userpager/userpager.h"));
  EXPECT_TRUE(has("tests/style/style_test.cc"));
}

TEST(Style, RoomsIncludeOnlyRoomsAbove) { ExpectKept(Sources(), CheckRoomOrder); }
TEST(Style, FilesAreShort) { ExpectKept(Sources(), CheckFileLength); }
TEST(Style, LinesAreShort) { ExpectKept(Sources(), CheckLineLength); }
TEST(Style, LinesOfScriptsAreShort) { ExpectKept(Scripts(), CheckLineLength); }
TEST(Style, FunctionsAreShort) { ExpectKept(Sources(), CheckFunctionLength); }
TEST(Style, IncludeGuardsNameTheirPath) { ExpectKept(Sources(), CheckIncludeGuard); }
TEST(Style, RuntimeUsesNoHeap) { ExpectKept(Sources(), CheckNoHeap); }
TEST(Style, NothingIsMarkedUnfinished) { ExpectKept(Sources(), CheckNoUnfinishedWork); }
TEST(Style, NoScriptIsMarkedUnfinished) { ExpectKept(Scripts(), CheckNoUnfinishedWork); }
TEST(Style, PublicFunctionsAreDocumented) { ExpectKept(Sources(), CheckPublicDocumentation); }
TEST(Style, PublicHeadersStandAlone) { ExpectKept(Sources(), CheckPublicIncludes); }

TEST(StyleRules, RoomOrder) {
  const auto complaints = [](std::string_view path, std::string_view text) {
    return ComplaintsAbout(CheckRoomOrder, path, text);
  };
  EXPECT_EQ(1u, complaints("runtime/base/a.cc", "#include \"runtime/pager/pager.h\"\n"));
  EXPECT_EQ(1u, complaints("runtime/pager/a.cc", "#include <userpager/userpager.h>\n"));
  EXPECT_EQ(1u, complaints("runtime/pager/a.cc", "#include \"tests/support/seed.h\"\n"));
  EXPECT_EQ(1u, complaints("runtime/attic/a.cc", "int a;\n"));
  EXPECT_EQ(0u, complaints("runtime/pager/a.cc", "#include \"runtime/base/types.h\"\n"));
  EXPECT_EQ(0u, complaints("runtime/pager/a.cc", "#include \"runtime/pager/pager.h\"\n"));
  EXPECT_EQ(0u, complaints("runtime/api/a.cc", "#include \"userpager/userpager.h\"\n"));
  EXPECT_EQ(0u, complaints("tests/base/a.cc", "#include \"runtime/pager/pager.h\"\n"));
}

TEST(StyleRules, Lengths) {
  EXPECT_EQ(1u, ComplaintsAbout(CheckFileLength, "a.cc", Repeated("\n", kLongestFileLines + 1)));
  EXPECT_EQ(0u, ComplaintsAbout(CheckFileLength, "a.cc", Repeated("\n", kLongestFileLines)));
  EXPECT_EQ(1u, ComplaintsAbout(CheckLineLength, "a.cc", Repeated("x", kLongestLineColumns + 1)));
  EXPECT_EQ(0u, ComplaintsAbout(CheckLineLength, "a.cc", Repeated("ü", kLongestLineColumns)));
}

TEST(StyleRules, FunctionLength) {
  const auto complaints = [](const std::string& head, size_t lines, const std::string& tail) {
    return ComplaintsAbout(CheckFunctionLength, "a.cc",
                           head + Repeated("  F(\"{\");  // {\n", lines) + tail);
  };
  const size_t fits = kLongestFunctionLines - 2;
  EXPECT_EQ(0u, complaints("void F() {\n", fits, "}\n"));
  EXPECT_EQ(1u, complaints("void F() {\n", fits + 1, "}\n"));
  EXPECT_EQ(1u, complaints("void F(\n    int a) {\n", fits, "}\n"));
  EXPECT_EQ(1u, complaints("namespace a {\nclass B {\n public:\n  int F() const {\n", fits + 1,
                           "}\n};\n}\n"));
  EXPECT_EQ(1u, complaints("class ABSL_LOCKABLE B {\n  template <class T>\n  B() : a_(1) {\n", fits,
                           "}\n};\n"));
  EXPECT_EQ(1u, complaints("struct B* F(int a) {\n", fits + 1, "}\n"));
  EXPECT_EQ(0u, complaints("namespace {\n", 2 * fits, "}\n"));
  EXPECT_EQ(0u, complaints("struct A {\n", 2 * fits, "};\n"));
  EXPECT_EQ(0u, complaints("void F() {\n}\n\n", 2 * fits, "void G() {\n}\n"));
}

TEST(StyleRules, IncludeGuard) {
  const auto complaints = [](std::string_view path, const std::string& guard) {
    return ComplaintsAbout(CheckIncludeGuard, path,
                           "#ifndef " + guard + "\n#define " + guard + "\n#endif\n");
  };
  EXPECT_EQ(0u, complaints("runtime/base/arena.h", "USERPAGER_BASE_ARENA_H_"));
  EXPECT_EQ(1u, complaints("runtime/base/arena.h", "USERPAGER_ARENA_H_"));
  EXPECT_EQ(0u, complaints("include/userpager/memory.hpp", "USERPAGER_MEMORY_HPP_"));
  EXPECT_EQ(0u, complaints("tests/support/seed.h", "USERPAGER_TESTS_SUPPORT_SEED_H_"));
  EXPECT_EQ(0u, complaints("runtime/base/arena.cc", "ANYTHING"));
}

TEST(StyleRules, Heap) {
  const auto complaints = [](std::string_view text) {
    return ComplaintsAbout(CheckNoHeap, "runtime/pager/a.cc", text);
  };
  for (const std::string_view bad :
       {"p = malloc(3);", "  free(p);", "int* p = new int;", "p = new int[3];", "delete p;",
        "std::string s;", "std::function<void()> f;", "std::vector<int> v;", "#include <iostream>",
        "#include <string>", "auto p = std::make_unique<int>();", "std::cerr << 1;",
        "T* t = new T(3);", "T* t = new (std::nothrow) T;"}) {
    EXPECT_EQ(1u, complaints(bad)) << bad;
  }
  for (const std::string_view good :
       {"std::string_view s;", "new (block) T(3);", "Arena::Free(p, 3);", "list.free(3);",
        "// malloc(3) is not for us", "Log(\"malloc(3)\");", "A(const A&) = delete;",
        "#include <string_view>", "slots.free();", "bool is_new = true;", "std::mapping m;"}) {
    EXPECT_EQ(0u, complaints(good)) << good;
  }
  EXPECT_EQ(0u, ComplaintsAbout(CheckNoHeap, "runtime/cli/a.cc", "std::string s;"));
  EXPECT_EQ(0u, ComplaintsAbout(CheckNoHeap, "tests/base/a.cc", "std::string s;"));
}

TEST(StyleRules, UnfinishedWork) {
  // Put together here, so that this file keeps its own rule.
  const std::string first = std::string("TO") + "DO";
  const std::string second = std::string("FIX") + "ME";
  EXPECT_EQ(1u, ComplaintsAbout(CheckNoUnfinishedWork, "a.cc", "// " + first + ": more\n"));
  EXPECT_EQ(1u, ComplaintsAbout(CheckNoUnfinishedWork, "a.cc", "f();  // " + second + "\n"));
  EXPECT_EQ(0u, ComplaintsAbout(CheckNoUnfinishedWork, "a.cc", "// Todor was here\n"));
}

TEST(StyleRules, PublicHeaders) {
  static constexpr std::string_view kPath = "include/userpager/a.h";
  const auto undocumented = [](std::string_view text) {
    return ComplaintsAbout(CheckPublicDocumentation, kPath, text);
  };
  EXPECT_EQ(1u, undocumented("USERPAGER_API int f(void);\n"));
  EXPECT_EQ(1u, undocumented("/* Says. */\n\nUSERPAGER_API int f(void);\n"));
  EXPECT_EQ(0u, undocumented("/* Says. */\nUSERPAGER_API int f(void);\n"));
  EXPECT_EQ(1u, undocumented("class region {\n"));
  EXPECT_EQ(0u, undocumented("// Says.\ntemplate <class T>\nclass allocator {\n"));
  EXPECT_EQ(0u, undocumented("class region;\n"));
  EXPECT_EQ(1u, ComplaintsAbout(CheckPublicIncludes, kPath, "#include \"absl/types/span.h\"\n"));
  EXPECT_EQ(1u, ComplaintsAbout(CheckPublicIncludes, kPath, "#include \"runtime/base/a.h\"\n"));
  EXPECT_EQ(0u, ComplaintsAbout(CheckPublicIncludes, kPath, "#include <stdint.h>\n"));
}

}  // namespace
}  // namespace userpager::style
