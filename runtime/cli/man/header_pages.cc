// header_pages: writes manual pages of section 3userpager from the comments of the public headers,
// so that a rule is written down once.
//
//   header_pages FOLDER DATE VERSION HEADER...
//
// Each header has a page of its own, with the comment on top of it, and each function one with the
// comment before it. A function whose comment begins with "The same" shares the page before.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/cli/man/troff_text.h"

namespace {

using userpager::man::Escaped;
using userpager::man::Lines;
using userpager::man::PrintBlock;

// A function, or the header itself.
struct Entry {
  std::string name;
  std::string declaration;
  std::vector<Lines> blocks;  // the comment, at its empty lines
};

struct Page {
  std::string header;
  std::vector<Entry> entries;  // the first gives the page its name
  Lines see_also;
};

Lines ReadLines(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) {
    std::cerr << "header_pages: cannot read " << path << '\n';
    std::exit(1);
  }
  Lines lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The comment that begins at lines[*i], without its marks; moves *i behind it.
std::vector<Lines> TakeComment(const Lines& lines, size_t* i) {
  std::vector<Lines> blocks(1);
  for (bool ended = false; !ended && *i < lines.size(); ++*i) {
    std::string text = lines[*i];
    ended = text.find("*/") != std::string::npos;
    if (ended) text.erase(text.find("*/"));
    text.erase(0, text.find_first_not_of(" /*") == std::string::npos ? text.size()
               : text.size() > 3                                     ? 3
                                                                     : 0);
    text.erase(text.find_last_not_of(' ') + 1);
    if (!text.empty()) {
      blocks.back().push_back(text);
    } else if (!blocks.back().empty()) {
      blocks.emplace_back();
    }
  }
  if (blocks.back().empty()) blocks.pop_back();
  return blocks;
}

constexpr std::string_view kExported = "USERPAGER_API ";

// The declaration that begins at lines[*i], as it would stand without the mark.
void TakeDeclaration(const Lines& lines, size_t* i, Entry* entry) {
  entry->declaration = lines[*i].substr(kExported.size()) + '\n';
  while (lines[(*i)++].find(';') == std::string::npos) {
    const std::string& more = lines[*i];
    const size_t indent = more.find_first_not_of(' ');
    const bool is_aligned = indent > kExported.size();
    entry->declaration += more.substr(is_aligned ? kExported.size() : 0) + '\n';
  }
  static const std::regex kName(R"((\w+)\()");
  std::smatch match;
  std::regex_search(entry->declaration, match, kName);
  entry->name = match[1];
}

std::vector<Page> PagesOf(const std::filesystem::path& path) {
  const Lines lines = ReadLines(path);
  const std::string header = path.filename().string();
  std::vector<Page> pages = {{header, {}, {"userpager(7)"}}};
  for (size_t i = 0; i < lines.size();) {
    if (lines[i].rfind("/*", 0) != 0) {
      ++i;
      continue;
    }
    Entry entry = {header, "", TakeComment(lines, &i)};
    if (pages[0].entries.empty()) {
      pages[0].entries.push_back(entry);
      continue;
    }
    if (i == lines.size() || lines[i].rfind(kExported, 0) != 0) continue;
    TakeDeclaration(lines, &i, &entry);
    pages[0].see_also.push_back(entry.name + "(3userpager)");
    if (entry.blocks[0][0].rfind("The same", 0) == 0) {
      pages.back().entries.push_back(entry);
    } else {
      pages.push_back({header, {entry}, {header + "(3userpager)", "userpager(7)"}});
    }
  }
  return pages;
}

std::string Joined(const Lines& block) {
  std::string all;
  for (const std::string& line : block) {
    // An address may go on in the next line.
    if (!all.empty() && all.back() != '/') all += ' ';
    all += line;
  }
  return all;
}

// What apropos shows: the first sentence; of a function no more than what stands before its colon.
std::string Summary(const Entry& entry) {
  std::string text = Joined(entry.blocks[0]);
  static const std::regex kSentence(R"(\.( |$))");
  static const std::regex kClause(R"(\.( |$)|:( |$))");
  std::smatch match;
  if (std::regex_search(text, match, entry.declaration.empty() ? kSentence : kClause)) {
    text.erase(static_cast<size_t>(match.position(0)));
  }
  const auto is_upper = [](unsigned char c) { return std::isupper(c) != 0; };
  const std::string first = text.substr(0, text.find_first_of(" :"));
  const bool is_name = std::any_of(first.begin() + 1, first.end(), is_upper);
  if (!is_name) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

void PrintEntry(const Entry& entry, std::ostream& out) {
  const Lines* source = nullptr;
  for (const Lines& block : entry.blocks) {
    if (block[0].rfind("Source:", 0) == 0) {
      source = &block;
      continue;
    }
    if (block[0].rfind("Returns ", 0) == 0) out << ".SH RETURN VALUE AND ERRORS\n";
    PrintBlock(block, out);
  }
  if (source == nullptr) return;
  constexpr std::string_view kMark = "Source: ";
  // A line may end behind any part of an address.
  static const std::regex kSlash("/");
  out << ".SH SOURCE OF THE RULES\n"
      << std::regex_replace(Escaped(Joined(*source).substr(kMark.size())), kSlash, "/\\:") << '\n';
}

void PrintPage(const Page& page, const std::string& date, const std::string& version,
               std::ostream& out) {
  const Entry& first = page.entries[0];
  out << ".\\\" Made from <userpager/" << page.header << ">.\n"
      << ".TH " << first.name << " 3userpager \"" << date << "\" \"userpager " << version
      << "\" \"userpager\"\n.nr HY 0\n.nh\n.ad l\n.SH NAME\n";
  for (size_t i = 0; i < page.entries.size(); ++i) {
    out << (i > 0 ? ", " : "") << Escaped(page.entries[i].name);
  }
  out << " \\- " << Escaped(Summary(first)) << "\n.SH SYNOPSIS\n.nf\n.B #include <userpager/"
      << page.header << ">\n";
  for (const Entry& entry : page.entries) {
    if (!entry.declaration.empty()) out << ".sp\n" << Escaped(entry.declaration);
  }
  out << ".fi\n.PP\nLink with \\fI\\-luserpager\\fP.\n";
  for (const Entry& entry : page.entries) {
    const bool several = &entry != &first;
    out << ".SH " << (several ? Escaped(entry.name) : "DESCRIPTION") << '\n';
    PrintEntry(entry, out);
  }
  out << ".SH SEE ALSO\n";
  for (size_t i = 0; i < page.see_also.size(); ++i) {
    const std::string& other = page.see_also[i];
    const size_t bracket = other.find('(');
    out << ".BR " << Escaped(other.substr(0, bracket)) << ' ' << other.substr(bracket)
        << (i + 1 < page.see_also.size() ? ",\n" : "\n");
  }
}

}  // namespace

int main(int count, char** values) {
  const Lines arguments(values + 1, values + count);
  if (arguments.size() < 4) {
    std::cerr << "usage: header_pages FOLDER DATE VERSION HEADER...\n";
    return 2;
  }
  const std::filesystem::path folder = arguments[0];
  for (size_t i = 3; i < arguments.size(); ++i) {
    for (const Page& page : PagesOf(arguments[i])) {
      const std::string& name = page.entries[0].name;
      std::ofstream file(folder / (name + ".3userpager"));
      PrintPage(page, arguments[1], arguments[2], file);
      for (size_t other = 1; other < page.entries.size(); ++other) {
        std::ofstream link(folder / (page.entries[other].name + ".3userpager"));
        link << ".so man3/" << name << ".3userpager\n";
      }
      if (!file.flush()) {
        std::cerr << "header_pages: cannot write to " << folder << '\n';
        return 1;
      }
    }
  }
  return 0;
}
