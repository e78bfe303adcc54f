// AccessTimes: how long each access of a run took, hits and misses apart.
#ifndef USERPAGER_BENCH_SUPPORT_ACCESS_TIMES_H_
#define USERPAGER_BENCH_SUPPORT_ACCESS_TIMES_H_

#include <cstdint>

#include "bench/support/metrics.h"
#include "bench/support/sample_set.h"

namespace userpager::bench {

class AccessTimes {
 public:
  // Accesses beyond the capacity are not kept.
  explicit AccessTimes(size_t capacity) : all_(capacity), misses_(capacity) {}

  // An access that took longer was no hit.
  static constexpr uint64_t kHitNanosecondsMax = 2'000;

  void Add(uint64_t nanoseconds) {
    all_.Add(nanoseconds);
    if (nanoseconds > kHitNanosecondsMax) misses_.Add(nanoseconds);
  }
  void Add(const AccessTimes& other) {
    all_.Add(other.all_.samples());
    misses_.Add(other.misses_.samples());
  }
  size_t count() const { return all_.count(); }

  // Adds "p50_us", "p99_us", "misses", "miss_p50_us" and "miss_p99_us".
  void AddTo(Metrics* metrics) {
    (*metrics)["p50_us"] = Microseconds(all_.Percentile(500));
    (*metrics)["p99_us"] = Microseconds(all_.Percentile(990));
    (*metrics)["misses"] = static_cast<double>(misses_.count());
    (*metrics)["miss_p50_us"] = Microseconds(misses_.Percentile(500));
    (*metrics)["miss_p99_us"] = Microseconds(misses_.Percentile(990));
  }

 private:
  static double Microseconds(uint64_t nanoseconds) {
    return static_cast<double>(nanoseconds) / 1e3;
  }

  SampleSet all_;
  SampleSet misses_;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_ACCESS_TIMES_H_
