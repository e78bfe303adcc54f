// Simulation: one run of the real pager in a simulated world: one thread, a clock that moves only
// when it is told to, and a scheduler that picks what happens next by seed. The main header of this
// folder.
//
// Cast:    Scenario (what the run consists of), Machine (the shards and the world under them),
//          SimulatedPlatform (the kernel), SimulatedUserfaultfd (a shard's way to it),
//          SimulatedStore (the device), SimulatedThread and ApiCaller (the program), Family (its
//          forked children), Auditor (what must be true), Verdict (what was found).
// Flow:    Run draws events; after each one the Auditor looks at everything. In the end every
//          thread and every call must come to its end, everything is released, and nothing may be
//          left.
// Promise: the same scenario gives the same run, event by event.
// Does not: run Pager and Runtime themselves: ApiCaller does with the shards what they do.
#ifndef USERPAGER_TESTS_SIMULATION_SIMULATION_H_
#define USERPAGER_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/api_caller.h"
#include "tests/simulation/auditor.h"
#include "tests/simulation/family.h"
#include "tests/simulation/simulated_thread.h"

namespace userpager::simulation {

struct RunTotals {
  uint64_t events = 0;
  uint64_t pages_checked = 0;
  uint64_t store_faults = 0;
  uint64_t pages_in = 0;
  uint64_t pages_out = 0;
  uint64_t pages_ahead = 0;
  uint64_t lost_pages = 0;
  uint64_t queued_faults = 0;
  uint64_t forks = 0;   // with those of children; events and checked pages too
  uint64_t digest = 0;  // of everything that happened, in order
};

class Simulation {
 public:
  explicit Simulation(const Scenario& scenario);

  // What was found, with the number of the event; "" where all went right. Once.
  std::string Run();
  const RunTotals& totals() const { return totals_; }
  // The number of the event that is under way in this process: for the report of one that aborts.
  static uint64_t current_event();

 private:
  struct Pin {
    PageIndex page;
    PhysicalPage memory;
    bool writes;
  };

  void GoOn(unsigned events);
  bool MayHappen(Event event) const;
  bool Pick(Event* event);
  void Do(Event event);
  void After();
  void DoThread(bool finish);
  void DoShard();
  void DoPin();
  void DoSignal();
  void DoFork();
  std::string RunAsChild(RunTotals* totals);
  void FreeSlotEarly();
  void NewPin();
  void WriteThrough(const Pin& pin);
  void EndPin(size_t index);
  void CheckProgress();
  std::string TellWaits();
  void Finish();
  bool FinishOne();
  void CollectTotals();

  Machine machine_;
  Auditor auditor_;
  ApiCaller caller_;
  Family family_;
  std::vector<SimulatedThread> threads_;
  std::vector<Pin> pins_;
  RunTotals totals_;
  uint64_t child_pages_checked_ = 0;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_SIMULATION_H_
