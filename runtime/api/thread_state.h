// ThreadState: what the api room keeps for each thread of the program. Small and plain, in
// initial-exec thread-local storage (no allocation, no lock at access); what is larger hangs on it
// in the metadata arena and is given back when the thread ends.
#ifndef USERPAGER_API_THREAD_STATE_H_
#define USERPAGER_API_THREAD_STATE_H_

#include <cstdint>

#include "runtime/base/log_line.h"
#include "runtime/base/types.h"

namespace userpager {

struct ThreadState {
  char* stack = nullptr;         // of Entry; lowest byte
  LogLine* message = nullptr;    // of the last failing userpager_ call
  uint64_t signal_mask = 0;      // of the program, while the thread is inside
  uint32_t last_error = 0;       // GetLastError
  int cancel_state = 0;          // of the program, while the thread is inside
  int saved_errno = 0;           // of the program, while the thread is inside
  uint64_t releases_seen = ~uint64_t{0};  // at the last fault that no shard knew (inline_signal.cc)
  uint32_t id = 0;               // the kernel's, 0: not yet asked for
  bool inside = false;
  unsigned repeats = 0;            // of accesses to repeated_page since repeated_since_ns
  PageIndex repeated_page;         // that a fault's handler had repeated last
  uint64_t repeated_since_ns = 0;
  bool registered = false;       // Release will run when the thread ends
};

ThreadState& CurrentThread();

// Blocks all signals but the synchronous ones and stores the mask from before in the thread's
// state; gives that mask back.
void BlockSignals(ThreadState& thread);
void RestoreSignals(ThreadState& thread);

// Has the arena memory of the state given back when the thread ends. Called after the first of it
// was stored. May call malloc: without a lock.
void ReleaseAtThreadEnd(ThreadState& thread);

}  // namespace userpager

#endif  // USERPAGER_API_THREAD_STATE_H_
