// PageHistory: what the replacement policy remembers of a page, in 12 bits of its PTE, from when it
// leaves the working set until it comes back, wherever it is meanwhile. It costs no memory beyond
// the PTE, and nothing has to be forgotten to make room.
#ifndef USERPAGER_POLICY_PAGE_HISTORY_H_
#define USERPAGER_POLICY_PAGE_HISTORY_H_

#include <cstdint>

#include "runtime/address_space/pte.h"

namespace userpager {

class PageHistory {
 public:
  // Stamps run from 1 to this, then from 1 again; 0 stands for none.
  static constexpr uint32_t kStamps = Pte::kMostStamp;

  constexpr PageHistory() = default;
  constexpr explicit PageHistory(uint16_t word) : word_(word) {}
  // `time` is the policy's own; only its remainder is kept.
  constexpr PageHistory(uint64_t time, bool on_trial, bool ahead)
      : word_(static_cast<uint16_t>((time % kStamps + 1) | (on_trial ? kOnTrial : 0u) |
                                    (ahead ? kAhead : 0u))) {}

  constexpr uint16_t word() const { return word_; }
  // The page had proven hot and left the working set to be asked whether it still is.
  constexpr bool on_trial() const { return (word_ & kOnTrial) != 0; }
  // It was read ahead and nobody was seen to use it.
  constexpr bool ahead() const { return (word_ & kAhead) != 0; }
  constexpr bool has_stamp() const { return (word_ & kStamps) != 0; }
  // How much time has passed since the stamp, up to a multiple of kStamps. The page has one.
  constexpr uint32_t Elapsed(uint64_t now) const {
    const uint32_t then = (word_ & kStamps) - 1u;
    return static_cast<uint32_t>((now + kStamps - then) % kStamps);
  }
  friend constexpr bool operator==(PageHistory, PageHistory) = default;

 private:
  static constexpr uint32_t kOnTrial = 1u << 11;
  static constexpr uint32_t kAhead = 1u << 10;

  uint16_t word_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_PAGE_HISTORY_H_
