// CheckedPages: managed memory of which every page's right content is known at any time.
//
// Cast:   the region, a generation for each page, and a lock for each page (the pages share a few
//         thousand locks).
// Locks:  a page and its generation belong to who holds its lock; Fill and Check take none.
// Errors: the first wrong page of each call is written to standard error in one line.
#ifndef USERPAGER_TESTS_STRESS_CHECKED_PAGES_H_
#define USERPAGER_TESTS_STRESS_CHECKED_PAGES_H_

#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/stress/page_content.h"
#include "tests/support/counted.h"

namespace userpager::stress {

class CheckedPages {
 public:
  // Takes its own, ordinary memory, but no managed memory yet.
  explicit CheckedPages(uint64_t pages)
      : generations_(pages, 0), locks_(std::make_unique<std::mutex[]>(kLocks)) {}
  ~CheckedPages() {
    if (base_ != nullptr) VirtualFree(base_, 0, MEM_RELEASE);
    Counted("bytes_checked", checks_ * kPageBytes);
  }
  CheckedPages(const CheckedPages&) = delete;
  CheckedPages& operator=(const CheckedPages&) = delete;

  bool Allocate() {
    void* const base = VirtualAlloc(nullptr, generations_.size() * kPageBytes,
                                    MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (base == nullptr) {
      std::fprintf(stderr, "VirtualAlloc of %zu pages: error %u %s\n", generations_.size(),
                   GetLastError(), userpager_error_message());
    }
    base_ = static_cast<uint64_t*>(base);
    return base_ != nullptr;
  }

  uint64_t pages() const { return generations_.size(); }

  // Without the lock: no other thread touches the page meanwhile, or all only check it.
  void Fill(uint64_t page) { FillPage(WordsOf(page), page, generations_[page]); }
  bool Check(uint64_t page) const {
    checks_.fetch_add(1, std::memory_order_relaxed);
    const size_t wrong = FirstWrongWord(WordsOf(page), page, generations_[page]);
    if (wrong == kWordsInPage) return true;
    std::fprintf(stderr,
                 "page %" PRIu64 " (%p), word %zu: found %016" PRIx64 ", must be %016" PRIx64
                 " (generation %u)\n",
                 page, static_cast<const void*>(WordsOf(page)), wrong, WordsOf(page)[wrong],
                 ContentWord(ContentKey(page, generations_[page]), wrong), generations_[page]);
    return false;
  }

  // Checks the page under its lock, and with `renew` gives it its next generation's content.
  bool CheckLocked(uint64_t page, bool renew) {
    const std::lock_guard<std::mutex> lock(locks_[page % kLocks]);
    if (!Check(page)) return false;
    if (renew) {
      ++generations_[page];
      Fill(page);
    }
    return true;
  }

 private:
  static constexpr uint64_t kLocks = 4096;

  uint64_t* WordsOf(uint64_t page) const { return base_ + page * kWordsInPage; }

  uint64_t* base_ = nullptr;
  mutable std::atomic<uint64_t> checks_{0};
  std::vector<uint32_t> generations_;
  const std::unique_ptr<std::mutex[]> locks_;
};

}  // namespace userpager::stress

#endif  // USERPAGER_TESTS_STRESS_CHECKED_PAGES_H_
