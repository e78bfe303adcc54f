// What the tests of the C++ layer share: a pager that is started once a process, with a memory
// limit that the larger containers do not fit into, and short forms of its reports.
#ifndef USERPAGER_TESTS_API_MEMORY_FIXTURE_H_
#define USERPAGER_TESTS_API_MEMORY_FIXTURE_H_

#include <gtest/gtest.h>
#include <userpager/memory.hpp>
#include <userpager/userpager.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace userpager_tests {

inline constexpr std::size_t kMiB = std::size_t{1} << 20;
inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kGranularityBytes = 65536;
inline constexpr std::size_t kMemoryLimitBytes = 16 * kMiB;
inline constexpr std::size_t kPageFileBytes = 256 * kMiB;

inline userpager_stats Stats() {
  userpager_stats stats = {};
  stats.struct_bytes = sizeof(stats);
  EXPECT_EQ(userpager_get_stats(&stats), 0) << userpager_error_message();
  return stats;
}

inline uint64_t CommitBytes() { return Stats().commit_bytes; }

inline MEMORY_BASIC_INFORMATION Query(const void* address) {
  MEMORY_BASIC_INFORMATION information = {};
  EXPECT_EQ(VirtualQuery(address, &information, sizeof(information)), sizeof(information));
  return information;
}

// tests/CMakeLists.txt runs some programs again with other options; nullptr: with the usual ones.
inline const char* OtherOptions() { return std::getenv("USERPAGER_TEST_OPTIONS"); }

// Starts the pager once for all tests of the process.
class MemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    static const int started = Start();
    if (started == USERPAGER_ERROR_NO_USERFAULTFD || started == USERPAGER_ERROR_NO_IO_URING) {
      GTEST_SKIP() << "the pager cannot run here: " << userpager_error_message();
    }
    ASSERT_TRUE(started == 0 || started == USERPAGER_ERROR_ALREADY_STARTED)
        << userpager_error_message();
  }

 private:
  static int Start() {
    userpager_options options;
    userpager_options_init(&options);
    options.memory_limit_bytes = kMemoryLimitBytes;
    options.page_file_max_bytes = kPageFileBytes;
    const char* others = OtherOptions();
    if (others != nullptr && userpager_options_parse(&options, others) != 0) {
      return USERPAGER_ERROR_INVALID_OPTION;
    }
    return userpager_start(&options);
  }
};

}  // namespace userpager_tests

#endif  // USERPAGER_TESTS_API_MEMORY_FIXTURE_H_
