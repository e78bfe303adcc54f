// userpager_get_stats and userpager_set_memory_limit.
#include <chrono>
#include <thread>
#include <vector>

#include "tests/api/virtual_memory_fixture.h"

namespace userpager_tests {
namespace {

using StatisticsTest = VirtualMemoryTest;

constexpr size_t kBytes = 3 * kMemoryLimitBytes;

void Fill(std::byte* base, size_t bytes, unsigned salt) {
  for (size_t at = 0; at < bytes; at += kP) memset(base + at, static_cast<int>(at / kP + salt), 64);
}
size_t CountWrong(const std::byte* base, size_t bytes, unsigned salt) {
  size_t wrong = 0;
  for (size_t at = 0; at < bytes; at += kP) wrong += ByteAt(base + at) != (at / kP + salt) % 256;
  return wrong;
}

TEST_F(StatisticsTest, SettingsAreTold) {
  const userpager_stats stats = Stats();
  EXPECT_EQ(stats.struct_bytes, sizeof stats);
  EXPECT_EQ(stats.shards, 1u);
  EXPECT_EQ(stats.commit, USERPAGER_COMMIT_STRICT);
  EXPECT_EQ(stats.io, USERPAGER_IO_URING);
  EXPECT_EQ(stats.memory_limit_bytes, kMemoryLimitBytes);
  EXPECT_LE(stats.page_file_max_bytes, kPageFileBytes);
  EXPECT_GT(stats.page_file_max_bytes, kPageFileBytes - 64 * kP);
  EXPECT_LT(stats.commit_limit_bytes, kMemoryLimitBytes + kPageFileBytes);
  EXPECT_GT(stats.commit_limit_bytes, kPageFileBytes);
}

TEST_F(StatisticsTest, FirstTouchesAreDemandZeroFaults) {
  std::byte* base = Commit(kG);
  const userpager_stats before = Stats();
  base[0] = std::byte{1};
  const userpager_stats after = Stats();
  EXPECT_EQ(after.demand_zero_faults, before.demand_zero_faults + 1);
  EXPECT_EQ(after.demand_zero_latency.count, before.demand_zero_latency.count + 1);
  EXPECT_GT(after.demand_zero_latency.max_ns, 0u);
  EXPECT_GE(after.fault_longest_wait_ns, after.demand_zero_latency.max_ns);
  EXPECT_GE(after.resident_bytes, kP);
  Release(base);
}

// A write is counted when it begins, its pages when it has ended: waits for those under way.
userpager_stats StatsWithoutWrites() {
  userpager_stats stats = Stats();
  for (int i = 0; i < 10'000 && stats.file_write_bytes != stats.pages_out * kP; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    stats = Stats();
  }
  return stats;
}

TEST_F(StatisticsTest, PagingIsCounted) {
  std::byte* base = Commit(kBytes);
  const userpager_stats before = StatsWithoutWrites();
  Fill(base, kBytes, 1);
  ASSERT_EQ(CountWrong(base, kBytes, 1), 0u);
  Fill(base, kBytes, 2);
  const userpager_stats after = StatsWithoutWrites();
  EXPECT_GT(after.pages_out, before.pages_out);
  EXPECT_GT(after.pages_in, before.pages_in);
  EXPECT_GT(after.hard_faults, before.hard_faults);
  EXPECT_GT(after.write_protect_faults + after.soft_faults,
            before.write_protect_faults + before.soft_faults);
  EXPECT_GT(after.clean_pages_dropped, before.clean_pages_dropped);
  EXPECT_EQ(after.file_write_bytes - before.file_write_bytes,
            (after.pages_out - before.pages_out) * kP);
  EXPECT_GE(after.file_read_bytes - before.file_read_bytes,
            (after.pages_in - before.pages_in) * kP);
  EXPECT_LE(after.file_writes - before.file_writes, after.pages_out - before.pages_out);
  EXPECT_LE(after.ahead_pages_used, after.ahead_pages);
  EXPECT_EQ(after.lost_pages, 0u);
  EXPECT_EQ(after.file_read_errors + after.file_write_errors, 0u);
  EXPECT_EQ(after.hard_latency.count, after.hard_faults);
  EXPECT_LE(after.hard_latency.p50_ns, after.hard_latency.p99_ns);
  EXPECT_LE(after.hard_latency.p99_ns, after.hard_latency.p999_ns);
  EXPECT_LE(after.hard_latency.p999_ns, after.hard_latency.max_ns);
  for (const userpager_latency& one : {after.demand_zero_latency, after.soft_latency,
                                       after.hard_latency, after.write_protect_latency}) {
    EXPECT_GE(after.fault_longest_wait_ns, one.max_ns);
  }
  Release(base);
}

TEST_F(StatisticsTest, MemoryNeverPassesItsLimit) {
  std::byte* base = Commit(kBytes);
  for (unsigned salt = 0; salt < 3; ++salt) {
    Fill(base, kBytes, salt);
    EXPECT_LE(Stats().resident_bytes, kMemoryLimitBytes);
  }
  EXPECT_LE(Stats().resident_bytes_peak, kMemoryLimitBytes);
  Release(base);
}

TEST_F(StatisticsTest, ZeroPagesTakeNoSlots) {
  std::byte* base = Commit(kBytes);
  const userpager_stats before = StatsWithoutWrites();
  for (size_t at = 0; at < kBytes; at += kP) base[at] = std::byte{0};
  const userpager_stats after = Stats();
  EXPECT_GT(after.zero_pages_dropped, before.zero_pages_dropped);
  EXPECT_EQ(after.pages_out, before.pages_out);
  EXPECT_TRUE(IsZero(base, kBytes));
  Release(base);
}

TEST_F(StatisticsTest, ViolationsAreCounted) {
  std::byte* base = Commit(2 * kP, PAGE_READONLY);
  ASSERT_EQ(ByteAt(base), 0u);
  const userpager_stats before = Stats();
  EXPECT_TRUE(WriteFaults(base));
  EXPECT_GT(Stats().access_violations, before.access_violations);
  Release(base);
}

TEST_F(StatisticsTest, StructBytesIsChecked) {
  userpager_stats stats = {};
  for (const uint32_t bytes : {0u, 7u, 12u}) {
    stats.struct_bytes = bytes;
    EXPECT_EQ(userpager_get_stats(&stats), USERPAGER_ERROR_INVALID_OPTION);
    EXPECT_NE(std::string(userpager_error_message()).find("struct_bytes"), std::string::npos);
  }
}

// A program that was built with an older or a newer header.
TEST_F(StatisticsTest, OtherSizesOfTheStruct) {
  struct {
    userpager_stats stats;
    uint64_t behind[4];
  } larger;
  memset(&larger, 0xff, sizeof larger);
  larger.stats.struct_bytes = sizeof larger.stats + 16;
  ASSERT_EQ(userpager_get_stats(&larger.stats), 0);
  EXPECT_EQ(larger.stats.struct_bytes, sizeof larger.stats + 16);
  EXPECT_EQ(larger.behind[1], 0u);
  EXPECT_EQ(larger.behind[2], UINT64_MAX);
  memset(&larger, 0xff, sizeof larger);
  larger.stats.struct_bytes = 16;
  ASSERT_EQ(userpager_get_stats(&larger.stats), 0);
  EXPECT_EQ(larger.stats.shards, 1u);
  EXPECT_EQ(larger.stats.demand_zero_faults, UINT64_MAX);
}

TEST_F(StatisticsTest, LimitGoesDownAndUp) {
  std::byte* base = Commit(kBytes);
  Fill(base, kBytes, 5);
  ASSERT_EQ(userpager_set_memory_limit(4 * kMiB + 123), 0) << userpager_error_message();
  EXPECT_EQ(Stats().memory_limit_bytes, 4 * kMiB);
  EXPECT_LE(Stats().resident_bytes, 4 * kMiB);
  EXPECT_EQ(CountWrong(base, kBytes, 5), 0u);
  EXPECT_LE(Stats().resident_bytes, 4 * kMiB);
  Fill(base, kBytes, 6);
  ASSERT_EQ(userpager_set_memory_limit(kMemoryLimitBytes), 0) << userpager_error_message();
  EXPECT_EQ(CountWrong(base, kBytes, 6), 0u);
  EXPECT_EQ(Stats().memory_limit_bytes, kMemoryLimitBytes);
  Release(base);
}

TEST_F(StatisticsTest, ImpossibleLimitsAreRefused) {
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{4096}, UINT64_MAX}) {
    EXPECT_EQ(userpager_set_memory_limit(bytes), USERPAGER_ERROR_MEMORY_LIMIT) << bytes;
    EXPECT_NE(std::string(userpager_error_message()).find("memory limit"), std::string::npos);
  }
  EXPECT_EQ(Stats().memory_limit_bytes, kMemoryLimitBytes);
}

// What is committed to the last page cannot lose the memory that it was promised.
TEST_F(StatisticsTest, LowerLimitDoesNotBreakPromises) {
  std::vector<std::byte*> regions;
  for (int i = 0; i < 1000; ++i) {
    std::byte* region = Commit(kMiB);
    if (region == nullptr) break;
    regions.push_back(region);
  }
  ASSERT_GT(regions.size(), 250u);
  ASSERT_LT(regions.size(), 1000u);
  EXPECT_EQ(userpager_set_memory_limit(4 * kMiB), USERPAGER_ERROR_NO_SPACE);
  EXPECT_EQ(Stats().memory_limit_bytes, kMemoryLimitBytes);
  for (std::byte* region : regions) Release(region);
  EXPECT_EQ(userpager_set_memory_limit(4 * kMiB), 0) << userpager_error_message();
  EXPECT_EQ(userpager_set_memory_limit(kMemoryLimitBytes), 0) << userpager_error_message();
}

}  // namespace
}  // namespace userpager_tests
