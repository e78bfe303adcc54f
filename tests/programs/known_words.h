// Words whose right values are known from their places, and threads that keep such words and fault
// and allocate all the time, for programs that fork meanwhile.
#ifndef USERPAGER_TESTS_PROGRAMS_KNOWN_WORDS_H_
#define USERPAGER_TESTS_PROGRAMS_KNOWN_WORDS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

namespace userpager::programs {

inline uint64_t WordOf(size_t i) { return i * 0x9e37'79b9'7f4a'7c15; }

inline void Fill(std::vector<uint64_t>& words) {
  for (size_t i = 0; i < words.size(); ++i) words[i] = WordOf(i);
}

inline void Change(std::vector<uint64_t>& words, uint64_t by) {
  for (uint64_t& word : words) word ^= by;
}

// `changed`: by all that Change was given since Fill, together.
inline bool AreRight(const std::vector<uint64_t>& words, uint64_t changed = 0) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] != (WordOf(i) ^ changed)) return false;
  }
  return true;
}

class FaultingThreads {
 public:
  // Each has so many words of its own.
  FaultingThreads(unsigned count, size_t words) {
    for (unsigned t = 0; t < count; ++t) {
      threads_.emplace_back([this, t, words] { Run(t, words); });
    }
  }
  ~FaultingThreads() { (void)Stop(); }
  FaultingThreads(const FaultingThreads&) = delete;
  FaultingThreads& operator=(const FaultingThreads&) = delete;

  // Ends them. Returns how many words they have found wrong.
  unsigned Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return wrong_;
  }

 private:
  void Run(unsigned number, size_t words) {
    std::mt19937 random(number);
    std::vector<uint64_t> own(words);
    while (!stop_) {
      const size_t i = random() % own.size();
      if (own[i] != 0 && own[i] != WordOf(i + number)) ++wrong_;
      own[i] = WordOf(i + number);
      std::free(std::malloc(random() % 100'000));
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<unsigned> wrong_{0};
  std::vector<std::thread> threads_;
};

}  // namespace userpager::programs

#endif  // USERPAGER_TESTS_PROGRAMS_KNOWN_WORDS_H_
