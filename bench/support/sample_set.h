// SampleSet: durations in nanoseconds, kept one by one so that percentiles are exact. Its memory is
// taken before the first measurement: adding a sample allocates nothing and faults nothing.
#ifndef USERPAGER_BENCH_SUPPORT_SAMPLE_SET_H_
#define USERPAGER_BENCH_SUPPORT_SAMPLE_SET_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace userpager::bench {

class SampleSet {
 public:
  explicit SampleSet(size_t capacity) : samples_(capacity) {}

  // Samples beyond the capacity are not kept.
  void Add(uint64_t nanoseconds) {
    if (count_ < samples_.size()) samples_[count_++] = nanoseconds;
  }
  void Add(std::span<const uint64_t> samples) {
    for (const uint64_t sample : samples) Add(sample);
  }
  void Clear() { count_ = 0; }
  // Keeps the `keep` largest samples only.
  void KeepLargest(size_t keep) {
    if (keep >= count_) return;
    std::sort(begin(), end(), std::greater<>());
    count_ = keep;
  }

  size_t count() const { return count_; }
  std::span<const uint64_t> samples() const { return {samples_.data(), count_}; }
  // The smallest sample that at least `per_mille` thousandths of all do not exceed (nearest rank);
  // 0 without samples. Changes the order of the samples.
  uint64_t Percentile(size_t per_mille) {
    if (count_ == 0) return 0;
    const size_t rank = std::max<size_t>((count_ * per_mille + 999) / 1000, 1);
    const auto at = begin() + static_cast<ptrdiff_t>(rank - 1);
    std::nth_element(begin(), at, end());
    return *at;
  }

 private:
  std::vector<uint64_t>::iterator begin() { return samples_.begin(); }
  std::vector<uint64_t>::iterator end() {
    return samples_.begin() + static_cast<ptrdiff_t>(count_);
  }

  std::vector<uint64_t> samples_;
  size_t count_ = 0;
};

// The middle value (of an even number, the mean of the middle two); 0 without values.
inline double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_SAMPLE_SET_H_
