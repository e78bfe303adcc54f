// Who tests the simulation: faults of a pager that are put in on purpose and must be found.
#include <string>

#include "gtest/gtest.h"
#include "tests/simulation/seed_runner.h"
#include "tests/support/child_process.h"

namespace userpager::simulation {
namespace {

// Each canary shows in most runs; so many in a row without are no accident.
constexpr uint64_t kSeeds = 40;

// In a child, as the pager's own checks may find it first, and stop the process.
std::string RunWith(Canary canary) {
  return InChild([canary]() -> std::string {
    SeedRunner runner;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      Scenario scenario(seed);
      scenario.canary = canary;
      const std::string found = runner.Run(scenario);
      if (!found.empty()) return found;
    }
    return "";
  });
}

TEST(Canary, NoneIsSeenWhereNoneIs) { EXPECT_EQ(RunWith(Canary::kNone), ""); }

TEST(Canary, StoresThatAreNotHeldOffAreFound) {
  EXPECT_NE(RunWith(Canary::kNoWriteProtection), "");
}

TEST(Canary, AForgottenWakeIsFound) { EXPECT_NE(RunWith(Canary::kForgottenWake), ""); }

TEST(Canary, ASlotThatIsFreedEarlyIsFound) { EXPECT_NE(RunWith(Canary::kSlotFreedEarly), ""); }

TEST(Canary, MemoryBeyondTheLimitIsFound) { EXPECT_NE(RunWith(Canary::kMemoryKept), ""); }

TEST(Canary, WrongBytesThatPassForRightAreFound) { EXPECT_NE(RunWith(Canary::kTornRead), ""); }

TEST(Canary, AMessageThatReachesTheWrongShardIsFound) {
  EXPECT_NE(RunWith(Canary::kWrongShard), "");
}

TEST(Canary, SlotsGivenUpThatAChildMayReadAreFound) {
  EXPECT_NE(RunWith(Canary::kLentSlotsFreed), "");
}

TEST(Canary, AChildThatDoesNotHoldOffStoresIsFound) {
  EXPECT_NE(RunWith(Canary::kChildUnprotected), "");
}

}  // namespace
}  // namespace userpager::simulation
