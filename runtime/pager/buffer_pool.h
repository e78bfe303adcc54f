// BufferPool: the memory that pages are read into before they are installed, or, in a pool of its
// own, encrypted into before they are written. It is the only memory that is refilled in place,
// because no program ever had it mapped. Its pages are charged to the memory limit while they may
// be resident; how many there are follows the limit. A transfer takes a run of them, as long as it
// is: many small ones and a few long ones share the pool. A pool that is large enough is of huge
// pages: the device is given a few long pieces of memory instead of many short ones.
#ifndef USERPAGER_PAGER_BUFFER_POOL_H_
#define USERPAGER_PAGER_BUFFER_POOL_H_

#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

class BufferPool {
 public:
  static constexpr unsigned kMostPages = 1024;

  // How many pages a pool has under a memory limit (of one shard).
  static PageCount PagesFor(PageCount memory_limit);
  // The same of a pool for what is encrypted.
  static PageCount SealedPagesFor(PageCount memory_limit);

  BufferPool() = default;
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  // Takes address space; ENOMEM where there is none.
  Errno Init();

  struct Run {
    unsigned first = 0;
    PageCount count;
  };
  // A run of `most` free pages, or the longest there is; none where all are taken.
  Run Take(PageCount most);
  void Give(Run run);

  PageCount free() const { return free_; }
  bool all_free() const { return free_ == pages_; }
  PageIndex PageAt(unsigned page) const { return space_.begin + PageCount(page); }
  PageRange space() const { return space_; }
  PageCount pages() const { return pages_; }
  // Only while all pages are free.
  void set_pages(PageCount pages);

 private:
  Run LongestGap(PageCount most) const;

  PageRange mapped_;  // space_ and what its alignment cost
  PageRange space_;
  PageCount pages_;
  PageCount free_;
  uint64_t taken_[kMostPages / 64] = {};  // one bit a page
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_BUFFER_POOL_H_
