// The arguments and the environment of a program that is started, as posix_spawn takes them.
#ifndef USERPAGER_TESTS_PROGRAMS_SPAWN_TEXTS_H_
#define USERPAGER_TESTS_PROGRAMS_SPAWN_TEXTS_H_

#include <string>
#include <vector>

#include "tests/programs/program_run.h"

namespace userpager::programs {

class SpawnTexts {
 public:
  // With the preload library in the environment, where the program is to be managed.
  SpawnTexts(const std::vector<std::string>& command, const RunOptions& options);
  SpawnTexts(const SpawnTexts&) = delete;
  SpawnTexts& operator=(const SpawnTexts&) = delete;

  const char* program() const { return arguments_[0]; }
  // Both end with a null pointer.
  char* const* arguments() const { return arguments_.data(); }
  char* const* environment() const { return environment_.data(); }

 private:
  std::vector<std::string> argument_texts_;
  std::vector<std::string> environment_texts_;
  std::vector<char*> arguments_;
  std::vector<char*> environment_;
};

}  // namespace userpager::programs

#endif  // USERPAGER_TESTS_PROGRAMS_SPAWN_TEXTS_H_
