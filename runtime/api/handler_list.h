// HandlerList: the vectored exception handlers of the process, in the order in which they are
// asked. A walk holds no lock while a handler runs, so handlers may add and remove handlers; the
// one that runs is kept until it has returned.
#ifndef USERPAGER_API_HANDLER_LIST_H_
#define USERPAGER_API_HANDLER_LIST_H_

#include <userpager/exceptions.h>

#include <cstdint>

#include "runtime/base/lock.h"

namespace userpager {

// Called inside (entry.h), from any thread.
class HandlerList {
 public:
  struct Item {
    PVECTORED_EXCEPTION_HANDLER handler = nullptr;
    Item* next = nullptr;
    uint64_t users = 0;  // walks that stand at it
    bool removed = false;
  };

  constexpr HandlerList() = default;

  // nullptr where there is no memory.
  Item* Add(bool first, PVECTORED_EXCEPTION_HANDLER handler) ABSL_LOCKS_EXCLUDED(lock_);
  // False where the handle is no entry, or is removed already.
  bool Remove(const void* handle) ABSL_LOCKS_EXCLUDED(lock_);

  // The entry that follows (nullptr: the first), which the walk then stands at, or nullptr at the
  // end. It no longer stands at `from`.
  Item* Advance(Item* from) ABSL_LOCKS_EXCLUDED(lock_);
  // Ends a walk that stands at the entry.
  void Leave(Item* entry) ABSL_LOCKS_EXCLUDED(lock_);

 private:
  Item** LinkTo(const void* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Takes the entry out if nothing needs it any more; the caller then destroys it, without the
  // lock.
  Item* TakeIfUnused(Item* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  Lock lock_{LockRank::kLeaf};
  Item* first_ ABSL_GUARDED_BY(lock_) = nullptr;
};

}  // namespace userpager

#endif  // USERPAGER_API_HANDLER_LIST_H_
