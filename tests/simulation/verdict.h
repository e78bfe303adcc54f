// Verdict: whether a simulated run has gone right so far, and if not, what was found first.
#ifndef USERPAGER_TESTS_SIMULATION_VERDICT_H_
#define USERPAGER_TESTS_SIMULATION_VERDICT_H_

#include <string>

namespace userpager::simulation {

class Verdict {
 public:
  void Fail(const std::string& what) {
    if (what_.empty()) what_ = what;
  }
  bool ok() const { return what_.empty(); }
  const std::string& what() const { return what_; }

 private:
  std::string what_;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_VERDICT_H_
