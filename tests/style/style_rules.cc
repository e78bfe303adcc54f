#include "tests/style/style_rules.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>
#include <string_view>

namespace userpager::style {
namespace {

// Each room may include those before it. `observe` stands so early because it is pure counters that
// the rooms below write.
constexpr std::array<std::string_view, 12> kRooms = {
    "base",      "observe", "platform", "address_space", "frames",  "policy",
    "page_file", "pager",   "api",      "heap",          "preload", "cli"};
constexpr std::string_view kFirstRoomWithPublicHeaders = "api";
// A program of its own, not a part of the library.
constexpr std::string_view kRoomWithHeap = "cli";
// Defines malloc and its family.
constexpr std::string_view kFileThatIsTheHeap = "runtime/heap/exports.cc";

size_t RankOf(std::string_view room) {
  return static_cast<size_t>(std::find(kRooms.begin(), kRooms.end(), room) - kRooms.begin());
}

std::string At(const SourceFile& file, size_t line) {
  return file.path + ":" + std::to_string(line) + ": ";
}

// The path between the quotes or brackets of an #include line; "" for any other line.
std::string IncludedPath(const std::string& line) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*["<]([^">]+)[">])re");
  std::smatch match;
  return std::regex_search(line, match, kInclude) ? match[1].str() : std::string();
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

std::string RoomComplaint(const SourceFile& file, const std::string& path) {
  for (const std::string_view outside : {"tests/", "bench/", "samples/"}) {
    if (StartsWith(path, outside)) return "the runtime includes " + path;
  }
  if (StartsWith(path, "userpager/") && RankOf(file.room()) < RankOf(kFirstRoomWithPublicHeaders)) {
    return "only api and the rooms below it know the public headers, not " +
           std::string(file.room());
  }
  const size_t slash = path.find('/', std::string_view("runtime/").size());
  if (!StartsWith(path, "runtime/") || slash == std::string::npos) return {};
  const std::string room = path.substr(8, slash - 8);
  if (RankOf(room) <= RankOf(file.room())) return {};
  return std::string(file.room()) + " includes " + path + ", a room below it";
}

size_t ColumnsOf(const std::string& line) {
  return static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;  // not inside a UTF-8 character
  }));
}

// The head of a block, such as "int Foo(int a) const", without template parameters, which may hold
// the word class, and without preprocessor lines.
std::string SimplifiedHead(std::string head) {
  static const std::regex kDirective(R"((^|\n)\s*#[^\n]*)");
  static const std::regex kTemplate(R"(template\s*<[^<>]*(<[^<>]*>[^<>]*)*>)");
  static const std::regex kAccess(R"(\b(public|private|protected)\s*:)");
  head = std::regex_replace(head, kDirective, " ");
  head = std::regex_replace(head, kTemplate, " ");
  return std::regex_replace(head, kAccess, " ");
}

enum class Block { kTransparent, kFunction, kOther };

Block KindOf(const std::string& head) {
  static const std::regex kScope(
      R"(^\s*(inline\s+|typedef\s+|export\s+)*(namespace|class|struct|union|enum|extern)\b)");
  static const std::regex kNamedFunction(R"(\w\s*\()");
  const std::string simple = SimplifiedHead(head);
  const bool ends_in_parameters = simple.find(')') != std::string::npos;
  const bool is_class = std::regex_search(simple, std::regex(R"(\b(class|struct)\s+ABSL_)"));
  if (std::regex_search(simple, kScope) && (is_class || !ends_in_parameters)) {
    return Block::kTransparent;
  }
  return std::regex_search(simple, kNamedFunction) ? Block::kFunction : Block::kOther;
}

size_t MatchingBrace(const std::string& code, size_t open) {
  size_t depth = 0;
  for (size_t i = open; i < code.size(); ++i) {
    if (code[i] == '{') ++depth;
    if (code[i] == '}' && --depth == 0) return i;
  }
  return code.size();
}

bool IsPublicHeader(const SourceFile& file) { return StartsWith(file.path, "include/"); }

bool IsHeader(const SourceFile& file) {
  return file.extension() == "h" || file.extension() == "hpp";
}

bool EndsComment(const std::string& line) {
  const size_t last = line.find_last_not_of(' ');
  if (last == std::string::npos) return false;
  const size_t first = line.find_first_not_of(' ');
  return StartsWith(std::string_view(line).substr(first), "//") ||
         (last > 0 && line.compare(last - 1, 2, "*/") == 0);
}

}  // namespace

Complaints CheckRoomOrder(const SourceFile& file) {
  Complaints complaints;
  if (file.room().empty()) return complaints;
  if (RankOf(file.room()) == kRooms.size()) {
    complaints.push_back(At(file, 1) + "the list of rooms has no " + std::string(file.room()));
    return complaints;
  }
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const std::string complaint = RoomComplaint(file, IncludedPath(file.lines[i]));
    if (!complaint.empty()) complaints.push_back(At(file, i + 1) + complaint);
  }
  return complaints;
}

Complaints CheckFileLength(const SourceFile& file) {
  if (file.lines.size() <= kLongestFileLines) return {};
  return {At(file, kLongestFileLines + 1) + "the file has " + std::to_string(file.lines.size()) +
          " lines"};
}

Complaints CheckLineLength(const SourceFile& file) {
  Complaints complaints;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const size_t columns = ColumnsOf(file.lines[i]);
    if (columns <= kLongestLineColumns) continue;
    complaints.push_back(At(file, i + 1) + "the line has " + std::to_string(columns) + " columns");
  }
  return complaints;
}

Complaints CheckFunctionLength(const SourceFile& file) {
  Complaints complaints;
  const std::string& code = file.code;
  size_t head = 0;  // where the current declaration begins
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] == ';' || code[i] == '}') head = i + 1;
    if (code[i] != '{') continue;
    const Block kind = KindOf(code.substr(head, i - head));
    if (kind != Block::kTransparent) {
      const size_t close = MatchingBrace(code, i);
      const size_t first = code.find_first_not_of(" \n", head);
      const size_t lines = file.LineOf(close) - file.LineOf(first) + 1;
      if (kind == Block::kFunction && lines > kLongestFunctionLines) {
        complaints.push_back(At(file, file.LineOf(first)) + "the function has " +
                             std::to_string(lines) + " lines");
      }
      i = close;
    }
    head = i + 1;
  }
  return complaints;
}

Complaints CheckIncludeGuard(const SourceFile& file) {
  if (!IsHeader(file)) return {};
  std::string path = file.path;
  for (const std::string_view prefix : {"runtime/", "include/userpager/"}) {
    if (StartsWith(path, prefix)) path.erase(0, prefix.size());
  }
  std::string guard = "USERPAGER_" + path + "_";
  std::transform(guard.begin(), guard.end(), guard.begin(), [](unsigned char c) {
    return std::isalnum(c) ? static_cast<char>(std::toupper(c)) : '_';
  });
  const auto has = [&file](const std::string& line) {
    return std::find(file.lines.begin(), file.lines.end(), line) != file.lines.end();
  };
  if (has("#ifndef " + guard) && has("#define " + guard)) return {};
  return {At(file, 1) + "the include guard is not " + guard};
}

Complaints CheckNoHeap(const SourceFile& file) {
  static const std::regex kHeap(
      R"((^|[^\w.>:])((malloc|calloc|realloc|free|strdup|asprintf)\s*\((?!\s*\)))"
      R"(|new\s+[A-Za-z_:]|new\s*\(\s*std::nothrow|delete\s+\w|delete\s*\[)"
      R"(|std::(string|function|vector|map|set|deque|list|unordered_map|unordered_set)\b(?!_))"
      R"(|std::(make_unique|make_shared|unique_ptr|shared_ptr|cout|cerr|ostream|iostream)\b))");
  static const std::regex kHeader(
      R"re(^\s*#\s*include\s*<(iostream|sstream|fstream|string|functional|vector|map|set)>)re");
  Complaints complaints;
  const bool for_tests = file.path.find("/sync_point.") != std::string::npos;
  const bool is_heap = file.room() == kRoomWithHeap || file.path == kFileThatIsTheHeap;
  if (file.room().empty() || is_heap || for_tests) return complaints;
  size_t begin = 0;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const std::string line = file.code.substr(begin, file.lines[i].size());
    begin += file.lines[i].size() + 1;
    if (!std::regex_search(line, kHeap) && !std::regex_search(line, kHeader)) continue;
    complaints.push_back(At(file, i + 1) + "uses the heap: " + file.lines[i]);
  }
  return complaints;
}

Complaints CheckNoUnfinishedWork(const SourceFile& file) {
  // Each with a bracket, so that this file keeps its own rule.
  static const std::regex kMark(R"(\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b)");
  Complaints complaints;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    if (!std::regex_search(file.lines[i], kMark)) continue;
    complaints.push_back(At(file, i + 1) + "is marked as unfinished");
  }
  return complaints;
}

Complaints CheckPublicDocumentation(const SourceFile& file) {
  static const std::regex kDeclaration(
      R"(^(USERPAGER_API\b|(template\s*<.*>\s*)?(class|struct)\s+\w+[^;]*$))");
  static const std::regex kTemplateLine(R"(^template\s*<.*>$)");
  Complaints complaints;
  if (!IsPublicHeader(file)) return complaints;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    if (!std::regex_search(file.lines[i], kDeclaration)) continue;
    size_t before = i;
    if (before > 0 && std::regex_match(file.lines[before - 1], kTemplateLine)) --before;
    if (before > 0 && EndsComment(file.lines[before - 1])) continue;
    complaints.push_back(At(file, i + 1) + "has no comment before it: " + file.lines[i]);
  }
  return complaints;
}

Complaints CheckPublicIncludes(const SourceFile& file) {
  Complaints complaints;
  if (!IsPublicHeader(file)) return complaints;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const std::string path = IncludedPath(file.lines[i]);
    if (!StartsWith(path, "absl/") && !StartsWith(path, "runtime/")) continue;
    complaints.push_back(At(file, i + 1) + "a public header includes " + path);
  }
  return complaints;
}

}  // namespace userpager::style
