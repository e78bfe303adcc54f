// LatencyHistogram: counts of durations in log-linear buckets (each power of two in 16 parts, so a
// percentile is at most 6.25% above the true value). Recording is two relaxed additions; reading is
// possible at any time from any thread and gives a picture that may be a few records torn.
#ifndef USERPAGER_OBSERVE_LATENCY_HISTOGRAM_H_
#define USERPAGER_OBSERVE_LATENCY_HISTOGRAM_H_

#include <atomic>
#include <bit>
#include <cstdint>

namespace userpager {

class LatencyHistogram {
 public:
  static constexpr unsigned kPartsBits = 4;
  static constexpr unsigned kBucketCount = (40 - kPartsBits + 1) << kPartsBits;  // up to 2^40 ns

  // One writer at a time (the shard's mutex).
  void Record(uint64_t nanoseconds) {
    std::atomic<uint64_t>& bucket = buckets_[BucketOf(nanoseconds)];
    bucket.store(bucket.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (nanoseconds > max_.load(std::memory_order_relaxed)) {
      max_.store(nanoseconds, std::memory_order_relaxed);
    }
  }
  // Adds another histogram's counts to this one.
  void Add(const LatencyHistogram& other);
  // Takes an earlier state of it out again: what was recorded since then is left. The largest
  // duration stays that of all.
  void Subtract(const LatencyHistogram& earlier);

  uint64_t count() const;
  uint64_t max_ns() const { return max_.load(std::memory_order_relaxed); }
  // The duration that `per_mille` thousandths of all records do not exceed; 0 without records.
  uint64_t Percentile(unsigned per_mille) const;

 private:
  static unsigned BucketOf(uint64_t value) {
    if (value < (1u << kPartsBits)) return static_cast<unsigned>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kPartsBits;
    const unsigned bucket =
        ((shift + 1) << kPartsBits) + static_cast<unsigned>((value >> shift) - (1u << kPartsBits));
    return bucket < kBucketCount ? bucket : kBucketCount - 1;
  }
  // The largest value that falls into the bucket.
  static uint64_t UpperBoundOf(unsigned bucket);

  std::atomic<uint64_t> buckets_[kBucketCount] = {};
  std::atomic<uint64_t> max_{0};
};

}  // namespace userpager

#endif  // USERPAGER_OBSERVE_LATENCY_HISTOGRAM_H_
