// What it costs a program to be started with its memory managed: the whole life of one that does
// nothing, of one that does little, and of a compiler, which is three programs, beside the same
// without the preload library. Time is for one run, from the fork to the wait; processor_ms is the
// processor time of the program and its children.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

extern char** environ;

namespace userpager {
namespace {

using Texts = std::vector<std::string>;

std::vector<char*> PointersTo(Texts& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  return pointers;
}

double Milliseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
}

void RunOnce(benchmark::State& state, Texts command, Texts more) {
  std::vector<char*> environment = PointersTo(more);
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  std::vector<char*> arguments = PointersTo(command);
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  double processor_ms = 0;
  for (auto _ : state) {
    pid_t child = 0;
    int status = -1;
    rusage usage{};
    if (posix_spawnp(&child, arguments[0], &files, nullptr, arguments.data(),
                     environment.data()) != 0 ||
        wait4(child, &status, 0, &usage) != child || status != 0) {
      state.SkipWithError("the program could not be run");
      break;
    }
    processor_ms += Milliseconds(usage.ru_utime) + Milliseconds(usage.ru_stime);
  }
  posix_spawn_file_actions_destroy(&files);
  state.counters["processor_ms"] =
      benchmark::Counter(processor_ms, benchmark::Counter::kAvgIterations);
}

void Register(const std::string& program, const Texts& command) {
  const auto add = [&](const std::string& way, const Texts& more) {
    benchmark::RegisterBenchmark((way + "/" + program).c_str(), RunOnce, command, more)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  };
  const std::string library = "LD_PRELOAD=" USERPAGER_PRELOAD_LIBRARY;
  add("Plain", {});
  add("Managed", {library, "USERPAGER_CONF=memory:64M"});
  // Loads OpenSSL's library as well, and makes a key.
  if (program == "true") add("Encrypted", {library, "USERPAGER_CONF=memory:64M,encrypt:aes-xts"});
}

}  // namespace
}  // namespace userpager

int main(int count, char** arguments) {
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 2;
  std::string folder = (std::filesystem::temp_directory_path() / "startup_bench.XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;
  std::ofstream(folder + "/hello.c")
      << "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n";
  userpager::Register("true", {"true"});
  userpager::Register("ls", {"ls", "-l", "/etc"});
  userpager::Register("compile", {"cc", "-c", "-o", folder + "/hello.o", folder + "/hello.c"});
  benchmark::RunSpecifiedBenchmarks();
  std::filesystem::remove_all(folder);
  return 0;
}
