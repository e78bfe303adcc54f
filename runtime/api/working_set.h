// WorkingSet: the limits that a program sets its own working set, and the memory limit that comes
// of them: what userpager_set_memory_limit asked for, or a hard maximum where that is lower.
#ifndef USERPAGER_API_WORKING_SET_H_
#define USERPAGER_API_WORKING_SET_H_

#include <userpager/virtual_alloc.h>

#include <algorithm>
#include <cstdint>

#include "runtime/api/reservations.h"
#include "runtime/base/lock.h"
#include "runtime/base/log_line.h"
#include "runtime/base/types.h"
#include "runtime/pager/pager.h"

namespace userpager {

// Thread-safe. Errors are last-error values, 0 for none.
class WorkingSet {
 public:
  // Of VirtualLock's quota these are not for locks.
  static constexpr PageCount kLockOverhead{8};

  struct Limits {
    PageCount minimum{50};
    PageCount maximum{345};
    bool hard_minimum = false;
    bool hard_maximum = false;
  };

  WorkingSet(Pager& pager, Reservations& reservations)
      : pager_(pager), reservations_(reservations) {}

  // After the pager's start.
  void Begin() ABSL_LOCKS_EXCLUDED(lock_);
  Limits limits() ABSL_LOCKS_EXCLUDED(lock_);
  // `flags` are those of SetProcessWorkingSetSizeEx. Waits until a hard maximum holds.
  DWORD SetLimits(uint64_t minimum_bytes, uint64_t maximum_bytes, DWORD flags)
      ABSL_LOCKS_EXCLUDED(lock_);
  // Sets the limit that holds while there is no lower hard maximum. As
  // Reservations::SetMemoryLimit.
  int SetMemoryLimit(PageCount limit, LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);

  // From before a fork until after it, in parent and child.
  void HoldForFork() ABSL_EXCLUSIVE_LOCK_FUNCTION(lock_) { lock_.AcquireBeside(); }
  void ReleaseAfterFork() ABSL_UNLOCK_FUNCTION(lock_) { lock_.Release(); }
  // In a forked child: the thread that was changing something is not here.
  void ForgetChange() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) { changing_ = false; }

 private:
  // What a change comes from and leads to.
  struct State {
    Limits limits;
    PageCount memory_limit;  // without a hard maximum

    PageCount Effective() const {
      return limits.hard_maximum ? std::min(memory_limit, limits.maximum) : memory_limit;
    }
  };
  // False while another thread changes something.
  bool BeginChange(State* from) ABSL_LOCKS_EXCLUDED(lock_);
  void EndChange(const State& now) ABSL_LOCKS_EXCLUDED(lock_);
  // 0 or a userpager_error. Waits.
  int Apply(const State& from, const State& to, LogLine* error) ABSL_LOCKS_EXCLUDED(lock_);

  Pager& pager_;
  Reservations& reservations_;
  Lock lock_{LockRank::kLeaf};
  State state_ ABSL_GUARDED_BY(lock_);
  bool changing_ ABSL_GUARDED_BY(lock_) = false;
};

}  // namespace userpager

#endif  // USERPAGER_API_WORKING_SET_H_
