// Recording: writes what the shards do to a trace file (observe/trace_format.h).
//
// Flow:   each shard adds events to a ring of its own (TraceRing), under its own mutex; a thread of
//         the recording's own takes them out every kTurnNs, and writes them to the file, with a
//         sample of what memory looks like and, where that is wanted, with who asked for memory
//         (CallerLog). So a disk that is slow, or full, slows no fault: at worst rings are full,
//         and then events are dropped and counted.
// Locks:  that of CallerLog. The thread touches no managed memory and calls no malloc.
// Does not: flush the file to the disk.
#ifndef USERPAGER_PAGER_RECORDING_H_
#define USERPAGER_PAGER_RECORDING_H_

#include <pthread.h>
#include <semaphore.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/base/arena.h"
#include "runtime/base/log_line.h"
#include "runtime/base/types.h"
#include "runtime/frames/frame_ledger.h"
#include "runtime/observe/trace_format.h"
#include "runtime/observe/trace_ring.h"
#include "runtime/page_file/page_file.h"
#include "runtime/pager/caller_log.h"
#include "runtime/platform/call_stack.h"
#include "runtime/platform/loaded_modules.h"

namespace userpager {

class Recording {
 public:
  static constexpr uint64_t kTurnNs = 50'000'000;
  // A shard would have to do more in one turn for events to be dropped.
  static constexpr size_t kRingEvents = size_t{1} << 16;

  // Both outlive the recording.
  Recording(const FrameLedger& frames, const PageFile& page_file);
  // Ends it.
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // Begins to write to the file at `path`, in which each %p stands for the process id. It is made,
  // or it is a trace file already, to which nobody is recording: that is overwritten. On failure
  // `error` gets one clear line, and the file is what it was. `wants_callers`: which code asks for
  // memory is recorded as well.
  Errno Start(const char* path, unsigned shards, bool wants_callers, LogLine* error);
  // Writes what is left, and the end. Once is enough; also from a handler of exit, and in a forked
  // child, where it does nothing.
  void Finish();

  TraceRing* ring(unsigned shard) { return &rings_[shard]; }

  // Who asked for these pages. From any thread, inside (api/entry.h).
  void AddCallers(PageRange range, const CallStack& stack, uint32_t thread_id);

 private:
  Errno Open(const char* path, LogLine* error);
  Errno WriteHeader(unsigned shards);
  Errno MakeRings(unsigned shards);
  static void* ThreadMain(void* self);
  void Run();
  void Drain();
  void WriteCallers();
  void TakeSample();
  void WriteBlock(TraceBlockKind kind, unsigned shard, const void* records, size_t bytes,
                  uint64_t dropped);
  Errno WriteAll(iovec* parts, int count);
  void GiveUp(Errno error);

  const FrameLedger& frames_;
  const PageFile& page_file_;
  ArenaArray<TraceRing> rings_;
  bool wants_callers_ = false;
  CallerLog callers_;
  LoadedModules modules_;
  int file_ = -1;
  off_t offset_bytes_ = 0;     // behind the last whole block
  uint64_t blocks_ = 0;
  bool failed_ = false;        // nothing is written any more
  TraceSample last_sample_{};
  pid_t process_ = 0;          // that began it
  pthread_t thread_{};
  sem_t end_wanted_{};
  std::atomic<bool> started_{false};
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_RECORDING_H_
