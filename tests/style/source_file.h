// A source file as the style rules see it: its lines as they are, and its code with comments and
// literals blanked out, so that a rule about code is not fooled by words in a comment.
#ifndef USERPAGER_TESTS_STYLE_SOURCE_FILE_H_
#define USERPAGER_TESTS_STYLE_SOURCE_FILE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace userpager::style {

struct SourceFile {
  std::string path;                // relative to the checkout, such as runtime/base/arena.h
  std::vector<std::string> lines;  // without their ends
  std::string code;                // as long as the text, comments and literals as spaces

  // "h" of runtime/base/arena.h.
  std::string_view extension() const;
  // "base" of runtime/base/arena.h; "" for what is not in a room.
  std::string_view room() const;
  // The 1-based number of the line that holds code[offset].
  size_t LineOf(size_t offset) const;
};

SourceFile ParseSource(std::string path, std::string_view text);

// All C and C++ sources and headers of the checkout, by path.
std::vector<SourceFile> LoadSources(const std::string& checkout);
// All build files and scripts of the checkout, by path; `code` is empty.
std::vector<SourceFile> LoadScripts(const std::string& checkout);

}  // namespace userpager::style

#endif  // USERPAGER_TESTS_STYLE_SOURCE_FILE_H_
