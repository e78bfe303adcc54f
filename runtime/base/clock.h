// Monotonic time in nanoseconds, from the vDSO: no system call, no malloc. Where the runtime is
// built for tests, a simulation may set the time.
#ifndef USERPAGER_BASE_CLOCK_H_
#define USERPAGER_BASE_CLOCK_H_

#include <time.h>

#include <cstdint>
#ifdef USERPAGER_SYNC_POINTS
#include <atomic>
#endif

namespace userpager {

inline constexpr uint64_t kMillisecond = 1'000'000;  // in nanoseconds

#ifdef USERPAGER_SYNC_POINTS
inline std::atomic<uint64_t> simulated_now_ns{0};  // 0: the time is real
#endif

inline uint64_t NowNanoseconds() {
#ifdef USERPAGER_SYNC_POINTS
  const uint64_t simulated = simulated_now_ns.load(std::memory_order_relaxed);
  if (simulated != 0) return simulated;
#endif
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace userpager

#endif  // USERPAGER_BASE_CLOCK_H_
