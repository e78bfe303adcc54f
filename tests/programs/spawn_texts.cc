#include "tests/programs/spawn_texts.h"

#include <unistd.h>

#include <cstdlib>

namespace userpager::programs {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The one of this build, or another that USERPAGER_TEST_PRELOAD names.
std::string PreloadLibrary() {
  const char* const other = std::getenv("USERPAGER_TEST_PRELOAD");
  return other != nullptr ? other : USERPAGER_PRELOAD_LIBRARY;
}

}  // namespace

SpawnTexts::SpawnTexts(const std::vector<std::string>& command, const RunOptions& options)
    : argument_texts_(command), environment_texts_(options.environment) {
  if (!options.memory.empty()) {
    environment_texts_.push_back("LD_PRELOAD=" + PreloadLibrary());
    environment_texts_.push_back("USERPAGER_CONF=memory:" + options.memory + "," +
                                 options.configuration);
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    environment_texts_.emplace_back(*entry);
  }
  arguments_ = Pointers(argument_texts_);
  environment_ = Pointers(environment_texts_);
}

}  // namespace userpager::programs
