#include "tests/programs/program_run.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "tests/programs/spawn_texts.h"

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

}  // namespace

RunningProgram::RunningProgram(const std::vector<std::string>& command,
                               const RunOptions& options)
    : output_(memfd_create("output", MFD_CLOEXEC)),
      complaints_(memfd_create("complaints", MFD_CLOEXEC)) {
  SpawnTexts texts(command, options);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const std::string input = options.input.empty() ? "/dev/null" : options.input;
  posix_spawn_file_actions_addopen(&files, 0, input.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output_, 1);
  posix_spawn_file_actions_adddup2(&files, complaints_, 2);
  pid_t child = 0;
  if (posix_spawnp(&child, texts.program(), &files, nullptr, texts.arguments(),
                   texts.environment()) == 0) {
    id_ = child;
  }
  posix_spawn_file_actions_destroy(&files);
}

RunningProgram::~RunningProgram() {
  Signal(SIGKILL);
  AwaitEnd(0);
  close(output_);
  close(complaints_);
}

uint64_t RunningProgram::MostBytes() const {
  std::ifstream status("/proc/" + std::to_string(id_) + "/status");
  for (std::string word; status >> word;) {
    uint64_t kibibytes = 0;
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

void RunningProgram::AwaitEnd(int flags) {
  int status = 0;
  rusage usage{};
  if (id_ == 0 || wait4(id_, &status, flags, &usage) != id_) return;
  run_.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  run_.most_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  id_ = 0;
}

bool RunningProgram::HasEnded() {
  AwaitEnd(WNOHANG);
  return id_ == 0;
}

void RunningProgram::Signal(int number) const {
  if (id_ != 0) kill(id_, number);
}

ProgramRun RunningProgram::Wait() {
  AwaitEnd(0);
  run_.output = ReadAll(output_);
  run_.complaints = ReadAll(complaints_);
  return std::move(run_);
}

ProgramRun RunProgram(const std::vector<std::string>& command, const RunOptions& options) {
  return RunningProgram(command, options).Wait();
}

ProgramRun RunManagedTest(const std::string& name, const RunOptions& options) {
  return RunProgram({"/proc/self/exe", "--gtest_also_run_disabled_tests",
                     "--gtest_filter=Managed.DISABLED_" + name},
                    options);
}

std::string WhyNotManaged() {
  const ProgramRun run = RunProgram({"true"}, {.memory = "4M"});
  if (run.status == 0) return {};
  // The library says so itself, by this status: a program that ends otherwise has met a defect.
  EXPECT_EQ(126, run.status) << run.complaints;
  return "the pager cannot run here: " + run.complaints;
}

unsigned ProgramsScale() {
  const char* text = std::getenv("USERPAGER_PROGRAMS_SCALE");
  const long scale = text == nullptr ? 1 : std::strtol(text, nullptr, 10);
  return scale < 1 ? 1 : static_cast<unsigned>(scale);
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
