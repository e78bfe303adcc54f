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
  // What is remembered beside the stamp.
  enum class Kind : uint16_t {
    kPlain = 0,
    kAhead = 1u << 10,
    kOnTrial = 1u << 11,
    kPassed = kAhead | kOnTrial,
  };

  // `time` is the policy's own; only its remainder is kept.
  constexpr PageHistory(uint64_t time, Kind kind)
      : word_(static_cast<uint16_t>((time % kStamps + 1) | static_cast<uint64_t>(kind))) {}

  constexpr uint16_t word() const { return word_; }
  constexpr Kind kind() const { return static_cast<Kind>(word_ & uint16_t{3u << 10}); }
  // The page had proven hot and left the working set to be asked whether it still is.
  constexpr bool on_trial() const { return kind() == Kind::kOnTrial; }
  // It was read ahead; nobody was seen to use it, but for a stream that was past it.
  constexpr bool ahead() const { return kind() == Kind::kAhead || passed(); }
  // It was read ahead, used, and dropped behind its stream.
  constexpr bool passed() const { return kind() == Kind::kPassed; }
  constexpr bool has_stamp() const { return (word_ & kStamps) != 0; }
  // How much time has passed since the stamp, up to a multiple of kStamps. The page has one.
  constexpr uint32_t Elapsed(uint64_t now) const {
    const uint32_t then = (word_ & kStamps) - 1u;
    return static_cast<uint32_t>((now + kStamps - then) % kStamps);
  }
  friend constexpr bool operator==(PageHistory, PageHistory) = default;

 private:
  uint16_t word_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_PAGE_HISTORY_H_
