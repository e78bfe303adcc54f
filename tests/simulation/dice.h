// Dice: the random choices of one simulated run. The same seed gives the same choices on every
// machine and with every standard library.
#ifndef USERPAGER_TESTS_SIMULATION_DICE_H_
#define USERPAGER_TESTS_SIMULATION_DICE_H_

#include <cstdint>

namespace userpager::simulation {

class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}

  // SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }
  // 0 to below - 1; `below` is not 0.
  uint64_t Below(uint64_t below) { return Next() % below; }
  // From `least` to `most`, both included.
  uint64_t Between(uint64_t least, uint64_t most) { return least + Below(most - least + 1); }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  // True `per_mille` times in a thousand. No draw for what never happens.
  bool Happens(unsigned per_mille) { return per_mille > 0 && Below(1000) < per_mille; }

 private:
  uint64_t state_;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_DICE_H_
