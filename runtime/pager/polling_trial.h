// PollingTrial: whether keeping CPUs from halting (HaltPoller) makes the program faster, by what
// was measured: the time from one fault to the next, now and then for some faults with it and some
// without, in turns, so that what else changes meets both. All that a halted CPU costs is in that
// time: the interrupt of the disk, the waking of the shard's thread and that of the program's.
#ifndef USERPAGER_PAGER_POLLING_TRIAL_H_
#define USERPAGER_PAGER_POLLING_TRIAL_H_

#include <algorithm>
#include <cstdint>
#include <utility>

namespace userpager {

class PollingTrial {
 public:
  static constexpr unsigned kTurnFaults = 64;  // in a row, the same way
  static constexpr unsigned kTurns = 8;         // of a trial, every other one with polling
  // Of a turn, the first of which do not count: what was before goes on for a while.
  static constexpr unsigned kSettlingFaults = 16;
  // For which a verdict holds: the fewest at first, and where it does not pay; twice as many each
  // time that it is found to pay again, as half of a trial is spent without it.
  static constexpr unsigned kFewestHeld = 1024;
  static constexpr unsigned kMostHeld = 32'768;
  static constexpr unsigned kLeastGain = 32;  // one in so many parts of the time
  // What takes longer is the disk's doing, or the program's own.
  static constexpr uint64_t kMostNs = 1'000'000;

  // Whether to poll while the next fault is answered.
  bool polls() const { return turn_ < kTurns ? turn_ % 2 != 0 : pays_; }

  // A fault came, on the clock of NowNanoseconds().
  void OnFault(uint64_t now_ns) {
    const uint64_t passed_ns = now_ns - std::min(last_ns_, now_ns);
    last_ns_ = now_ns;
    if (turn_ < kTurns && faults_ >= kSettlingFaults) {
      sum_ns_[turn_ % 2] += std::min(passed_ns, kMostNs);
    }
    if (++faults_ < (turn_ < kTurns ? kTurnFaults : held_faults_)) return;
    faults_ = 0;
    if (turn_ == kTurns) {
      turn_ = 0;
      sum_ns_[0] = sum_ns_[1] = 0;
    } else if (++turn_ == kTurns) {
      const bool paid = std::exchange(pays_, sum_ns_[1] <= sum_ns_[0] - sum_ns_[0] / kLeastGain);
      held_faults_ = pays_ && paid ? std::min(2 * held_faults_, kMostHeld) : kFewestHeld;
    }
  }

 private:
  unsigned turn_ = 0;  // kTurns: the trial is over
  uint64_t faults_ = 0;  // of this turn, or since the verdict
  bool pays_ = false;
  unsigned held_faults_ = kFewestHeld;
  uint64_t last_ns_ = 0;  // the last fault
  uint64_t sum_ns_[2] = {0, 0};  // of the turns without polling, and with it: as many of each
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_POLLING_TRIAL_H_
