// tool_page: writes userpager(1): a page in which the line .COMMANDS stands for a section about
// each command of the tool, made from what it says for --help, so that an option is described once.
//
//   tool_page TOOL PAGE > RESULT
#include <stdio.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "runtime/cli/man/troff_text.h"

namespace {

using userpager::man::Escaped;
using userpager::man::Lines;
using userpager::man::PrintBlock;

constexpr int kFailed = 1;

// What the tool prints. The words need no quotes.
Lines OutputOf(const std::string& tool, const std::string& words) {
  FILE* pipe = popen((tool + " " + words).c_str(), "r");
  std::string text;
  for (int c = pipe == nullptr ? EOF : fgetc(pipe); c != EOF; c = fgetc(pipe)) {
    text += static_cast<char>(c);
  }
  if (pipe == nullptr || pclose(pipe) != 0 || text.empty()) {
    std::cerr << "tool_page: " << tool << " " << words << " does not work\n";
    std::exit(kFailed);
  }
  Lines lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// The names in the list that begins at "commands:".
Lines CommandsOf(const std::string& tool) {
  Lines names;
  bool listed = false;
  for (const std::string& line : OutputOf(tool, "--help")) {
    if (line.empty()) listed = false;
    std::string name;
    if (listed && std::istringstream(line) >> name) names.push_back(name);
    if (line == "commands:") listed = true;
  }
  return names;
}

bool TakePrefix(const std::string& prefix, std::string* line) {
  if (line->rfind(prefix, 0) != 0) return false;
  line->erase(0, prefix.size());
  return true;
}

// One part of the help, which an empty line ends.
void PrintPart(Lines part, std::ostream& out) {
  std::string& first = part[0];
  if (TakePrefix("usage: ", &first)) {
    out << ".PP\n.B " << Escaped(first) << '\n';
    part.erase(part.begin());
  } else if (first == "options:") {
    part.erase(part.begin());
  } else if (first == "example:") {
    out << ".PP\nExample:\n.PP\n.RS\n.EX\n";
    for (size_t i = 1; i < part.size(); ++i) out << Escaped(part[i].substr(2)) << '\n';
    out << ".EE\n.RE\n";
    return;
  } else if (TakePrefix("exit status: ", &first)) {
    out << ".TP\nExit status\n";
    for (const std::string& line : part) {
      out << Escaped(line.substr(line.find_first_not_of(' '))) << '\n';
    }
    return;
  }
  if (part.empty()) return;
  // Text that is indented as a whole is no example here.
  bool is_list = false;
  for (const std::string& line : part) is_list = is_list || line.find("  ", 2) != std::string::npos;
  if (!is_list) {
    for (std::string& line : part) line.erase(0, line.find_first_not_of(' '));
  }
  PrintBlock(part, out);
}

void PrintCommand(const std::string& tool, const std::string& name, std::ostream& out) {
  out << ".SS userpager " << name << '\n';
  Lines part;
  Lines help = OutputOf(tool, name + " --help");
  help.emplace_back();
  for (const std::string& line : help) {
    if (!line.empty()) {
      part.push_back(line);
    } else if (!part.empty()) {
      PrintPart(part, out);
      part.clear();
    }
  }
}

}  // namespace

int main(int count, char** values) {
  if (count != 3) {
    std::cerr << "usage: tool_page TOOL PAGE\n";
    return 2;
  }
  std::ifstream page(values[2]);
  bool found = false;
  for (std::string line; std::getline(page, line);) {
    if (line != ".COMMANDS") {
      std::cout << line << '\n';
      continue;
    }
    found = true;
    for (const std::string& name : CommandsOf(values[1])) PrintCommand(values[1], name, std::cout);
  }
  if (found && std::cout.flush()) return 0;
  std::cerr << "tool_page: " << values[2] << " has no place for the commands\n";
  return kFailed;
}
