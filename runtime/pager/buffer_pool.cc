#include "runtime/pager/buffer_pool.h"

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/platform/address_map.h"

namespace userpager {
namespace {

constexpr uint64_t kHugePages = 512;  // small pages in a huge one
static_assert(BufferPool::kMostPages % kHugePages == 0);

}  // namespace

// 4 MiB where the limit is large, a thirty-second of it below, and at least what keeps a shard
// going.
PageCount BufferPool::PagesFor(PageCount memory_limit) {
  const uint64_t pages = std::clamp<uint64_t>(memory_limit.value() / 32, 8, kMostPages);
  return PageCount(pages >= kHugePages ? RoundDown(pages, kHugePages) : pages);
}

// Fewer, as pages stay in them no longer than the device takes.
PageCount BufferPool::SealedPagesFor(PageCount memory_limit) {
  return PageCount(PagesFor(memory_limit).value() / 2);
}

BufferPool::~BufferPool() {
  if (!mapped_.empty()) (void)Unmap(mapped_);
}

Errno BufferPool::Init() {
  const PageCount pages(kMostPages + kHugePages - 1);
  PageIndex begin;
  if (const Errno error = MapOwn(pages, false, &begin); error != 0) return error;
  mapped_ = PageRange(begin, pages);
  space_ = PageRange(PageIndex(RoundUp(begin.value(), kHugePages)), PageCount(kMostPages));
  return 0;
}

void BufferPool::set_pages(PageCount pages) {
  USERPAGER_CHECK(all_free() && pages.value() <= kMostPages,
                  "buffers change while they are in use", pages.value());
  pages_ = pages;
  free_ = pages;
  AllowHugePages(space_, false);
  if (pages.value() >= kHugePages) AllowHugePages(PageRange(space_.begin, pages), true);
}

// The first gap of `most` pages, or else the longest of all.
BufferPool::Run BufferPool::LongestGap(PageCount most) const {
  Run best;
  Run gap;
  for (unsigned page = 0; page < pages_.value(); ++page) {
    if ((taken_[page / 64] >> (page % 64) & 1) != 0) {
      gap.count = PageCount(0);
      continue;
    }
    if (gap.count.value() == 0) gap.first = page;
    ++gap.count;
    if (gap.count > best.count) best = gap;
    if (best.count == most) break;
  }
  return best;
}

BufferPool::Run BufferPool::Take(PageCount most) {
  const Run run = LongestGap(most);
  for (unsigned i = 0; i < run.count.value(); ++i) {
    const unsigned page = run.first + i;
    taken_[page / 64] |= uint64_t{1} << (page % 64);
  }
  free_ = free_ - run.count;
  return run;
}

void BufferPool::Give(Run run) {
  for (unsigned i = 0; i < run.count.value(); ++i) {
    const unsigned page = run.first + i;
    USERPAGER_CHECK((taken_[page / 64] >> (page % 64) & 1) != 0,
                    "a buffer was given back twice", page);
    taken_[page / 64] &= ~(uint64_t{1} << (page % 64));
  }
  free_ += run.count;
}

}  // namespace userpager
