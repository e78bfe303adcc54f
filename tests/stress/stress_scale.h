// How large a stress test is: USERPAGER_STRESS_SCALE has the percent of the full size.
#ifndef USERPAGER_TESTS_STRESS_STRESS_SCALE_H_
#define USERPAGER_TESTS_STRESS_STRESS_SCALE_H_

#include <cstdint>
#include <cstdlib>

namespace userpager::stress {

// 1 to 100; 100 where the variable is not set or makes no sense.
inline uint64_t ScalePercent() {
  const char* const text = std::getenv("USERPAGER_STRESS_SCALE");
  const long percent = text == nullptr ? 100 : std::strtol(text, nullptr, 10);
  return percent >= 1 && percent <= 100 ? static_cast<uint64_t>(percent) : 100;
}

inline uint64_t Scaled(uint64_t full) { return full * ScalePercent() / 100; }

}  // namespace userpager::stress

#endif  // USERPAGER_TESTS_STRESS_STRESS_SCALE_H_
