// RunningPager: a Pager for one test, with small reservations, the means to push pages out, and an
// end that looks for what was not given back.
#ifndef USERPAGER_TESTS_SUPPORT_RUNNING_PAGER_H_
#define USERPAGER_TESTS_SUPPORT_RUNNING_PAGER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <vector>

#include "runtime/pager/pager.h"

namespace userpager {

inline constexpr Protection kReadWrite{BaseProtection::kReadWrite};
inline constexpr Protection kReadOnly{BaseProtection::kReadOnly};
inline constexpr Protection kNoAccess{BaseProtection::kNoAccess};

// What a pager can be built of; tests run on several.
struct Road {
  bool move = true;
  IoEngineKind io = IoEngineKind::kUring;
  unsigned shards = 1;
  FaultDelivery faults = FaultDelivery::kMessages;
  ReplacementKind replacement = ReplacementKind::kAdaptive;
  bool encrypt = false;

  std::string Name() const {
    constexpr const char* kPolicies[] = {"", "Fifo", "Clock"};
    return std::string(move ? "Move" : "InPlace") +
           (io == IoEngineKind::kUring ? "Uring" : "Threads") + std::to_string(shards) +
           (faults == FaultDelivery::kSignals ? "Inline" : "") +
           kPolicies[static_cast<unsigned>(replacement)] + (encrypt ? "Encrypted" : "");
  }
  friend void PrintTo(const Road& road, std::ostream* out) { *out << road.Name(); }
};

class RunningPager {
 public:
  RunningPager() = default;
  // Releases what is still reserved and stops; a test failure where charges or slots are left over.
  ~RunningPager();
  RunningPager(const RunningPager&) = delete;
  RunningPager& operator=(const RunningPager&) = delete;

  // What USERPAGER_TEST_OPTIONS says of `without` and `encrypt` holds beside the road.
  static PagerOptions Options(const Road& road, uint64_t limit_pages);

  // False where this machine lacks something: `why` says what, and the test skips itself. Anything
  // else that fails is a test failure.
  bool Start(const PagerOptions& options);
  const std::string& why() const { return why_; }

  // Releases and stops at once, whatever is under way. Nothing is left but to look and to end.
  void StopNow();

  Pager& operator*() { return *pager_; }
  Pager* operator->() { return pager_.get(); }
  // Stands for the VadTree's lock: held by whoever calls with a Vad while others may.
  std::mutex& tree_lock() { return tree_lock_; }

  // Committed with the protection, or only reserved. nullptr after a test failure.
  Vad* Reserve(uint64_t pages, Protection protection = kReadWrite, bool commit = true);
  Vad* ReserveAt(PageIndex at, uint64_t pages);
  void Release(Vad* vad);
  // All that is reserved, its own included.
  const std::vector<Vad*>& vads() const { return vads_; }

  // Waits until the pages are in the page file and nowhere else, or are zeros, by writing to other
  // pages. False where they do not go.
  bool PushOut(Vad& vad, PageRange range);
  bool PushOut(Vad& vad) { return PushOut(vad, vad.range); }
  // Makes one write of a page of the runtime's choice after another, from the calling thread, until
  // `enough` is true or a bound is reached; for what happens only where memory is short.
  bool PressUntil(const std::function<bool()>& enough);
  // Lets each shard's thread go round once: whatever completed before has been seen.
  void Turn();
  CounterTotals& Counters();

 private:
  void Stop();

  std::unique_ptr<Pager> pager_;
  bool started_ = false;
  std::string why_;
  std::mutex tree_lock_;
  std::vector<Vad*> vads_;
  Vad* ballast_ = nullptr;
  uint64_t ballast_next_ = 0;
  unsigned shards_ = 1;
  bool inline_ = false;  // its faults come as signals
  std::unique_ptr<CounterTotals> counters_;
};

// The page's words, as a test writes and reads them.
inline uint64_t* WordsOf(PageIndex page) { return static_cast<uint64_t*>(PointerTo(page)); }
inline volatile uint64_t& FirstWord(PageIndex page) { return *WordsOf(page); }

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_RUNNING_PAGER_H_
