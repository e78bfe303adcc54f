// ReplacementChoice: the replacement policy of one shard, chosen when it is made. It holds every
// form, as none of them is larger than a few lists' ends.
#ifndef USERPAGER_POLICY_REPLACEMENT_CHOICE_H_
#define USERPAGER_POLICY_REPLACEMENT_CHOICE_H_

#include "runtime/policy/age_order.h"
#include "runtime/policy/hot_set.h"

namespace userpager {

enum class ReplacementKind : uint8_t {
  kAdaptive,  // HotSet
  kFifo,      // AgeOrder that parks only what is on its way out
  kClock,     // AgeOrder that keeps much parked
};

class ReplacementChoice {
 public:
  ReplacementChoice(ReplacementKind kind, FrameTable& frames)
      : hot_set_(frames),
        age_order_(frames, kind == ReplacementKind::kClock ? kClockParkedPercent : 0),
        chosen_(kind == ReplacementKind::kAdaptive ? static_cast<ReplacementPolicy&>(hot_set_)
                                                   : age_order_) {}
  ReplacementChoice(const ReplacementChoice&) = delete;
  ReplacementChoice& operator=(const ReplacementChoice&) = delete;

  ReplacementPolicy* operator->() { return &chosen_; }
  const ReplacementPolicy* operator->() const { return &chosen_; }

 private:
  static constexpr unsigned kClockParkedPercent = 25;

  HotSet hot_set_;
  AgeOrder age_order_;
  ReplacementPolicy& chosen_;
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_REPLACEMENT_CHOICE_H_
