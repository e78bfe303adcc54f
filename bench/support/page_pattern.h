// PagePattern: what the out-of-core workloads write to their pages. No page can be compressed, and
// every page differs from every other, so that one that came back wrong is found by a look at its
// first words. One word of each page counts how often the page was rewritten.
#ifndef USERPAGER_BENCH_SUPPORT_PAGE_PATTERN_H_
#define USERPAGER_BENCH_SUPPORT_PAGE_PATTERN_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <random>

#include "runtime/base/types.h"

namespace userpager::bench {

class PagePattern {
 public:
  static constexpr size_t kCounterWord = 2;

  PagePattern() {
    std::mt19937_64 random(7);
    std::generate(words_.begin(), words_.end(), std::ref(random));
  }

  void Write(void* page, uint64_t index) const {
    auto* const to = static_cast<uint64_t*>(page);
    const uint64_t key = KeyOf(index);
    for (size_t i = 0; i < kWords; ++i) to[i] = words_[i] ^ key;
  }
  // Whether the page holds what Write wrote, its counter rewritten `rewrites` times.
  bool Holds(const void* page, uint64_t index, uint64_t rewrites = 0) const {
    const auto* const from = static_cast<const volatile uint64_t*>(page);
    const uint64_t key = KeyOf(index);
    return from[0] == (words_[0] ^ key) && from[1] == (words_[1] ^ key) &&
           from[kCounterWord] == (words_[kCounterWord] ^ key) + rewrites;
  }
  static void Rewrite(void* page) {
    auto* const words = static_cast<volatile uint64_t*>(page);
    words[kCounterWord] = words[kCounterWord] + 1;
  }

 private:
  static constexpr size_t kWords = kPageBytes / sizeof(uint64_t);

  // An odd factor: different pages have different keys.
  static constexpr uint64_t KeyOf(uint64_t index) { return (index + 1) * 0x9e3779b97f4a7c15; }

  std::array<uint64_t, kWords> words_;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_PAGE_PATTERN_H_
