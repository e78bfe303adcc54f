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
#include "runtime/observe/gauges.h"

namespace userpager {

// Thread-safe, without a lock.
class FrameLedger {
 public:
  FrameLedger() = default;
  // Counts there, where others can look; it outlives the ledger.
  explicit FrameLedger(FrameGauges& gauges) : gauges_(gauges) {}

  void set_limit(PageCount limit) { gauges_.limit.store(limit.value(), std::memory_order_relaxed); }
  PageCount limit() const { return PageCount(gauges_.limit.load(std::memory_order_relaxed)); }
  PageCount charged() const { return PageCount(gauges_.charged.load(std::memory_order_relaxed)); }
  PageCount peak() const { return PageCount(gauges_.peak.load(std::memory_order_relaxed)); }
  PageCount mapped() const { return PageCount(gauges_.mapped.load(std::memory_order_relaxed)); }
  PageCount mapped_peak() const {
    return PageCount(gauges_.mapped_peak.load(std::memory_order_relaxed));
  }
  // Pages that can be charged now; 0 while the charge is at or above the limit.
  PageCount free() const {
    const uint64_t charged = gauges_.charged.load(std::memory_order_relaxed);
    const uint64_t limit = gauges_.limit.load(std::memory_order_relaxed);
    return PageCount(charged < limit ? limit - charged : 0);
  }

  // In a forked child, where nothing was counted yet.
  void BeginInChild(PageCount limit, PageCount charged, PageCount mapped) {
    gauges_.limit.store(limit.value());
    gauges_.charged.store(charged.value());
    gauges_.peak.store(charged.value());
    gauges_.mapped.store(mapped.value());
    gauges_.mapped_peak.store(mapped.value());
  }

  // Charges up to `wanted` pages as long as `keep_free` pages stay free. Returns how many.
  PageCount ChargeUpTo(PageCount wanted, PageCount keep_free) {
    uint64_t charged = gauges_.charged.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t limit = gauges_.limit.load(std::memory_order_relaxed);
      const uint64_t taken = charged + keep_free.value();
      const uint64_t granted = taken >= limit ? 0 : std::min(wanted.value(), limit - taken);
      if (granted == 0) return PageCount(0);
      if (gauges_.charged.compare_exchange_weak(charged, charged + granted,
                                                std::memory_order_relaxed)) {
        NotePeak(gauges_.peak, charged + granted);
        return PageCount(granted);
      }
    }
  }
  // Counts pages as unpaged, whose charges are had or under way; no longer.
  void AddUnpaged(PageCount pages) { gauges_.unpaged.fetch_add(pages.value()); }
  void DropUnpaged(PageCount pages) { gauges_.unpaged.fetch_sub(pages.value()); }
  PageCount unpaged() const { return PageCount(gauges_.unpaged.load()); }

  // Gives charges back; the pages are no longer resident.
  void Return(PageCount pages) {
    gauges_.charged.fetch_sub(pages.value(), std::memory_order_relaxed);
  }

  // One page has entered or left the working set.
  void EnterMapped() {
    NotePeak(gauges_.mapped_peak, gauges_.mapped.fetch_add(1, std::memory_order_relaxed) + 1);
  }
  void LeaveMapped() { gauges_.mapped.fetch_sub(1, std::memory_order_relaxed); }

 private:
  static void NotePeak(std::atomic<uint64_t>& highest, uint64_t now) {
    uint64_t peak = highest.load(std::memory_order_relaxed);
    while (now > peak &&
           !highest.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
    }
  }

  FrameGauges own_;
  FrameGauges& gauges_ = own_;
};

}  // namespace userpager

#endif  // USERPAGER_FRAMES_FRAME_LEDGER_H_
