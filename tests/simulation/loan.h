// Loan: what a forked child that lives may still read of its parent's page file, as it was at the
// fork.
#ifndef USERPAGER_TESTS_SIMULATION_LOAN_H_
#define USERPAGER_TESTS_SIMULATION_LOAN_H_

#include <vector>

#include "runtime/base/types.h"
#include "tests/simulation/reservation.h"

namespace userpager::simulation {

// A page of the child's that is in a slot.
struct LentPage {
  PageIndex page;
  SlotIndex slot;
  unsigned shard;
  ModelWords words;
};

struct Loan {
  int held = -1;           // the child's end of its life line
  bool ended = false;      // the child is gone, and the page file has not looked since
  std::vector<bool> lent;  // slots
  std::vector<LentPage> pages;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_LOAN_H_
