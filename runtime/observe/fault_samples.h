// FaultSamples: in which regions a shard's faults are, for `userpager top`: one fault of kEvery or
// so leaves its region in a ring, in the place of the oldest. So it costs a fault one decrement.
#ifndef USERPAGER_OBSERVE_FAULT_SAMPLES_H_
#define USERPAGER_OBSERVE_FAULT_SAMPLES_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace userpager {

class FaultSamples {
 public:
  static constexpr uint32_t kEvery = 32;
  static constexpr size_t kKept = 1024;

  // A region in one word, so that no reader sees a half of one.
  struct Region {
    uint64_t first_page = 0;
    uint64_t page_count = 0;  // 2^kCountBits - 1: that many or more

    bool operator==(const Region&) const = default;
  };
  static constexpr unsigned kCountBits = 28;

  // Of each fault: whether its region is to be told. One caller at a time, as of Tell.
  bool IsNext() {
    if (left_ != 0) [[likely]] {
      --left_;
      return false;
    }
    // After gaps that no rhythm of a program has.
    random_ = random_ * 1664525 + 1013904223;
    left_ = (random_ >> 16) % (2 * kEvery - 1);
    return true;
  }
  void Tell(Region region) {
    const uint64_t told = told_.load(std::memory_order_relaxed);
    kept_[told % kKept].store(
        region.first_page << kCountBits | std::min(region.page_count, kMostPages),
        std::memory_order_relaxed);
    told_.store(told + 1, std::memory_order_release);
  }

  // Of any reader: how many were told so far, and one that is kept.
  uint64_t told() const { return told_.load(std::memory_order_acquire); }
  Region At(uint64_t index) const {
    const uint64_t word = kept_[index % kKept].load(std::memory_order_relaxed);
    return {word >> kCountBits, word & kMostPages};
  }

 private:
  static constexpr uint64_t kMostPages = (uint64_t{1} << kCountBits) - 1;

  // It begins as zeros, where nobody has made it.
  uint32_t left_ = 0;  // faults until the next
  uint32_t random_ = 0;
  std::atomic<uint64_t> told_{0};
  std::atomic<uint64_t> kept_[kKept] = {};
};

}  // namespace userpager

#endif  // USERPAGER_OBSERVE_FAULT_SAMPLES_H_
