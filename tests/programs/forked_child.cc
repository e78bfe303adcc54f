#include "tests/programs/forked_child.h"

#include <dlfcn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <filesystem>

namespace userpager::programs {

ProgramRun RunManagedChildren(const std::string& name, const std::string& memory,
                              const std::string& configuration,
                              const std::vector<std::string>& environment) {
  // Each key once.
  std::string options = configuration;
  if (options.find("page_file_max:") == std::string::npos) {
    options += std::string(options.empty() ? "" : ",") + "page_file_max:1G";
  }
  return RunManagedTest(
      name, {.memory = memory, .environment = environment, .configuration = options});
}

void ExpectRight(const ProgramRun& run) {
  if (run.status == 126) GTEST_SKIP() << "the pager cannot run here: " << run.complaints;
  EXPECT_EQ(0, run.status) << run.output << run.complaints;
  EXPECT_NE(std::string::npos, run.output.find("[  PASSED  ] 1 test")) << run.output;
}

void ExpectSilent(const ProgramRun& run) {
  ExpectRight(run);
  EXPECT_EQ("", run.complaints);
}

void ExpectTold(const ProgramRun& run, const std::string& line) {
  const size_t at = run.complaints.find(line);
  ASSERT_NE(std::string::npos, at) << line << ", of: " << run.complaints;
  EXPECT_EQ(std::string::npos, run.complaints.find(line, at + 1)) << "told more than once";
}

testing::AssertionResult EndedWithin(pid_t child, size_t most) {
  int status = 0;
  rusage usage{};
  if (child < 0 || wait4(child, &status, 0, &usage) != child) {
    return testing::AssertionFailure() << "no child";
  }
  if (status != 0) return testing::AssertionFailure() << "ended with " << status;
  const size_t had = static_cast<size_t>(usage.ru_maxrss) * 1024;
  if (had <= most) return testing::AssertionSuccess();
  return testing::AssertionFailure() << had << " bytes were resident, of at most " << most;
}

std::optional<userpager_stats> OwnStatistics() {
  static const auto get = reinterpret_cast<int (*)(userpager_stats*)>(
      dlsym(RTLD_DEFAULT, "userpager_get_stats"));
  userpager_stats stats{};
  stats.struct_bytes = sizeof stats;
  if (get == nullptr || get(&stats) != 0) return std::nullopt;
  return stats;
}

bool IsAnnounced(pid_t process) {
  const std::string prefix = "userpager-" + std::to_string(process) + "-";
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().compare(0, prefix.size(), prefix) == 0) return true;
  }
  return false;
}

}  // namespace userpager::programs
