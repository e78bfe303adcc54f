// Simulated runs by seed. As a test: a short series of new seeds. By hand:
//
//   build/release/tests/simulation_random_runs_test --seeds=100000    many new ones
//   build/release/tests/simulation_random_runs_test --seed=N          that one alone
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "tests/simulation/seed_runner.h"
#include "tests/support/counted.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"

namespace userpager::simulation {
namespace {

// So that a test takes a few seconds in every build.
constexpr uint64_t kSeeds = kInstrumented ? 20 : 300;

uint64_t seeds = kSeeds;
const char* only_seed = nullptr;

void Tell(const SeedRunner& runner) {
  const RunTotals& totals = runner.totals();
  std::printf("%llu runs, %llu events, %llu pages in, %llu out, %llu read ahead, %llu faults of the"
              " store, %llu pages lost by it, %llu faults that waited for memory, %llu forks,"
              " %llu pages checked\n",
              static_cast<unsigned long long>(runner.runs()),
              static_cast<unsigned long long>(totals.events),
              static_cast<unsigned long long>(totals.pages_in),
              static_cast<unsigned long long>(totals.pages_out),
              static_cast<unsigned long long>(totals.pages_ahead),
              static_cast<unsigned long long>(totals.store_faults),
              static_cast<unsigned long long>(totals.lost_pages),
              static_cast<unsigned long long>(totals.queued_faults),
              static_cast<unsigned long long>(totals.forks),
              static_cast<unsigned long long>(totals.pages_checked));
  Counted("seeds", runner.runs());
  Counted("operations", totals.events);
  Counted("faults_injected", totals.store_faults);
  Counted("pages_compared", totals.pages_checked);
}

TEST(RandomRuns, NothingIsLost) {
  SeedRunner runner;
  const uint64_t first = only_seed != nullptr ? std::strtoull(only_seed, nullptr, 0) : TestSeed();
  const uint64_t count = only_seed != nullptr ? 1 : seeds;
  for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(runner.Run(first + i), "");
  Tell(runner);
}

// A run that cannot be seen again is no help.
TEST(RandomRuns, SameSeedSameRun) {
  SeedRunner runner;
  for (uint64_t i = 0; i < 5; ++i) {
    const uint64_t seed = TestSeed() + i;
    ASSERT_EQ(runner.Run(seed), "");
    const uint64_t digest = runner.totals().digest;
    ASSERT_EQ(runner.Run(seed), "");
    EXPECT_EQ(runner.totals().digest, digest) << "seed " << seed;
  }
}

}  // namespace

bool TakeArgument(const char* argument) {
  constexpr const char kCount[] = "--seeds=";
  constexpr const char kOne[] = "--seed=";
  if (std::strncmp(argument, kCount, sizeof kCount - 1) == 0) {
    seeds = std::strtoull(argument + sizeof kCount - 1, nullptr, 0);
  } else if (std::strncmp(argument, kOne, sizeof kOne - 1) == 0) {
    only_seed = argument + sizeof kOne - 1;
  } else {
    return false;
  }
  return true;
}

}  // namespace userpager::simulation

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (userpager::simulation::TakeArgument(argv[i])) continue;
    std::fprintf(stderr, "unknown argument: %s (--seeds=COUNT, --seed=NUMBER)\n", argv[i]);
    return 2;
  }
  return RUN_ALL_TESTS();
}
