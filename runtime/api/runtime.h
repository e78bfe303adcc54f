// Runtime: the one pager of the process, and how it comes up. It never goes down: other threads may
// touch managed memory until the very end of the process.
//
// Flow:  Start (userpager_start) or GetOrStart (the first VirtualAlloc): options are chosen,
//        checked and completed, what the kernel must give is probed, then Pager::Start. A failed
//        start leaves nothing behind.
// Locks: the lifecycle lock, so that there is one start at a time. Afterwards one atomic load.
#ifndef USERPAGER_API_RUNTIME_H_
#define USERPAGER_API_RUNTIME_H_

#include <userpager/userpager.h>

#include "runtime/api/discard_thread.h"
#include "runtime/api/limit_keeper.h"
#include "runtime/api/reservations.h"
#include "runtime/api/working_set.h"
#include "runtime/base/log_line.h"
#include "runtime/pager/pager.h"
#include "runtime/platform/published_page.h"

namespace userpager {

class Runtime {
 public:
  // nullptr before the start.
  static Runtime* Get();

  // Starts with the options, or with USERPAGER_CONF and defaults where `options` is nullptr. Called
  // inside (entry.h). Returns 0 or a userpager_error, with a line in `error`.
  static int Start(const userpager_options* options, LogLine* error);

  // The runtime, started if it must be; nullptr where that fails. Says why on standard error the
  // first time; from then on only an explicit start tries again. Thread-safe; not inside.
  static Runtime* GetOrStart();

  // Called by Start alone (public for ArenaNew).
  // `published` is made, and large enough for so many shards; it outlives the runtime.
  Runtime(const userpager_options& options, PublishedPage& published);

  Pager& pager() { return pager_; }
  Reservations& reservations() { return reservations_; }
  WorkingSet& working_set() { return working_set_; }
  const userpager_options& options() const { return options_; }
  const StatisticsPage& page() const { return page_; }

  // userpager_set_memory_limit's work, after the start. 0, or a userpager_error with a line in
  // `error`. Inside, or in a thread of the runtime's own.
  static int ChangeMemoryLimit(uint64_t bytes, LogLine* error);

  // From here on others do not find the process, as it ends. Safe in a signal's handler; in a child
  // that has the parent's memory (vfork) it does nothing.
  static void Withdraw();

  // In a forked child, first: what the parent counts in is not the child's.
  static void ForgetPageInChild();

  // child.cc. Around fork, where children inherit (Reservations::BeginFork). In the child
  // BeginInChild; then, where it is to page on its own, AdoptInChild and StartInChild, which begins
  // its threads. Where either fails, with one line, and where not: Reservations::FillChild.
  Errno BeginFork();
  void EndFork();
  void BeginInChild();
  Errno AdoptInChild(PageRange stays_locked, LogLine* error);
  Errno StartInChild(LogLine* error);

 private:
  // Where Start comes to, with the lifecycle lock held.
  static int StartPager(const userpager_options& options, LogLine* error);

  void FillHead();
  // Lets the tool find the process, and begins to follow the machine, where these are wanted. A
  // process without them works as well.
  void Publish();

  const userpager_options options_;  // complete: no 0 for "as much as fits"
  PublishedPage& published_;
  StatisticsPage& page_;
  Pager pager_;
  Reservations reservations_;
  WorkingSet working_set_;
  LimitKeeper limit_keeper_;
  DiscardThread discard_thread_;
};

}  // namespace userpager

#endif  // USERPAGER_API_RUNTIME_H_
