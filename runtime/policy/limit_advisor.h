// LimitAdvisor: what the memory limit of a process should be that takes what the machine, or its
// cgroup, can spare (memory:auto). Looked at once a second.
//
// Down:  at once to three quarters of what the cgroup or machine allows, where it allows less than
//        before; by an eighth for each second in which programs waited for memory for a tenth of
//        the time or more (the kernel's pressure stall information).
// Up:    by a sixteenth, after ten calm seconds (less than a hundredth of the time), if the process
//        uses its limit and the machine has memory to spare.
// Bounds: three quarters of what is allowed, so that the program's other memory has room; and a
//        sixteenth of it, or the smallest limit that works.
#ifndef USERPAGER_POLICY_LIMIT_ADVISOR_H_
#define USERPAGER_POLICY_LIMIT_ADVISOR_H_

#include <cstdint>

namespace userpager {

struct MachineLook {
  uint64_t allowed_bytes = 0;    // by the machine and the process's cgroups
  uint64_t total_bytes = 0;      // of the machine
  uint64_t available_bytes = 0;  // of the machine, without swapping
  uint64_t stall_us = 0;         // that some program waited for memory, since the boot
  bool knows_stalls = false;     // the kernel tells
};

class LimitAdvisor {
 public:
  enum class Reason : uint8_t {
    kNone,      // the limit is right
    kAllowed,   // less is allowed than before
    kPressure,  // programs wait for memory
    kCalm,      // there is memory to spare
  };
  struct Advice {
    Reason reason = Reason::kNone;
    uint64_t limit_bytes = 0;     // what it should be
    unsigned stall_percent = 0;  // of the time since the look before
  };

  explicit LimitAdvisor(uint64_t smallest_bytes = 0) : smallest_bytes_(smallest_bytes) {}

  // `now_us` only goes forward. `resident_bytes` of the limit are in use.
  Advice Look(const MachineLook& machine, uint64_t now_us, uint64_t limit_bytes,
              uint64_t resident_bytes);

 private:
  unsigned StallPercent(const MachineLook& machine, uint64_t now_us);

  uint64_t smallest_bytes_;
  uint64_t last_us_ = 0;
  uint64_t last_stall_us_ = 0;
  bool has_last_ = false;
  unsigned calm_looks_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_LIMIT_ADVISOR_H_
