// ShardTrace: what one shard tells of its doings: to the recording's ring, where there is one, and
// to the probes. Called with the shard's mutex held. Costs a test of a pointer while nobody
// listens.
#ifndef USERPAGER_OBSERVE_SHARD_TRACE_H_
#define USERPAGER_OBSERVE_SHARD_TRACE_H_

#include <algorithm>
#include <cstdint>

#include "runtime/base/types.h"
#include "runtime/observe/counters.h"
#include "runtime/observe/probes.h"
#include "runtime/observe/trace_format.h"
#include "runtime/observe/trace_ring.h"

namespace userpager {

class ShardTrace {
 public:
  // `ring`: nullptr for no recording; outlives this.
  explicit ShardTrace(TraceRing* ring) : ring_(ring) {}

  void FaultBegan(PageIndex page, uint32_t thread_id, bool is_write) {
    (void)page, (void)thread_id, (void)is_write;  // without probes
    USERPAGER_PROBE3(fault_begin, AddressOf(page), thread_id, is_write);
  }
  // `page` was touched, the rest of `run` came along.
  void FaultEnded(FaultKind kind, PageIndex page, PageRange run, uint32_t thread_id,
                  uint64_t seen_ns, uint64_t now_ns) {
    const uint64_t latency_ns = now_ns - seen_ns;
    USERPAGER_PROBE3(fault_end, AddressOf(page), static_cast<unsigned>(kind), latency_ns);
    if (ring_ == nullptr) return;
    ring_->Add({now_ns, run.begin.value(), Short(run.count().value()), thread_id,
                Short(latency_ns), static_cast<uint16_t>((page - run.begin).value()), KindOf(kind),
                0});
  }
  void PagesIn(PageRange run, bool demanded, uint64_t now_ns) {
    USERPAGER_PROBE2(page_in, AddressOf(run.begin), run.count().value());
    Add(TraceKind::kPagesIn, run, now_ns, 0, demanded);
  }
  void PagesOut(PageRange run, uint64_t started_ns, uint64_t now_ns) {
    USERPAGER_PROBE2(page_out, AddressOf(run.begin), run.count().value());
    Add(TraceKind::kPagesOut, run, now_ns, now_ns - started_ns);
  }
  void Add(TraceKind kind, PageRange run, uint64_t now_ns, uint64_t latency_ns = 0,
           bool lead = false) {
    if (ring_ == nullptr) return;
    ring_->Add({now_ns, run.begin.value(), Short(run.count().value()), 0, Short(latency_ns),
                static_cast<uint16_t>(lead), kind, 0});
  }
  // In a forked child, which has no recording.
  void Forget() { ring_ = nullptr; }
  bool records() const { return ring_ != nullptr; }

 private:
  static uint32_t Short(uint64_t value) {
    return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
  }
  static TraceKind KindOf(FaultKind kind) {
    return static_cast<TraceKind>(static_cast<unsigned>(kind) +
                                  static_cast<unsigned>(TraceKind::kDemandZero));
  }
  static_assert(static_cast<unsigned>(TraceKind::kWriteProtect) ==
                static_cast<unsigned>(FaultKind::kWriteProtect) + 1);

  TraceRing* ring_;
};

// Pages to which the same happens one after the other: neighbours become one event. Told by the
// time that it goes out of scope.
class PageRunTrace {
 public:
  PageRunTrace(ShardTrace& trace, TraceKind kind, uint64_t now_ns)
      : trace_(trace), kind_(kind), now_ns_(now_ns) {}
  ~PageRunTrace() { Tell(); }
  PageRunTrace(const PageRunTrace&) = delete;
  PageRunTrace& operator=(const PageRunTrace&) = delete;

  void Add(PageIndex page) {
    if (!trace_.records()) return;
    if (run_.end == page && !run_.empty()) {
      ++run_.end;
      return;
    }
    Tell();
    run_ = PageRange(page, PageCount(1));
  }

 private:
  void Tell() {
    if (!run_.empty()) trace_.Add(kind_, run_, now_ns_);
  }

  ShardTrace& trace_;
  const TraceKind kind_;
  const uint64_t now_ns_;
  PageRange run_;
};

}  // namespace userpager

#endif  // USERPAGER_OBSERVE_SHARD_TRACE_H_
