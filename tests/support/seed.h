// The seed of a test's random choices: new in each run, printed, and given again by
// USERPAGER_TEST_SEED to replay a run.
#ifndef USERPAGER_TESTS_SUPPORT_SEED_H_
#define USERPAGER_TESTS_SUPPORT_SEED_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace userpager {

inline uint64_t TestSeed() {
  static const uint64_t seed = [] {
    const char* given = std::getenv("USERPAGER_TEST_SEED");
    std::random_device device;
    const uint64_t chosen = given != nullptr ? std::strtoull(given, nullptr, 0)
                                             : uint64_t{device()} << 32 | device();
    std::printf("replay with USERPAGER_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    std::fflush(stdout);
    return chosen;
  }();
  return seed;
}

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_SEED_H_
