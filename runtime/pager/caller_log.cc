#include "runtime/pager/caller_log.h"

#include <errno.h>

namespace userpager {

Errno CallerLog::Init() {
  for (auto& half : halves_) {
    half = ArenaArray<TraceCallers>(kRecords);
    if (!half.ok()) return ENOMEM;
  }
  return 0;
}

void CallerLog::Add(const TraceCallers& record) {
  LockHolder hold(lock_);
  if (count_ == kRecords) {
    ++dropped_;
  } else {
    halves_[filling_][count_++] = record;
  }
}

std::span<const TraceCallers> CallerLog::Take() {
  LockHolder hold(lock_);
  const std::span<const TraceCallers> taken(halves_[filling_].data(), count_);
  filling_ = 1 - filling_;
  count_ = 0;
  return taken;
}

uint64_t CallerLog::dropped() {
  LockHolder hold(lock_);
  return dropped_;
}

}  // namespace userpager
