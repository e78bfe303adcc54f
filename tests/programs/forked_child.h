// What tests of forked children, which run under the preload library themselves, look at.
#ifndef USERPAGER_TESTS_PROGRAMS_FORKED_CHILD_H_
#define USERPAGER_TESTS_PROGRAMS_FORKED_CHILD_H_

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "include/userpager/userpager.h"
#include "tests/programs/program_run.h"

namespace userpager::programs {

// Runs the test Managed.DISABLED_<name> of this program under the preload library.
ProgramRun RunManagedChildren(const std::string& name, const std::string& memory,
                              const std::string& configuration = {},
                              const std::vector<std::string>& environment = {});
// Of such a run. Skips the test where the pager cannot run here.
void ExpectRight(const ProgramRun& run);
void ExpectSilent(const ProgramRun& run);
// That the line is told, and once only.
void ExpectTold(const ProgramRun& run, const std::string& line);

// Waits; whether it ended well, having had no more than `most` resident at a time.
testing::AssertionResult EndedWithin(pid_t child, size_t most = SIZE_MAX);

// Of this process; none where its memory is plain.
std::optional<userpager_stats> OwnStatistics();

// Whether others find the statistics of the process.
bool IsAnnounced(pid_t process);

}  // namespace userpager::programs

#endif  // USERPAGER_TESTS_PROGRAMS_FORKED_CHILD_H_
