// Strong types for the quantities that a pager must never mix up: a page number, a number of pages,
// a range of pages, a frame, a slot. All are plain words at run time.
#ifndef USERPAGER_BASE_TYPES_H_
#define USERPAGER_BASE_TYPES_H_

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>

namespace userpager {

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr unsigned kPageShift = 12;
// VirtualAlloc's allocation granularity (SYSTEM_INFO.dwAllocationGranularity on Windows).
inline constexpr uint64_t kGranularityBytes = 64 * 1024;
inline constexpr uint64_t kGranularityPages = kGranularityBytes / kPageBytes;
// Largest span over which the kernel's protection may be wider than a page's own.
inline constexpr uint64_t kProtectionSpanBytes = 2 * 1024 * 1024;

// 0 for success, else a value of errno.
using Errno = int;

// A number of things; `Tag` keeps different things apart.
template <typename Tag>
class Count {
 public:
  constexpr Count() = default;
  constexpr explicit Count(uint64_t value) : value_(value) {}
  constexpr uint64_t value() const { return value_; }

  friend constexpr auto operator<=>(Count, Count) = default;
  constexpr Count& operator+=(Count other) { value_ += other.value_; return *this; }
  constexpr Count& operator-=(Count other) { value_ -= other.value_; return *this; }
  friend constexpr Count operator+(Count a, Count b) { return a += b; }
  friend constexpr Count operator-(Count a, Count b) { return a -= b; }
  constexpr Count& operator++() { ++value_; return *this; }
  constexpr Count& operator--() { --value_; return *this; }

 private:
  uint64_t value_ = 0;
};

// A position among things that are counted by `Difference`.
template <typename Tag, typename Difference, typename Rep>
class Index {
 public:
  constexpr Index() = default;
  constexpr explicit Index(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }

  friend constexpr auto operator<=>(Index, Index) = default;
  constexpr Index& operator+=(Difference count) {
    value_ = static_cast<Rep>(value_ + count.value());
    return *this;
  }
  constexpr Index& operator-=(Difference count) {
    value_ = static_cast<Rep>(value_ - count.value());
    return *this;
  }
  friend constexpr Index operator+(Index a, Difference n) { return a += n; }
  friend constexpr Index operator-(Index a, Difference n) { return a -= n; }
  // The caller knows that `b` is not above `a`.
  friend constexpr Difference operator-(Index a, Index b) {
    return Difference(static_cast<uint64_t>(a.value_ - b.value_));
  }
  constexpr Index& operator++() { ++value_; return *this; }
  constexpr Index& operator--() { --value_; return *this; }

 private:
  Rep value_ = 0;
};

using PageCount = Count<struct PageTag>;
// A virtual page number: the address divided by 4096.
using PageIndex = Index<struct PageIndexTag, PageCount, uint64_t>;

// A place in the page file, in pages. Slot 0 is the file's header and so stands for "none".
using SlotIndex = Index<struct SlotIndexTag, PageCount, uint32_t>;
inline constexpr SlotIndex kNoSlot{};

// An entry of a shard's frame table. Entry 0 is never handed out and stands for "none".
using FrameIndex = Index<struct FrameIndexTag, PageCount, uint32_t>;
inline constexpr FrameIndex kNoFrame{};

inline constexpr PageIndex PageOf(uint64_t address) { return PageIndex(address >> kPageShift); }
inline PageIndex PageOf(const void* p) { return PageOf(reinterpret_cast<uint64_t>(p)); }
inline constexpr uint64_t AddressOf(PageIndex page) { return page.value() << kPageShift; }
inline void* PointerTo(PageIndex page) { return reinterpret_cast<void*>(AddressOf(page)); }
// What is left of the first without the second.
inline constexpr PageCount Less(PageCount a, PageCount b) { return a > b ? a - b : PageCount(0); }

inline constexpr uint64_t BytesOf(PageCount pages) { return pages.value() << kPageShift; }
inline constexpr PageCount PagesHolding(uint64_t bytes) {
  return PageCount((bytes >> kPageShift) + ((bytes & (kPageBytes - 1)) != 0));
}

// The pages [begin, end).
struct PageRange {
  PageIndex begin;
  PageIndex end;

  constexpr PageRange() = default;
  constexpr PageRange(PageIndex b, PageIndex e) : begin(b), end(e) {}
  constexpr PageRange(PageIndex b, PageCount n) : begin(b), end(b + n) {}

  constexpr PageCount count() const { return end - begin; }
  constexpr bool empty() const { return begin >= end; }
  constexpr bool Contains(PageIndex page) const { return begin <= page && page < end; }
  constexpr bool Contains(PageRange o) const { return begin <= o.begin && o.end <= end; }
  constexpr bool Overlaps(PageRange o) const { return begin < o.end && o.begin < end; }
  // The common part; empty (begin == end) where there is none.
  constexpr PageRange Clip(PageRange o) const {
    const PageIndex b = std::max(begin, o.begin);
    return PageRange(b, std::max(b, std::min(end, o.end)));
  }
  friend constexpr bool operator==(const PageRange&, const PageRange&) = default;
};

inline constexpr uint64_t RoundDown(uint64_t value, uint64_t multiple) {
  return value - value % multiple;
}
inline constexpr uint64_t RoundUp(uint64_t value, uint64_t multiple) {
  return RoundDown(value + multiple - 1, multiple);
}

}  // namespace userpager

#endif  // USERPAGER_BASE_TYPES_H_
