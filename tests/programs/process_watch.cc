#include "tests/programs/process_watch.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

// Statistics are asked for at every so many looks: that is a process each time.
constexpr unsigned kLooksForStatistics = 8;

// By process, its parent.
std::map<pid_t, pid_t> AllProcesses() {
  std::map<pid_t, pid_t> parents;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (!std::isdigit(static_cast<unsigned char>(name[0]))) continue;
    std::string text;
    std::getline(std::ifstream(entry.path() / "stat"), text);
    const size_t at = text.rfind(')');
    if (at == std::string::npos || at + 4 > text.size()) continue;
    // The state, and then the parent.
    parents[std::atoi(name.c_str())] = std::atoi(text.c_str() + at + 4);
  }
  return parents;
}

std::set<pid_t> FamilyOf(pid_t first) {
  const std::map<pid_t, pid_t> parents = AllProcesses();
  std::set<pid_t> family;
  for (const auto& [process, parent] : parents) {
    for (pid_t at = process; at > 1;) {
      if (at == first) family.insert(process);
      const auto next = parents.find(at);
      at = next == parents.end() ? 0 : next->second;
    }
  }
  return family;
}

uint64_t AnonymousBytes(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string word; status >> word;) {
    uint64_t kibibytes = 0;
    if (word == "RssAnon:" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

// The number behind "name": from there on.
uint64_t NumberAfter(const std::string& json, const std::string& name, size_t from) {
  const std::string key = "\"" + name + "\": ";
  const size_t at = json.find(key, from);
  return at == std::string::npos ? 0 : std::strtoull(json.c_str() + at + key.size(), nullptr, 10);
}

}  // namespace

void ProcessWatch::Look() {
  const std::set<pid_t> family = FamilyOf(first_);
  for (const pid_t process : family) {
    most_bytes_ = std::max(most_bytes_, AnonymousBytes(process));
  }
  if (looks_++ % kLooksForStatistics != 0) return;
  const std::string json = RunProgram({USERPAGER_TOOL, "stat", "--json"}).output;
  const std::string key = "\"pid\": ";
  for (size_t at = json.find(key); at != std::string::npos; at = json.find(key, at + 1)) {
    if (!family.contains(std::atoi(json.c_str() + at + key.size()))) continue;
    pages_out_ = std::max(pages_out_, NumberAfter(json, "pages_out", at));
    pages_in_ = std::max(pages_in_, NumberAfter(json, "pages_in", at));
  }
}

}  // namespace userpager::programs
