// Pages of memory for transfers, with contents that say which page they are.
#ifndef USERPAGER_TESTS_PAGE_FILE_PAGE_MEMORY_H_
#define USERPAGER_TESTS_PAGE_FILE_PAGE_MEMORY_H_

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <random>

#include "gtest/gtest.h"
#include "runtime/base/types.h"

namespace userpager {

// Aligned as direct I/O wants it; zero at first.
class PageMemory {
 public:
  explicit PageMemory(size_t pages) : bytes_(pages * kPageBytes) {
    void* mapped =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(mapped, MAP_FAILED);
    data_ = static_cast<char*>(mapped);
  }
  ~PageMemory() { munmap(data_, bytes_); }
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;

  char* operator[](size_t page) const { return data_ + page * kPageBytes; }

 private:
  size_t bytes_;
  char* data_ = nullptr;
};

inline void FillPage(char* page, uint64_t value) {
  std::mt19937_64 random(value);
  for (size_t i = 0; i < kPageBytes; i += 8) {
    const uint64_t word = random();
    memcpy(page + i, &word, 8);
  }
}

inline bool IsPageFilled(const char* page, uint64_t value) {
  char expected[kPageBytes];
  FillPage(expected, value);
  return memcmp(page, expected, kPageBytes) == 0;
}

}  // namespace userpager

#endif  // USERPAGER_TESTS_PAGE_FILE_PAGE_MEMORY_H_
