// What it costs a program to be started with its memory managed: the whole life of one that does
// nothing, beside the same without the preload library. Time is for one program, from the fork to
// the wait.
#include <benchmark/benchmark.h>
#include <spawn.h>
#include <sys/wait.h>

#include <string>
#include <vector>

extern char** environ;

namespace userpager {
namespace {

constexpr const char* kProgram = "/bin/true";

void RunOnce(benchmark::State& state, std::vector<std::string> more) {
  std::vector<char*> environment;
  for (std::string& entry : more) environment.push_back(entry.data());
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  std::string name = kProgram;
  char* arguments[] = {name.data(), nullptr};
  for (auto _ : state) {
    pid_t child = 0;
    int status = -1;
    if (posix_spawn(&child, kProgram, nullptr, nullptr, arguments, environment.data()) != 0 ||
        waitpid(child, &status, 0) != child || status != 0) {
      state.SkipWithError("the program could not be run");
      break;
    }
  }
}

void Plain(benchmark::State& state) { RunOnce(state, {}); }

void Managed(benchmark::State& state) {
  RunOnce(state, {"LD_PRELOAD=" USERPAGER_PRELOAD_LIBRARY, "USERPAGER_CONF=memory:64M"});
}

BENCHMARK(Plain)->Unit(benchmark::kMillisecond)->UseRealTime();
// Loads OpenSSL's library as well, and makes a key.
void Encrypted(benchmark::State& state) {
  RunOnce(state, {"LD_PRELOAD=" USERPAGER_PRELOAD_LIBRARY,
                  "USERPAGER_CONF=memory:64M,encrypt:aes-xts"});
}

BENCHMARK(Managed)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(Encrypted)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace userpager

BENCHMARK_MAIN();
