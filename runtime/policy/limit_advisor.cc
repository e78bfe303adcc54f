#include "runtime/policy/limit_advisor.h"

#include <algorithm>

namespace userpager {
namespace {

constexpr unsigned kPressingPercent = 10;
constexpr unsigned kCalmPercent = 1;
constexpr unsigned kCalmLooks = 10;
constexpr uint64_t kShareDown = 8;
constexpr uint64_t kShareUp = 16;
constexpr uint64_t kLeastShare = 16;
// Of the machine's memory, what others are left when the limit goes up.
constexpr uint64_t kSpareShare = 8;

}  // namespace

unsigned LimitAdvisor::StallPercent(const MachineLook& machine, uint64_t now_us) {
  const bool known = has_last_ && machine.knows_stalls && now_us > last_us_ &&
                     machine.stall_us >= last_stall_us_;
  const uint64_t percent =
      known ? (machine.stall_us - last_stall_us_) * 100 / (now_us - last_us_) : 0;
  has_last_ = machine.knows_stalls;
  last_us_ = now_us;
  last_stall_us_ = machine.stall_us;
  return static_cast<unsigned>(std::min<uint64_t>(percent, 100));
}

LimitAdvisor::Advice LimitAdvisor::Look(const MachineLook& machine, uint64_t now_us,
                                        uint64_t limit_bytes, uint64_t resident_bytes) {
  Advice advice;
  advice.stall_percent = StallPercent(machine, now_us);
  calm_looks_ = advice.stall_percent < kCalmPercent ? calm_looks_ + 1 : 0;
  if (machine.allowed_bytes == 0) return advice;
  const uint64_t most = std::max(machine.allowed_bytes / 4 * 3, smallest_bytes_);
  const uint64_t least = std::max(machine.allowed_bytes / kLeastShare, smallest_bytes_);
  if (limit_bytes > most) {
    advice.reason = Reason::kAllowed;
    advice.limit_bytes = most;
  } else if (advice.stall_percent >= kPressingPercent && limit_bytes > least) {
    advice.reason = Reason::kPressure;
    advice.limit_bytes = std::max(limit_bytes - limit_bytes / kShareDown, least);
  } else if (calm_looks_ >= kCalmLooks && limit_bytes < most) {
    const uint64_t more = std::min(limit_bytes / kShareUp, most - limit_bytes);
    const bool uses_it = resident_bytes >= limit_bytes / 8 * 7;
    const bool is_there = machine.available_bytes >= machine.total_bytes / kSpareShare + more;
    if (!uses_it || !is_there || more == 0) return advice;
    advice.reason = Reason::kCalm;
    advice.limit_bytes = limit_bytes + more;
    calm_looks_ = 0;
  }
  return advice;
}

}  // namespace userpager
