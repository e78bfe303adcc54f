#include "runtime/cli/man/troff_text.h"

#include <algorithm>
#include <regex>

namespace userpager::man {
namespace {

size_t IndentOf(const std::string& line) { return line.find_first_not_of(' '); }

}  // namespace

std::string Escaped(std::string_view text) {
  std::string all;
  if (!text.empty() && (text[0] == '.' || text[0] == '\'')) all = "\\&";
  for (const char c : text) {
    switch (c) {
      case '\\': all += "\\e"; break;
      case '-': all += "\\-"; break;
      case '~': all += "\\(ti"; break;
      case '^': all += "\\(ha"; break;
      case '`': break;
      default: all += c;
    }
  }
  return all;
}

void PrintBlock(Lines block, std::ostream& out) {
  size_t common = IndentOf(block[0]);
  for (const std::string& line : block) common = std::min(common, IndentOf(line));
  bool is_list = false;
  static const std::regex kTerm(R"(^(\S+(?: \S+)*)  +(\S.*)$)");
  for (std::string& line : block) {
    line.erase(0, common);
    is_list = is_list || IndentOf(line) > 0 || std::regex_match(line, kTerm);
  }
  if (!is_list) {
    out << (common > 0 ? ".PP\n.EX\n" : ".PP\n");
    for (const std::string& line : block) out << Escaped(line) << '\n';
    if (common > 0) out << ".EE\n";
    return;
  }
  for (const std::string& line : block) {
    std::smatch match;
    if (IndentOf(line) > 0) {
      out << Escaped(line.substr(IndentOf(line))) << '\n';
    } else if (std::regex_match(line, match, kTerm)) {
      out << ".TP\n.B " << Escaped(match[1].str()) << '\n' << Escaped(match[2].str()) << '\n';
    } else {
      out << ".TP\n.B " << Escaped(line) << '\n';
    }
  }
}

}  // namespace userpager::man
