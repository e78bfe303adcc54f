// How much of something a test has done, for tests/soak.sh, which adds it up.
#ifndef USERPAGER_TESTS_SUPPORT_COUNTED_H_
#define USERPAGER_TESTS_SUPPORT_COUNTED_H_

#include <cinttypes>
#include <cstdint>
#include <cstdio>

namespace userpager {

// One line on standard output; `what` is a word in the plural, such as "bytes_checked".
inline void Counted(const char* what, uint64_t count) {
  std::printf("COUNTED %s=%" PRIu64 "\n", what, count);
  std::fflush(stdout);
}

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_COUNTED_H_
