// The table of Windows' cases (tests/api/windows_cases.txt) against the names of the tests, and
// against what the README says of both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace userpager::style {
namespace {

using Cases = std::set<std::string>;

struct Table {
  Cases held;
  Cases out;
  std::vector<std::string> complaints;
};

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Two capitals and a number.
bool IsCase(std::string_view word) {
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  return word.size() > 2 && std::isupper(static_cast<unsigned char>(word[0])) != 0 &&
         std::isupper(static_cast<unsigned char>(word[1])) != 0 &&
         std::all_of(word.begin() + 2, word.end(), is_digit);
}

Table ParseTable(const std::string& text) {
  Table table;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(": ");
    std::istringstream words(line.substr(0, colon));
    std::string kind;
    words >> kind;
    if (kind != "held" && kind != "out") table.complaints.push_back("of no kind: " + line);
    if ((kind == "out") != (colon != std::string::npos)) {
      table.complaints.push_back("a reason is missing, or is one too many: " + line);
    }
    for (std::string word; words >> word;) {
      if (!IsCase(word)) table.complaints.push_back("no case: " + word);
      const bool known = table.held.contains(word) || table.out.contains(word);
      if (known) table.complaints.push_back("twice: " + word);
      (kind == "held" ? table.held : table.out).insert(word);
    }
  }
  return table;
}

// The cases in the name of a test: its first words, as in VA9_VA11_ReservationsAreRounded.
void AddCasesOfName(std::string_view name, Cases* cases) {
  for (size_t end = name.find('_'); end != std::string_view::npos; end = name.find('_')) {
    if (!IsCase(name.substr(0, end))) return;
    cases->insert(std::string(name.substr(0, end)));
    name.remove_prefix(end + 1);
  }
}

Cases CasesOfTests(std::string_view text) {
  Cases cases;
  constexpr std::string_view kTest = "\nTEST";
  for (size_t at = text.find(kTest); at != std::string_view::npos; at = text.find(kTest, at + 1)) {
    const size_t comma = text.find(", ", at);
    if (comma == std::string_view::npos) break;
    const size_t end = text.find(')', comma);
    AddCasesOfName(text.substr(comma + 2, end - comma - 2), &cases);
  }
  return cases;
}

const std::filesystem::path& Root() {
  static const auto* root = new std::filesystem::path(USERPAGER_SOURCE_DIR);
  return *root;
}

Table TheTable() { return ParseTable(ReadFile(Root() / "tests/api/windows_cases.txt")); }

TEST(WindowsCases, EachThatIsHeldHasATestAndNoOther) {
  const Table table = TheTable();
  EXPECT_THAT(table.complaints, testing::IsEmpty());
  Cases tested;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(Root() / "tests")) {
    if (entry.path().extension() != ".cc" || entry.path().parent_path().filename() == "style") {
      continue;
    }
    tested.merge(CasesOfTests(ReadFile(entry.path())));
  }
  EXPECT_THAT(tested, testing::ContainerEq(table.held));
}

TEST(WindowsCases, TheReadmeCountsThem) {
  const Table table = TheTable();
  const std::string counts = std::to_string(table.held.size()) + " of " +
                             std::to_string(table.held.size() + table.out.size()) + " cases";
  EXPECT_THAT(ReadFile(Root() / "README.md"), testing::HasSubstr(counts));
}

TEST(WindowsCases, TheParsersComplain) {
  EXPECT_THAT(ParseTable("held VA1 VA2\nout VA3: why\n").complaints, testing::IsEmpty());
  for (const char* bad : {"held VA1 VA1\n", "out VA1\n", "held VA1: why\n", "maybe VA1\n",
                          "held VA\n", "held VA1\nout VA1: why\n"}) {
    EXPECT_THAT(ParseTable(bad).complaints, testing::Not(testing::IsEmpty())) << bad;
  }
  EXPECT_EQ(CasesOfTests("\nTEST_F(SomeTest, VA1_VA22_What) {\nTEST(Other, Name_VA3_What) {\n"),
            (Cases{"VA1", "VA22"}));
}

}  // namespace
}  // namespace userpager::style
