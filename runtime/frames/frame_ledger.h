// FrameLedger: the memory limit of the process, as a number of pages that may be charged. A page is
// charged before it is installed or a buffer before it is touched, so resident memory never passes
// the limit, not for a moment. "Free frames" are charges not in use: a number, not a list of pages.
// Among the charged pages are the unpaged ones (large pages), which no shard knows.
// It also counts the working set: of the charged pages, those that can be touched without a fault.
#ifndef USERPAGER_FRAMES_FRAME_LEDGER_H_
#define USERPAGER_FRAMES_FRAME_LEDGER_H_

#include <atomic>
#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

// Thread-safe, without a lock.
class FrameLedger {
 public:
  void set_limit(PageCount limit) { limit_.store(limit.value(), std::memory_order_relaxed); }
  PageCount limit() const { return PageCount(limit_.load(std::memory_order_relaxed)); }
  PageCount charged() const { return PageCount(charged_.load(std::memory_order_relaxed)); }
  PageCount peak() const { return PageCount(peak_.load(std::memory_order_relaxed)); }
  PageCount mapped() const { return PageCount(mapped_.load(std::memory_order_relaxed)); }
  PageCount mapped_peak() const { return PageCount(mapped_peak_.load(std::memory_order_relaxed)); }
  // Pages that can be charged now; 0 while the charge is at or above the limit.
  PageCount free() const {
    const uint64_t charged = charged_.load(std::memory_order_relaxed);
    const uint64_t limit = limit_.load(std::memory_order_relaxed);
    return PageCount(charged < limit ? limit - charged : 0);
  }

  // Charges up to `wanted` pages as long as `keep_free` pages stay free. Returns how many.
  PageCount ChargeUpTo(PageCount wanted, PageCount keep_free) {
    uint64_t charged = charged_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t limit = limit_.load(std::memory_order_relaxed);
      const uint64_t taken = charged + keep_free.value();
      const uint64_t granted = taken >= limit ? 0 : std::min(wanted.value(), limit - taken);
      if (granted == 0) return PageCount(0);
      if (charged_.compare_exchange_weak(charged, charged + granted, std::memory_order_relaxed)) {
        NotePeak(peak_, charged + granted);
        return PageCount(granted);
      }
    }
  }
  // Counts pages as unpaged, whose charges are had or under way; no longer.
  void AddUnpaged(PageCount pages) { unpaged_.fetch_add(pages.value()); }
  void DropUnpaged(PageCount pages) { unpaged_.fetch_sub(pages.value()); }
  PageCount unpaged() const { return PageCount(unpaged_.load()); }

  // Gives charges back; the pages are no longer resident.
  void Return(PageCount pages) { charged_.fetch_sub(pages.value(), std::memory_order_relaxed); }

  // One page has entered or left the working set.
  void EnterMapped() {
    NotePeak(mapped_peak_, mapped_.fetch_add(1, std::memory_order_relaxed) + 1);
  }
  void LeaveMapped() { mapped_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  static void NotePeak(std::atomic<uint64_t>& highest, uint64_t now) {
    uint64_t peak = highest.load(std::memory_order_relaxed);
    while (now > peak &&
           !highest.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
    }
  }

  std::atomic<uint64_t> limit_{0};
  std::atomic<uint64_t> charged_{0};
  std::atomic<uint64_t> peak_{0};
  std::atomic<uint64_t> unpaged_{0};
  std::atomic<uint64_t> mapped_{0};
  std::atomic<uint64_t> mapped_peak_{0};
};

}  // namespace userpager

#endif  // USERPAGER_FRAMES_FRAME_LEDGER_H_
