// CallerLog: which code asked for memory, on its way to the trace file. Threads of the program add,
// the recording's thread takes all at once; what finds no room until then is counted and gone.
//
// Locks: one (kLeaf), held for a copy. So it is added to inside (api/entry.h).
#ifndef USERPAGER_PAGER_CALLER_LOG_H_
#define USERPAGER_PAGER_CALLER_LOG_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/arena.h"
#include "runtime/base/lock.h"
#include "runtime/base/types.h"
#include "runtime/observe/trace_format.h"

namespace userpager {

class CallerLog {
 public:
  static constexpr size_t kRecords = 2048;

  // ENOMEM: there is no room for them.
  Errno Init();
  void Add(const TraceCallers& record);
  // What was added since the last call. It stays until the next; one caller at a time.
  std::span<const TraceCallers> Take();
  // Records that found no room, so far.
  uint64_t dropped();

 private:
  Lock lock_{LockRank::kLeaf};
  ArenaArray<TraceCallers> halves_[2];
  unsigned filling_ ABSL_GUARDED_BY(lock_) = 0;
  size_t count_ ABSL_GUARDED_BY(lock_) = 0;
  uint64_t dropped_ ABSL_GUARDED_BY(lock_) = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_CALLER_LOG_H_
