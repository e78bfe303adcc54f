// PollingTrial: whether keeping CPUs from halting (HaltPoller) makes hard faults shorter, by what
// was measured: now and then some faults with it and some without, in turns, so that what else
// changes meets both.
#ifndef USERPAGER_PAGER_POLLING_TRIAL_H_
#define USERPAGER_PAGER_POLLING_TRIAL_H_

#include <algorithm>
#include <cstdint>

namespace userpager {

class PollingTrial {
 public:
  static constexpr unsigned kTurnFaults = 128;  // in a row, the same way
  static constexpr unsigned kTurns = 8;         // of a trial, every other one with polling
  // Of a turn, the first of which do not count: what was before goes on for a while.
  static constexpr unsigned kSettlingFaults = 32;
  static constexpr unsigned kHeldFaults = 16'384;  // for which a verdict holds
  static constexpr unsigned kLeastGain = 32;  // one in so many parts of a fault's time
  // What takes longer is the disk's doing.
  static constexpr uint64_t kMostNs = 1'000'000;

  // Whether to poll while the next fault is answered.
  bool polls() const { return turn_ < kTurns ? turn_ % 2 != 0 : pays_; }

  // A fault was answered, as the last call of polls() said, in so much time.
  void OnAnswered(uint64_t took_ns) {
    if (turn_ < kTurns && faults_ >= kSettlingFaults) {
      sum_ns_[turn_ % 2] += std::min(took_ns, kMostNs);
    }
    if (++faults_ < (turn_ < kTurns ? kTurnFaults : kHeldFaults)) return;
    faults_ = 0;
    if (turn_ == kTurns) {
      *this = PollingTrial();
    } else if (++turn_ == kTurns) {
      pays_ = sum_ns_[1] <= sum_ns_[0] - sum_ns_[0] / kLeastGain;
    }
  }

 private:
  unsigned turn_ = 0;  // kTurns: the trial is over
  uint64_t faults_ = 0;  // of this turn, or since the verdict
  bool pays_ = false;
  uint64_t sum_ns_[2] = {0, 0};  // of the turns without polling, and with it: as many of each
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_POLLING_TRIAL_H_
