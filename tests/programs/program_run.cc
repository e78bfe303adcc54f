#include "tests/programs/program_run.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

extern char** environ;

namespace userpager::programs {
namespace {

std::string ReadAll(int file) {
  std::string text;
  char part[65536];
  off_t at = 0;
  for (ssize_t got; (got = pread(file, part, sizeof part, at)) > 0; at += got) {
    text.append(part, static_cast<size_t>(got));
  }
  return text;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

ProgramRun RunProgram(const std::vector<std::string>& command, const RunOptions& options) {
  std::vector<std::string> environment = options.environment;
  if (!options.memory.empty()) {
    environment.push_back(std::string("LD_PRELOAD=") + USERPAGER_PRELOAD_LIBRARY);
    environment.push_back("USERPAGER_CONF=memory:" + options.memory + ",page_file_max:1G");
  }
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  std::vector<std::string> arguments = command;

  const int output = memfd_create("output", MFD_CLOEXEC);
  const int complaints = memfd_create("complaints", MFD_CLOEXEC);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const std::string input = options.input.empty() ? "/dev/null" : options.input;
  posix_spawn_file_actions_addopen(&files, 0, input.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, 1);
  posix_spawn_file_actions_adddup2(&files, complaints, 2);
  ProgramRun run;
  pid_t child = 0;
  if (posix_spawnp(&child, arguments[0].c_str(), &files, nullptr, Pointers(arguments).data(),
                   Pointers(environment).data()) == 0) {
    int status = 0;
    rusage usage{};
    wait4(child, &status, 0, &usage);
    run.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    run.most_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  }
  posix_spawn_file_actions_destroy(&files);
  run.output = ReadAll(output);
  run.complaints = ReadAll(complaints);
  close(output);
  close(complaints);
  return run;
}

bool IsThere(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (access((std::filesystem::path(folder) / program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace userpager::programs
