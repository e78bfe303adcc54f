// What a page must hold: words that follow from its number and its generation alone, so that any
// page can be checked at any time, nothing needs to be remembered but the generation, and neither a
// page's older content nor another page's passes for it.
#ifndef USERPAGER_TESTS_STRESS_PAGE_CONTENT_H_
#define USERPAGER_TESTS_STRESS_PAGE_CONTENT_H_

#include <cstddef>
#include <cstdint>

namespace userpager::stress {

inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kWordsInPage = kPageBytes / sizeof(uint64_t);

// The finalizer of SplitMix64: a bijection without visible pattern.
constexpr uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Counter-based: word `i` of the page is Mix(key + i * odd constant).
constexpr uint64_t ContentKey(uint64_t page, uint32_t generation) {
  return Mix((page << 32) + generation + 1);
}
constexpr uint64_t ContentWord(uint64_t key, size_t word) {
  return Mix(key + word * 0x9e3779b97f4a7c15u);
}

inline void FillPage(uint64_t* words, uint64_t page, uint32_t generation) {
  const uint64_t key = ContentKey(page, generation);
  for (size_t i = 0; i < kWordsInPage; ++i) words[i] = ContentWord(key, i);
}

// The first word that is not as it must be; kWordsInPage if all are.
inline size_t FirstWrongWord(const uint64_t* words, uint64_t page, uint32_t generation) {
  const uint64_t key = ContentKey(page, generation);
  for (size_t i = 0; i < kWordsInPage; ++i) {
    if (words[i] != ContentWord(key, i)) return i;
  }
  return kWordsInPage;
}

}  // namespace userpager::stress

#endif  // USERPAGER_TESTS_STRESS_PAGE_CONTENT_H_
