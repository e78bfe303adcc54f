#include "tests/package/command.h"

#include <stdio.h>
#include <sys/wait.h>

#include <array>
#include <cstddef>

namespace userpager::package {

CommandResult RunShell(const std::string& line) {
  CommandResult result{-1, {}};
  FILE* pipe = popen(("exec 2>&1; " + line).c_str(), "re");
  if (pipe == nullptr) return result;
  std::array<char, 4096> part;
  for (size_t n = fread(part.data(), 1, part.size(), pipe); n > 0;
       n = fread(part.data(), 1, part.size(), pipe)) {
    result.output.append(part.data(), n);
  }
  const int status = pclose(pipe);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

std::string ShellLine(std::initializer_list<std::string_view> words) {
  std::string line;
  for (const std::string_view word : words) {
    if (!line.empty()) line.push_back(' ');
    line.push_back('\'');
    for (const char c : word) {
      if (c == '\'') {
        line.append("'\\''");
      } else {
        line.push_back(c);
      }
    }
    line.push_back('\'');
  }
  return line;
}

std::vector<std::string> SplitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace userpager::package
