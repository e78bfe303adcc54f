#include "runtime/cli/run_command.h"

#include <unistd.h>
#include <userpager/userpager.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <utility>

#include "runtime/cli/command.h"
#include "runtime/cli/program_file.h"
#include "runtime/observe/trace_format.h"
#include "runtime/platform/features.h"

namespace userpager::cli {
namespace {

constexpr const char* kLibrary = "libuserpager_preload.so";

// The options that are keys of USERPAGER_CONF.
constexpr std::pair<const char*, const char*> kKeys[] = {
    {"--memory", "memory"}, {"--page-file", "page_file"}, {"--page-file-max", "page_file_max"},
    {"--commit", "commit"}, {"--shards", "shards"},
};

struct Wishes {
  std::string_view as;  // the command that complains: run or record
  std::string configuration;  // for USERPAGER_CONF
  std::string children;
  std::string statistics;
  std::string recording;
  bool callers = false;  // are recorded as well
  bool verbose = false;
  std::vector<std::string> command;
};

void Add(std::string* configuration, const std::string& key, const std::string& value) {
  if (!configuration->empty()) *configuration += ',';
  *configuration += key + ':' + value;
}

// As it is from everywhere: the program may change its folder.
std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.string();
}

// An option that has a value.
void TakeOption(const std::string& name, const std::string& value, Wishes* wishes) {
  for (const auto& [option, key] : kKeys) {
    if (name == option) Add(&wishes->configuration, key, value);
  }
  if (name == "--children") wishes->children = value;
  if (name == "--stats") wishes->statistics = Absolute(value);
  if (name == "--trace") wishes->recording = Absolute(value);
}

// The options before the program. 0, or the exit status.
int ParseOptions(const std::vector<std::string>& arguments, Wishes* wishes) {
  size_t i = 0;
  for (; i < arguments.size() && arguments[i].compare(0, 1, "-") == 0; ++i) {
    if (arguments[i] == "--") {
      ++i;
      break;
    }
    if (arguments[i] == "--verbose") {
      wishes->verbose = true;
      continue;
    }
    if (arguments[i] == "--callers") {
      wishes->callers = true;
      continue;
    }
    const size_t equals = arguments[i].find('=');
    const std::string name = arguments[i].substr(0, equals);
    if (!RunWantsValue(name)) return ComplainOfUsage(wishes->as, "there is no option " + name);
    std::string value;
    if (equals != std::string::npos) {
      value = arguments[i].substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    }
    if (value.empty()) return ComplainOfUsage(wishes->as, name + " wants a value");
    TakeOption(name, value, wishes);
  }
  wishes->command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
  return 0;
}

// 0, or the exit status.
int Parse(const std::vector<std::string>& arguments, Wishes* wishes) {
  if (const int status = ParseOptions(arguments, wishes); status != 0) return status;
  if (wishes->command.empty()) return ComplainOfUsage(wishes->as, "no program is named");
  if (wishes->callers && wishes->recording.empty()) {
    return ComplainOfUsage(wishes->as, "--callers is for a recording; give --trace FILE as well");
  }
  const bool known = wishes->children.empty() || wishes->children == "paged" ||
                     wishes->children == "none";
  return known ? 0 : ComplainOfUsage(wishes->as, "--children is paged or none");
}

// What is in the environment stays, but for what was given here.
int CompleteConfiguration(Wishes* wishes) {
  const char* before = std::getenv("USERPAGER_CONF");
  userpager_options options;
  userpager_options_init(&options);
  for (const std::string& text : {std::string(before == nullptr ? "" : before),
                                  wishes->configuration}) {
    if (!text.empty() && userpager_options_parse(&options, text.c_str()) != 0) {
      return Complain(wishes->as, kUsageError, userpager_error_message());
    }
  }
  if (before == nullptr || *before == '\0') return 0;
  // A key may be there once only: what was given here comes in the place of the same before.
  std::string all;
  for (size_t at = 0; at < std::strlen(before);) {
    const std::string_view rest(before + at);
    const std::string_view entry = rest.substr(0, rest.find(','));
    const std::string key(entry.substr(0, entry.find(':')));
    if (("," + wishes->configuration).find("," + key + ":") == std::string::npos) {
      if (!all.empty()) all += ',';
      all += entry;
    }
    at += entry.size() + 1;
  }
  if (!all.empty() && !wishes->configuration.empty()) all += ',';
  wishes->configuration = all + wishes->configuration;
  return 0;
}

int CheckKernel(const Wishes& wishes) {
  PlatformFeatures features;
  LogLine error;
  if (ProbeFeatures(&features, &error) != 0) {
    return Complain(wishes.as, kCannotRun, error.text());
  }
  if (features.kernel_faults) return 0;
  return Complain(wishes.as, kCannotRun,
                  "system calls would fail with EFAULT on memory that is out; allow it, as root: "
                  "sysctl vm.unprivileged_userfaultfd=1, or to one group as userpager doctor says");
}

void SetVariable(const char* name, const std::string& value) {
  if (!value.empty()) setenv(name, value.c_str(), 1);
}

// A file that is empty or a trace file.
bool MayBeOverwritten(const std::string& name) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(name, error)) return false;
  std::ifstream file(name, std::ios::binary);
  char magic[sizeof kTraceMagic];
  file.read(magic, sizeof magic);
  return file.gcount() == 0 || (file.gcount() == sizeof magic &&
                                std::memcmp(magic, kTraceMagic, sizeof magic) == 0);
}

// Whether it can be recorded to the file. The runtime looks once more, but the program runs then.
int CheckRecording(const Wishes& wishes) {
  const std::string& name = wishes.recording;
  if (name.empty()) return 0;
  const size_t mark = name.find("%p");
  const std::filesystem::path path = mark == name.npos ? name : name.substr(0, mark);
  const bool is_there = mark == name.npos && access(name.c_str(), F_OK) == 0;
  const bool may_be_made = is_there || mark != name.npos || errno == ENOENT;
  const std::string place = is_there ? name : path.parent_path().string();
  if (!may_be_made || access(place.c_str(), W_OK) != 0) {
    return Complain(wishes.as, kCannotRun,
                    "cannot record to " + name + ": " + std::strerror(errno));
  }
  if (!is_there || MayBeOverwritten(name)) return 0;
  return Complain(wishes.as, kCannotRun,
                  "cannot record to " + name + ": it is no trace file, and would be overwritten;"
                  " remove it, or give another name");
}

[[nodiscard]] int Execute(const Wishes& wishes, const std::string& path,
                          const std::string& library) {
  const char* before = std::getenv("LD_PRELOAD");
  const bool others = before != nullptr && *before != '\0';
  setenv("LD_PRELOAD", (others ? library + ":" + before : library).c_str(), 1);
  SetVariable("USERPAGER_CONF", wishes.configuration);
  SetVariable("USERPAGER_CHILDREN", wishes.children);
  SetVariable("USERPAGER_STATS", wishes.statistics);
  SetVariable("USERPAGER_TRACE", wishes.recording);
  SetVariable("USERPAGER_TRACE_CALLERS", wishes.callers ? "1" : "");
  if (wishes.verbose) {
    std::cerr << "userpager: " << path << " with " << library << ", USERPAGER_CONF="
              << wishes.configuration << '\n';
  }
  std::vector<char*> arguments;
  for (const std::string& argument : wishes.command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execv(path.c_str(), arguments.data());
  const int status = errno == ENOENT ? 127 : kCannotRun;
  return Complain(wishes.as, status, path + ": " + std::strerror(errno));
}

// Whether there is all that it takes. 0, or the exit status.
int FindAll(const Wishes& wishes, std::string* path, std::string* library) {
  int found = 0;
  *path = FindProgram(wishes.command[0], &found);
  if (found != 0) {
    return Complain(wishes.as, found,
                    wishes.command[0] +
                        (found == kCannotRun ? " may not be executed" : " is not found"));
  }
  if (const std::string why = WhyNotPreloaded(*path); !why.empty()) {
    return Complain(wishes.as, kCannotRun, why);
  }
  *library = FindPreloadLibrary();
  if (library->empty()) {
    return Complain(wishes.as, kCannotRun, std::string(kLibrary) + " is not found; install it"
                                           " beside this tool");
  }
  if (library->find_first_of(": ") == std::string::npos) return 0;
  return Complain(wishes.as, kCannotRun,
                  "the path " + *library + " has what LD_PRELOAD takes for its end; install it"
                  " elsewhere");
}

}  // namespace

std::string FindPreloadLibrary() {
  std::error_code error;
  const auto tool = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path folder = tool.parent_path();
  for (const std::filesystem::path& candidate :
       {folder / kLibrary, folder / ".." / USERPAGER_LIBRARY_FOLDER / kLibrary}) {
    const auto found = std::filesystem::canonical(candidate, error);
    if (!error) return found.string();
  }
  return {};
}

bool RunWantsValue(const std::string& option) {
  for (const auto& [name, key] : kKeys) {
    if (option == name) return true;
  }
  return option == "--children" || option == "--stats" || option == "--trace";
}

int RunAs(std::string_view command, const std::vector<std::string>& arguments) {
  Wishes wishes;
  wishes.as = command;
  if (const int status = Parse(arguments, &wishes); status != 0) return status;
  if (const int status = CompleteConfiguration(&wishes); status != 0) return status;
  std::string path;
  std::string library;
  if (const int status = FindAll(wishes, &path, &library); status != 0) return status;
  if (const int status = CheckKernel(wishes); status != 0) return status;
  if (const int status = CheckRecording(wishes); status != 0) return status;
  return Execute(wishes, path, library);
}

int RunCommand(const std::vector<std::string>& arguments) { return RunAs("run", arguments); }

}  // namespace userpager::cli
