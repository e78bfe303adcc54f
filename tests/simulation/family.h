// Family: forks of the simulated program. The real process forks, so that the child has all of the
// parent's structures as a real child has them, and goes on with a simulated kernel that knows
// nothing any more of registrations and write protection. It runs to its end at once, while the
// parent waits; then the parent goes on, for which the child lives until an event ends it.
//
// Nothing is missed by that: the child is right if what it was lent stays as it was, which is so in
// its own copy of the store; that it stays so in the parent's, as long as the child lives, is what
// the Auditor looks at after each of the parent's events.
//
// As Pager and Reservations do around fork (fork.cc, child.cc).
#ifndef USERPAGER_TESTS_SIMULATION_FAMILY_H_
#define USERPAGER_TESTS_SIMULATION_FAMILY_H_

#include <functional>
#include <string>

#include "runtime/page_file/page_file.h"
#include "tests/simulation/api_caller.h"
#include "tests/simulation/auditor.h"
#include "tests/simulation/machine.h"

namespace userpager::simulation {

class Family {
 public:
  Family(Machine& machine, Auditor& auditor, ApiCaller& caller)
      : machine_(machine), auditor_(auditor), caller_(caller) {}

  // A child ends, or one is forked and runs: `run` is called there, and returns what it found.
  // What the child found, or "".
  std::string Step(const std::function<std::string()>& run);
  // All children are gone.
  void End();
  uint64_t forks() const { return forks_; }

 private:
  std::string Fork(const std::function<std::string()>& run);
  std::string Begin(const SlotLoan& loan, PageCount limit);
  bool Adopt(PageCount limit);
  void Thaw();
  void Remember(int held);
  void EndOne(size_t index);

  Machine& machine_;
  Auditor& auditor_;
  ApiCaller& caller_;
  unsigned generation_ = 0;  // 0: nobody's child
  uint64_t forks_ = 0;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_FAMILY_H_
