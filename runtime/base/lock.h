// The runtime's mutex: a pthread mutex with a rank (lock_rank.h) and annotations for clang's
// thread-safety analysis. It allocates nothing and never spins for long, so that it can be used on
// the fault path. What may not be done while one is held is the runtime's first rule: touch managed
// memory, call malloc, wait for I/O.
#ifndef USERPAGER_BASE_LOCK_H_
#define USERPAGER_BASE_LOCK_H_

#include <pthread.h>

#include "absl/base/thread_annotations.h"
#include "runtime/base/lock_rank.h"

namespace userpager {

class ABSL_LOCKABLE Lock {
 public:
  constexpr explicit Lock(LockRank rank) : rank_(rank) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void Acquire() ABSL_EXCLUSIVE_LOCK_FUNCTION();
  void Release() ABSL_UNLOCK_FUNCTION();
  // As Acquire, with others of the same rank held: only while the process forks, which takes all
  // shards in the order of their indices, and several leaf locks.
  void AcquireBeside() ABSL_EXCLUSIVE_LOCK_FUNCTION();
  // True if the lock was free and is now held.
  [[nodiscard]] bool TryAcquire() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true);

  // For a function that is called with the lock held by way of a pointer that the analysis cannot
  // follow. Debug builds check that it is true.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK();

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  const LockRank rank_;
};

class ABSL_SCOPED_LOCKABLE LockHolder {
 public:
  explicit LockHolder(Lock& lock) ABSL_EXCLUSIVE_LOCK_FUNCTION(lock) : lock_(lock) {
    lock_.Acquire();
  }
  ~LockHolder() ABSL_UNLOCK_FUNCTION() { lock_.Release(); }
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;

 private:
  Lock& lock_;
};

}  // namespace userpager

#endif  // USERPAGER_BASE_LOCK_H_
