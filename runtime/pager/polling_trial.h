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
  static constexpr unsigned kTurnFaults = 32;   // in a row, the same way
  static constexpr unsigned kTurns = 8;         // of a trial, every other one with polling
  static constexpr unsigned kHeldFaults = 4096;  // for which a verdict holds
  static constexpr unsigned kLeastGain = 32;  // one in so many parts of a fault's time
  // What takes longer is the disk's doing.
  static constexpr uint64_t kMostNs = 1'000'000;

  // Whether to poll while the next fault is answered.
  bool polls() const { return turn_ < kTurns ? turn_ % 2 != 0 : pays_; }

  // So many faults were answered, as the last call of polls() said, in the sum of their times.
  void OnAnswered(uint64_t faults, uint64_t total_ns) {
    if (turn_ < kTurns) {
      sum_ns_[turn_ % 2] += std::min(total_ns, faults * kMostNs);
      count_[turn_ % 2] += faults;
    }
    faults_ += faults;
    if (faults_ < (turn_ < kTurns ? kTurnFaults : kHeldFaults)) return;
    faults_ = 0;
    if (turn_ == kTurns) {
      *this = PollingTrial();
    } else if (++turn_ == kTurns) {
      pays_ = MeanOf(1) <= MeanOf(0) - MeanOf(0) / kLeastGain;
    }
  }

 private:
  uint64_t MeanOf(unsigned way) const { return sum_ns_[way] / count_[way]; }

  unsigned turn_ = 0;  // kTurns: the trial is over
  uint64_t faults_ = 0;  // of this turn, or since the verdict
  bool pays_ = false;
  uint64_t sum_ns_[2] = {0, 0};
  uint64_t count_[2] = {0, 0};
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_POLLING_TRIAL_H_
