#include "bench/support/workload.h"

#include <gtest/gtest.h>

#include <vector>

#include "bench/support/page_pattern.h"

namespace userpager::bench {
namespace {

constexpr uint64_t kPages = 256;

WorkloadLimits Limits() {
  WorkloadLimits limits;
  limits.memory_pages = kPages / 4;
  limits.accesses = 1000;
  limits.time_ns = uint64_t{60} * 1'000'000'000;
  return limits;
}

class OutOfCoreWorkload : public testing::TestWithParam<WorkloadTraits> {
 protected:
  OutOfCoreWorkload() : memory_(kPages * kPageBytes) {
    if (!GetParam().fits) FillPages(memory_.data(), kPages);
  }

  std::vector<unsigned char> memory_;
};

// On any memory, every workload finds what was written, and says how much it did.
TEST_P(OutOfCoreWorkload, ReadsWhatWasFilled) {
  Metrics metrics;
  PrepareWorkload(GetParam().workload, memory_.data(), kPages, Limits());
  RunWorkload(GetParam().workload, memory_.data(), kPages, Limits(), &metrics);
  EXPECT_GT(metrics["value"], 0);
  EXPECT_GT(metrics["accesses"], 0);
}

// The first, the last and a middle page: each workload that reads them all meets a wrong one.
TEST_P(OutOfCoreWorkload, DiesOfAWrongPage) {
  const Workload workload = GetParam().workload;
  if (workload == Workload::kFill || GetParam().fits) GTEST_SKIP() << "it reads no pattern";
  for (uint64_t page = 0; page < kPages; ++page) memory_[page * kPageBytes] ^= 1;
  Metrics metrics;
  EXPECT_EXIT(RunWorkload(workload, memory_.data(), kPages, Limits(), &metrics),
              testing::ExitedWithCode(1), "does not hold what was written");
}

INSTANTIATE_TEST_SUITE_P(AllInOnePiece, OutOfCoreWorkload,
                         testing::ValuesIn(kWorkloads.begin(), kWorkloads.end() - 1),
                         [](const auto& of) {
                           std::string name = of.param.name;
                           std::erase(name, '-');
                           return name;
                         });

TEST(PagePattern, AWrongPageIsSeen) {
  const PagePattern pattern;
  std::vector<uint64_t> page(kPageBytes / sizeof(uint64_t));
  pattern.Write(page.data(), 5);
  EXPECT_TRUE(pattern.Holds(page.data(), 5));
  EXPECT_FALSE(pattern.Holds(page.data(), 6));
  EXPECT_FALSE(pattern.Holds(page.data(), 5, 1));
  PagePattern::Rewrite(page.data());
  EXPECT_TRUE(pattern.Holds(page.data(), 5, 1));
  EXPECT_FALSE(pattern.Holds(page.data(), 5));
}

}  // namespace
}  // namespace userpager::bench
