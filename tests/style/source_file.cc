#include "tests/style/source_file.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace userpager::style {
namespace {

constexpr std::array<std::string_view, 5> kFolders = {"bench", "include", "runtime", "samples",
                                                      "tests"};
constexpr std::array<std::string_view, 4> kSourceExtensions = {".c", ".cc", ".h", ".hpp"};

bool IsWordCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Where the comment or literal that begins at `begin` ends; `begin` itself where none does.
size_t EndOfComment(std::string_view text, size_t begin) {
  if (text.substr(begin, 2) == "//") return std::min(text.find('\n', begin), text.size());
  if (text.substr(begin, 2) == "/*") {
    const size_t close = text.find("*/", begin + 2);
    return close == std::string_view::npos ? text.size() : close + 2;
  }
  return begin;
}

size_t EndOfRawString(std::string_view text, size_t begin) {
  if (text.substr(begin, 2) != "R\"") return begin;
  const size_t open = text.find('(', begin);
  if (open == std::string_view::npos) return begin;
  std::string close(")");
  close.append(text.substr(begin + 2, open - begin - 2));
  close.push_back('"');
  const size_t end = text.find(close, open);
  return end == std::string_view::npos ? text.size() : end + close.size();
}

size_t EndOfLiteral(std::string_view text, size_t begin) {
  const char quote = text[begin];
  if (quote != '"' && quote != '\'') return begin;
  // 1'000: a quote in the middle of a number.
  if (quote == '\'' && begin > 0 && IsWordCharacter(text[begin - 1])) return begin;
  size_t end = begin + 1;
  while (end < text.size() && text[end] != quote && text[end] != '\n') {
    end += text[end] == '\\' ? 2 : 1;
  }
  return std::min(end + 1, text.size());
}

bool IsIncludeLine(std::string_view text, size_t offset) {
  const size_t newline = text.rfind('\n', offset);
  const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
  return text.substr(begin, 8) == "#include";
}

std::string BlankCommentsAndLiterals(std::string_view text) {
  std::string code(text);
  size_t at = 0;
  while (at < text.size()) {
    size_t end = EndOfComment(text, at);
    if (end == at) end = EndOfRawString(text, at);
    if (end == at && !IsIncludeLine(text, at)) end = EndOfLiteral(text, at);
    for (size_t i = at; i < end; ++i) {
      if (code[i] != '\n') code[i] = ' ';
    }
    at = std::max(end, at + 1);
  }
  return code;
}

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

template <typename Predicate>
std::vector<SourceFile> LoadWhere(const std::string& checkout, Predicate wanted) {
  std::vector<SourceFile> files;
  for (const std::string_view folder : kFolders) {
    const std::filesystem::path root = std::filesystem::path(checkout) / folder;
    if (!std::filesystem::exists(root)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (!entry.is_regular_file() || !wanted(entry.path())) continue;
      files.push_back(ParseSource(std::filesystem::relative(entry.path(), checkout).string(),
                                  ReadAll(entry.path())));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace

std::string_view SourceFile::extension() const {
  return std::string_view(path).substr(path.rfind('.') + 1);
}

std::string_view SourceFile::room() const {
  constexpr std::string_view kRuntime = "runtime/";
  if (path.rfind(kRuntime, 0) != 0) return {};
  const size_t slash = path.find('/', kRuntime.size());
  if (slash == std::string::npos) return {};
  return std::string_view(path).substr(kRuntime.size(), slash - kRuntime.size());
}

size_t SourceFile::LineOf(size_t offset) const {
  const auto end = code.begin() + static_cast<std::ptrdiff_t>(std::min(offset, code.size()));
  return static_cast<size_t>(std::count(code.begin(), end, '\n')) + 1;
}

SourceFile ParseSource(std::string path, std::string_view text) {
  SourceFile file;
  file.path = std::move(path);
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    file.lines.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  file.code = BlankCommentsAndLiterals(text);
  return file;
}

std::vector<SourceFile> LoadSources(const std::string& checkout) {
  return LoadWhere(checkout, [](const std::filesystem::path& path) {
    return std::find(kSourceExtensions.begin(), kSourceExtensions.end(),
                     path.extension().string()) != kSourceExtensions.end();
  });
}

std::vector<SourceFile> LoadScripts(const std::string& checkout) {
  std::vector<SourceFile> files = LoadWhere(checkout, [](const std::filesystem::path& path) {
    return path.extension() == ".sh" || path.filename() == "CMakeLists.txt";
  });
  for (const std::string_view name : {"CMakeLists.txt", ".ci/run", ".ci/setup.sh"}) {
    files.push_back(
        ParseSource(std::string(name), ReadAll(std::filesystem::path(checkout) / name)));
  }
  for (SourceFile& file : files) file.code.clear();
  return files;
}

}  // namespace userpager::style
