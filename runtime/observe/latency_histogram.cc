#include "runtime/observe/latency_histogram.h"

#include <algorithm>

namespace userpager {

void LatencyHistogram::Add(const LatencyHistogram& other) {
  for (unsigned i = 0; i < kBucketCount; ++i) {
    buckets_[i].fetch_add(other.buckets_[i].load(std::memory_order_relaxed),
                          std::memory_order_relaxed);
  }
  max_.store(std::max(max_ns(), other.max_ns()), std::memory_order_relaxed);
}

void LatencyHistogram::Subtract(const LatencyHistogram& earlier) {
  for (unsigned i = 0; i < kBucketCount; ++i) {
    const uint64_t before = earlier.buckets_[i].load(std::memory_order_relaxed);
    const uint64_t now = buckets_[i].load(std::memory_order_relaxed);
    buckets_[i].store(now - std::min(now, before), std::memory_order_relaxed);
  }
}

uint64_t LatencyHistogram::count() const {
  uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  return total;
}

uint64_t LatencyHistogram::Percentile(unsigned per_mille) const {
  const uint64_t total = count();
  if (total == 0) return 0;
  const uint64_t rank = std::max<uint64_t>(1, (total * per_mille + 999) / 1000);
  uint64_t seen = 0;
  for (unsigned i = 0; i < kBucketCount; ++i) {
    seen += buckets_[i].load(std::memory_order_relaxed);
    if (seen >= rank) return std::min(UpperBoundOf(i), max_ns());
  }
  return max_ns();
}

uint64_t LatencyHistogram::UpperBoundOf(unsigned bucket) {
  if (bucket < (1u << kPartsBits)) return bucket;
  const unsigned shift = (bucket >> kPartsBits) - 1;
  const uint64_t part = (bucket & ((1u << kPartsBits) - 1)) + (1u << kPartsBits);
  return ((part + 1) << shift) - 1;
}

}  // namespace userpager
