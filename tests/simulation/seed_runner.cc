#include "tests/simulation/seed_runner.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/support/sanitizers.h"

namespace userpager::simulation {
namespace {

// The end of what the pager wrote is what matters.
constexpr off_t kShownBytes = 2000;

int kept_aside = -1;      // what goes to standard error meanwhile
int standard_error = -1;  // the real one
std::atomic<uint64_t> current_seed{0};
char current_scenario[300] = "";

void ShowEnd() {
  char text[kShownBytes];
  const off_t end = lseek(kept_aside, 0, SEEK_END);
  const ssize_t got = pread(kept_aside, text, sizeof text, std::max<off_t>(0, end - kShownBytes));
  if (got > 0 && write(standard_error, text, static_cast<size_t>(got)) != got) return;
}

// A check of the pager failed: the process ends, and the seed must be known.
void OnAbort(int) {
  ShowEnd();
  char line[512];
  const int length =
      snprintf(line, sizeof line,
               "simulation: stopped at event %llu (%s); see it again with --seed=%llu\n",
               static_cast<unsigned long long>(Simulation::current_event()), current_scenario,
               static_cast<unsigned long long>(current_seed.load()));
  if (write(standard_error, line, static_cast<size_t>(length)) != length) _exit(1);
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
}

}  // namespace

// A sanitizer writes to standard error itself, and ends the process without SIGABRT.
SeedRunner::SeedRunner() {
  if (kInstrumented) return;
  kept_aside = memfd_create("simulation", MFD_CLOEXEC);
  standard_error = dup(STDERR_FILENO);
  if (kept_aside < 0 || standard_error < 0 || dup2(kept_aside, STDERR_FILENO) < 0) abort();
  signal(SIGABRT, OnAbort);
}

SeedRunner::~SeedRunner() {
  if (kInstrumented) return;
  signal(SIGABRT, SIG_DFL);
  if (dup2(standard_error, STDERR_FILENO) < 0) abort();
  close(standard_error);
  close(kept_aside);
}

std::string SeedRunner::Run(const Scenario& scenario) {
  current_seed = scenario.seed;
  snprintf(current_scenario, sizeof current_scenario, "%s", scenario.Describe().c_str());
  if (kInstrumented) {
    fprintf(stderr, "simulation: seed %llu\n", static_cast<unsigned long long>(scenario.seed));
  } else if (ftruncate(kept_aside, 0) != 0 || lseek(kept_aside, 0, SEEK_SET) != 0) {
    abort();
  }
  Simulation simulation(scenario);
  const std::string found = simulation.Run();
  const RunTotals& totals = simulation.totals();
  ++runs_;
  totals_.events += totals.events;
  totals_.pages_checked += totals.pages_checked;
  totals_.store_faults += totals.store_faults;
  totals_.pages_in += totals.pages_in;
  totals_.pages_out += totals.pages_out;
  totals_.pages_ahead += totals.pages_ahead;
  totals_.lost_pages += totals.lost_pages;
  totals_.queued_faults += totals.queued_faults;
  totals_.forks += totals.forks;
  totals_.digest = totals.digest;
  if (found.empty()) return "";
  if (!kInstrumented) ShowEnd();
  return absl::StrCat(found, "\n", scenario.Describe(), "\nsee it again with --seed=",
                      scenario.seed);
}

}  // namespace userpager::simulation
