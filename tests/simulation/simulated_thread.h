// SimulatedThread: a thread of the simulated program. It goes through memory in one of several
// ways, reads and writes, and checks what it reads against the model. An access that faults sleeps
// until it is woken and is made again.
#ifndef USERPAGER_TESTS_SIMULATION_SIMULATED_THREAD_H_
#define USERPAGER_TESTS_SIMULATION_SIMULATED_THREAD_H_

#include <cstdint>

#include "tests/simulation/machine.h"

namespace userpager::simulation {

class SimulatedThread {
 public:
  SimulatedThread(Machine& machine, unsigned number) : machine_(machine), number_(number) {}

  bool can_run() const { return !machine_.platform.IsAsleep(number_); }
  // An access was begun and is not through.
  bool is_busy() const { return pending_; }
  // In a forked child, which has none of its parent's threads: as one that has just begun.
  void Forget() {
    pending_ = false;
    steps_left_ = 0;
  }
  // Some accesses, until one sleeps. With `finish`: only the one that is pending.
  void Run(bool finish);

 private:
  enum class Pattern : uint8_t { kScattered, kForward, kBackward, kStrided, kHot };

  void NextWalk();
  bool NextAccess();
  void Attempt();
  void Done(PageBytes& contents);
  void Read(ModelPage& model, const PageBytes& contents);
  void Write(ModelPage& model, PageBytes& contents);
  void Refused(TouchOutcome outcome);
  void Handle(ModelPage& model);
  bool MeetsChange(bool allows) const;
  void Fail(const char* what);

  Machine& machine_;
  const unsigned number_;
  // The walk.
  Pattern pattern_ = Pattern::kScattered;
  unsigned steps_left_ = 0;
  unsigned reservation_ = 0;
  int64_t position_ = 0;
  int64_t stride_ = 1;
  // The access.
  bool pending_ = false;
  bool write_ = false;
  PageIndex page_;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_SIMULATED_THREAD_H_
