// SeedRunner: runs scenarios one after the other and tells of the first that goes wrong, also where
// the pager stops the process itself. What the pager writes to standard error (thousands of lines
// about failing stores) is kept aside and shown only then.
#ifndef USERPAGER_TESTS_SIMULATION_SEED_RUNNER_H_
#define USERPAGER_TESTS_SIMULATION_SEED_RUNNER_H_

#include <cstdint>
#include <string>

#include "tests/simulation/simulation.h"

namespace userpager::simulation {

class SeedRunner {
 public:
  // One at a time.
  SeedRunner();
  ~SeedRunner();
  SeedRunner(const SeedRunner&) = delete;
  SeedRunner& operator=(const SeedRunner&) = delete;

  // "" where the run went right, else what was found and how to see it again.
  std::string Run(const Scenario& scenario);
  std::string Run(uint64_t seed) { return Run(Scenario(seed)); }

  uint64_t runs() const { return runs_; }
  // Of all runs; the digest is that of the last.
  const RunTotals& totals() const { return totals_; }

 private:
  uint64_t runs_ = 0;
  RunTotals totals_;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_SEED_RUNNER_H_
