// One program, run as it is and with a quarter of the memory that it uses, or less: it must do the
// same, and take no more than that.
#ifndef USERPAGER_TESTS_PROGRAMS_COMPARISON_H_
#define USERPAGER_TESTS_PROGRAMS_COMPARISON_H_

#include <cstdint>
#include <string>
#include <vector>

namespace userpager::programs {

struct Comparison {
  std::vector<std::string> command;
  std::vector<std::string> idle;  // the same program with nothing to do
  uint64_t memory_bytes = 0;      // the limit, or a quarter of what it uses where that is less
  // Beside the limit and what the idle program takes: what the C library allocates for itself,
  // stacks, the runtime's own data.
  uint64_t unmanaged_bytes = 0;
};

// Exit status, output and complaints are the same; what is resident is looked at from outside while
// the managed program runs.
void ExpectSameInLessMemory(const Comparison& comparison);

}  // namespace userpager::programs

#endif  // USERPAGER_TESTS_PROGRAMS_COMPARISON_H_
