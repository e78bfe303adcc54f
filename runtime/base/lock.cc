#include "runtime/base/lock.h"

#include "runtime/base/check.h"

namespace userpager {
namespace {

#ifndef NDEBUG
// The locks that this thread holds, in the order in which it took them. A thread holds at most one
// of each rank, but for all shards while it forks, so the depth is bounded.
constexpr unsigned kMostHeld = 8 + 64;
struct HeldLocks {
  const Lock* locks[kMostHeld];
  LockRank ranks[kMostHeld];
  unsigned count;
};
thread_local HeldLocks held{};

void NoteAcquired(const Lock* lock, LockRank rank, bool beside) {
  USERPAGER_CHECK(held.count < kMostHeld, "a thread holds more locks than there can be",
                  held.count);
  const LockRank last = held.count == 0 ? LockRank{} : held.ranks[held.count - 1];
  USERPAGER_CHECK(last < rank || (beside && last == rank),
                  "a lock was taken against the order of lock_rank.h", static_cast<int>(rank));
  held.locks[held.count] = lock;
  held.ranks[held.count] = rank;
  ++held.count;
}

void NoteReleased(const Lock* lock, LockRank rank) {
  USERPAGER_CHECK(held.count > 0 && held.locks[held.count - 1] == lock,
                  "locks are released in another order than the reverse", static_cast<int>(rank));
  --held.count;
}

bool IsHeld(const Lock* lock) {
  for (unsigned i = 0; i < held.count; ++i) {
    if (held.locks[i] == lock) return true;
  }
  return false;
}
#else
void NoteAcquired(const Lock*, LockRank, bool) {}
void NoteReleased(const Lock*, LockRank) {}
bool IsHeld(const Lock*) { return true; }
#endif

}  // namespace

void Lock::Acquire() {
  // Noted first: a wrong order is reported even on the run where it does not deadlock, or does.
  NoteAcquired(this, rank_, false);
  const int error = pthread_mutex_lock(&mutex_);
  USERPAGER_CHECK(error == 0, "a mutex could not be locked", error);
}

void Lock::AcquireBeside() {
  NoteAcquired(this, rank_, true);
  const int error = pthread_mutex_lock(&mutex_);
  USERPAGER_CHECK(error == 0, "a mutex could not be locked", error);
}

void Lock::Release() {
  NoteReleased(this, rank_);
  const int error = pthread_mutex_unlock(&mutex_);
  USERPAGER_CHECK(error == 0, "a mutex could not be unlocked", error);
}

bool Lock::TryAcquire() {
  if (pthread_mutex_trylock(&mutex_) != 0) return false;
  NoteAcquired(this, rank_, false);
  return true;
}

void Lock::AssertHeld() const {
  USERPAGER_CHECK(IsHeld(this), "a function was called without its lock", static_cast<int>(rank_));
}

}  // namespace userpager
