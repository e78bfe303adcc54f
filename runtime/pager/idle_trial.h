// IdleTrial: in which way the shard's thread should wait for the next fault, by what was measured:
// the time from one fault to the next, now and then for some faults in each way, in turns, so that
// what else changes meets all. All that it costs to wake who sleeps is in that time: the interrupt
// of the disk, the waking of the shard's thread and that of the program's.
#ifndef USERPAGER_PAGER_IDLE_TRIAL_H_
#define USERPAGER_PAGER_IDLE_TRIAL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

namespace userpager {

// The cheaper for others first.
enum class IdleWay : uint8_t {
  kSleep,  // on the CPU of the faulting thread (FaultFollower)
  kAwake,  // the same, and CPUs are kept from halting (HaltPoller)
  kSpin,   // without sleeping (IoEngine::StayAwake), where the scheduler puts the thread
};
inline constexpr unsigned kIdleWays = 3;

// A way from whoever decides to whoever waits. Any threads.
class IdleWish {
 public:
  void Set(IdleWay way) { value_.store(static_cast<uint8_t>(way), std::memory_order_relaxed); }
  // The last that was set since the last call.
  std::optional<IdleWay> Take() {
    const uint8_t value = value_.exchange(kNone, std::memory_order_relaxed);
    return value == kNone ? std::nullopt : std::optional(static_cast<IdleWay>(value));
  }

 private:
  static constexpr uint8_t kNone = kIdleWays;

  std::atomic<uint8_t> value_{kNone};
};

class IdleTrial {
 public:
  static constexpr unsigned kTurnFaults = 128;  // in a row, the same way
  static constexpr unsigned kRounds = 3;        // of a trial: so many turns of each way
  // Of a turn, the first of which do not count: what was before goes on for a while.
  static constexpr unsigned kSettlingFaults = 32;
  // For which a verdict holds: the fewest at first, then twice as many each time that it is the
  // same, as most of a trial is spent in other ways.
  static constexpr unsigned kFewestHeld = 4096;
  static constexpr unsigned kMostHeld = 65'536;
  // A way that costs others more must be quicker: by one in so many parts of the time.
  static constexpr unsigned kLeastGain = 32;
  // What takes longer is the disk's doing, or the program's own.
  static constexpr uint64_t kMostNs = 1'000'000;
  // How often the CPU is taken, each time so few faults after the last, before kSpin is given up.
  static constexpr unsigned kMostTaken = 3;
  static constexpr uint64_t kTakenFaults = 128;
  // Trials without kSpin after it was given up: one, then twice as many each time.
  static constexpr unsigned kMostRest = 64;

  // Of the ways, the first so many are tried. With one there is nothing to try.
  explicit IdleTrial(unsigned ways = 1) : ways_(ways), tried_(ways) {}

  // The way in which the next fault is to be waited for.
  IdleWay way() const {
    return is_over() ? best_ : static_cast<IdleWay>(turn_ % tried_);
  }

  // Others have taken the CPU on which the thread spins. Once is what the system does now and then.
  // Where they want it again and again, a trial without that way begins, and for some time it is
  // not tried again: each time costs faults what the others take.
  void OnCpuTaken() {
    if (way() != IdleWay::kSpin) return;
    const bool again = all_faults_ - taken_fault_ <= kTakenFaults;
    taken_fault_ = all_faults_;
    taken_ = again ? taken_ + 1 : 1;
    if (taken_ < kMostTaken) return;
    taken_ = 0;
    rest_ = std::clamp(2 * rest_, 1u, kMostRest);
    rest_left_ = rest_;
    Begin();
  }

  // A fault came, on the clock of NowNanoseconds().
  void OnFault(uint64_t now_ns) {
    if (ways_ == 1) return;
    ++all_faults_;
    const uint64_t passed_ns = now_ns - std::min(last_ns_, now_ns);
    last_ns_ = now_ns;
    if (!is_over() && faults_ >= kSettlingFaults) {
      sum_ns_[turn_ % tried_] += std::min(passed_ns, kMostNs);
    }
    if (++faults_ < (is_over() ? held_faults_ : kTurnFaults)) return;
    faults_ = 0;
    if (is_over()) {
      Begin();
      return;
    }
    ++turn_;
    if (is_over()) Judge();
  }

 private:
  bool is_over() const { return turn_ == tried_ * kRounds; }
  void Begin() {
    tried_ = ways_;
    if (rest_left_ > 0) {
      --rest_left_;
      tried_ = static_cast<unsigned>(IdleWay::kSpin);
    }
    turn_ = 0;
    faults_ = 0;
    std::fill_n(sum_ns_, kIdleWays, 0);
  }
  void Judge() {
    if (tried_ == kIdleWays) rest_ = 0;
    unsigned best = 0;
    for (unsigned way = 1; way < tried_; ++way) {
      if (sum_ns_[way] <= sum_ns_[best] - sum_ns_[best] / kLeastGain) best = way;
    }
    const bool as_before = best_ == static_cast<IdleWay>(best);
    held_faults_ = as_before ? std::min(2 * held_faults_, kMostHeld) : kFewestHeld;
    best_ = static_cast<IdleWay>(best);
  }

  unsigned ways_;
  unsigned tried_;     // of them, in this trial
  unsigned turn_ = 0;  // of the trial
  unsigned faults_ = 0;  // of this turn, or since the verdict
  IdleWay best_ = IdleWay::kSleep;  // by the last verdict
  unsigned held_faults_ = kFewestHeld / 2;  // so that the first verdict holds for the fewest
  uint64_t all_faults_ = 0;
  uint64_t taken_fault_ = 0;  // of them, when the CPU was taken last
  unsigned taken_ = 0;        // how often in a row
  unsigned rest_ = 0;       // trials without kSpin, the last time
  unsigned rest_left_ = 0;  // that are still to come
  uint64_t last_ns_ = 0;  // the last fault
  uint64_t sum_ns_[kIdleWays] = {};  // of the turns of each way
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_IDLE_TRIAL_H_
