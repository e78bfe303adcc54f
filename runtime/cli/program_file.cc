#include "runtime/cli/program_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <vector>

namespace userpager::cli {
namespace {

constexpr int kCannotExecute = 126;
constexpr int kNotFound = 127;
// As deep as the kernel follows scripts whose interpreters are scripts.
constexpr int kMostInterpreters = 4;
constexpr size_t kLongestScriptHead = 256;

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#else
constexpr uint16_t kMachine = EM_AARCH64;
#endif

bool IsFile(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

std::string ReadHead(const std::string& path, off_t at, size_t most) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::string head(most, '\0');
  const ssize_t got = pread(file, head.data(), most, at);
  close(file);
  head.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return head;
}

// A script's interpreter, or nothing where the file is no script.
std::string InterpreterOf(const std::string& path) {
  const std::string head = ReadHead(path, 0, kLongestScriptHead);
  if (head.compare(0, 2, "#!") != 0) return {};
  std::istringstream line(head.substr(2, head.find('\n') - 2));
  std::string interpreter;
  line >> interpreter;
  return interpreter;
}

bool HasDynamicLinker(const std::string& path, const Elf64_Ehdr& header) {
  const size_t bytes = size_t{header.e_phnum} * sizeof(Elf64_Phdr);
  const std::string parts = ReadHead(path, static_cast<off_t>(header.e_phoff), bytes);
  for (size_t at = 0; at + sizeof(Elf64_Phdr) <= parts.size(); at += sizeof(Elf64_Phdr)) {
    Elf64_Phdr part;
    std::memcpy(&part, parts.data() + at, sizeof part);
    if (part.p_type == PT_INTERP) return true;
  }
  return false;
}

bool HasMoreRights(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return false;
  const bool other_user = (status.st_mode & S_ISUID) != 0 && status.st_uid != geteuid();
  const bool other_group = (status.st_mode & S_ISGID) != 0 && status.st_gid != getegid();
  const bool capable = getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
  return other_user || other_group || (capable && geteuid() != 0);
}

}  // namespace

std::string FindProgram(const std::string& command, int* status) {
  std::vector<std::string> candidates;
  if (command.find('/') != std::string::npos) {
    candidates.push_back(command);
  } else {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path);
    for (std::string folder; std::getline(folders, folder, ':');) {
      candidates.push_back((folder.empty() ? "." : folder) + "/" + command);
    }
  }
  *status = kNotFound;
  for (const std::string& candidate : candidates) {
    const bool executable = access(candidate.c_str(), X_OK) == 0;
    if (executable && IsFile(candidate)) {
      *status = 0;
      return candidate;
    }
    if (executable || errno == EACCES) *status = kCannotExecute;
  }
  return {};
}

std::string WhyNotPreloaded(const std::string& path) {
  std::string program = path;
  for (int depth = 0; depth < kMostInterpreters; ++depth) {
    const std::string interpreter = InterpreterOf(program);
    if (interpreter.empty()) break;
    program = interpreter;
  }
  if (HasMoreRights(program)) {
    return program + " runs with more rights than its user (set-uid, set-gid or capabilities), and"
                     " the dynamic linker loads no library of the user's choice into it";
  }
  const std::string head = ReadHead(program, 0, sizeof(Elf64_Ehdr));
  if (head.size() < sizeof(Elf64_Ehdr) || head.compare(0, SELFMAG, ELFMAG) != 0) return {};
  Elf64_Ehdr header;
  std::memcpy(&header, head.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kMachine) {
    return program + " is for another kind of processor than the library";
  }
  if (!HasDynamicLinker(program, header)) {
    return program + " is linked statically, so no library can be loaded into it";
  }
  return {};
}

}  // namespace userpager::cli
