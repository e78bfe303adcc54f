// Watchdog: one thread that looks at every shard again and again, so that no thread of the program
// waits for ever without a word.
//
// Finds:   - a shard's thread that has ended, or a userfaultfd that was closed under it: the
//            process is stopped with the reason, as later faults would never be answered, or be
//            answered by the kernel with zeros;
//          - a shard's thread that waits for a page itself (one that was parked is gone): the
//            process is stopped with the reason;
//          - a thread of the program that waits although the shard has nothing under way that
//            would answer it: it is sent to look again, and a line tells it with the shard's state;
//          - with faults:inline, a thread of the program that has ended while it read a page for
//            itself, while others wait for the page: the shard's thread reads it, and a line tells;
//          - a shard that does not get to read its messages: a line tells what it waits for.
// Also gives back what the page file kept for forked children that have gone.
// Flow:    Watch (shard_watch.cc) of each shard once in a period, a second. Where threads wait at
//          two looks, the shard's own thread is asked to look for forgotten ones, because it alone
//          knows what it has read. Nothing is decided by how long something takes but lines that
//          tell of it.
// Cost:    one system call for each shard and period while nobody waits.
// Locks:   takes none but its own.
#ifndef USERPAGER_PAGER_WATCHDOG_H_
#define USERPAGER_PAGER_WATCHDOG_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <span>

#include "runtime/base/log_line.h"
#include "runtime/base/types.h"

namespace userpager {

class PageFile;
class ShardThread;

class Watchdog {
 public:
  Watchdog() = default;
  ~Watchdog() { Stop(); }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Watches the shards, which run, until Stop. On failure `error` gets one clear line.
  // After its first look the thread calls `settled`, where that is given.
  Errno Start(std::span<ShardThread* const> shards, PageFile& page_file, uint64_t period_ns,
              void (*settled)(), LogLine* error);
  void Stop();
  // In a forked child, which has no such thread: Start may follow.
  void ForgetInChild() { started_ = false; }

 private:
  static void* ThreadMain(void* self);
  void Run();

  std::span<ShardThread* const> shards_;
  PageFile* page_file_ = nullptr;
  uint64_t period_ns_ = 0;
  void (*settled_)() = nullptr;
  pthread_t thread_{};
  bool started_ = false;
  std::atomic<uint32_t> stopping_{0};  // a futex word
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_WATCHDOG_H_
