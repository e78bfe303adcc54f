// HelperThread: a second thread for work that one thread has at hand in parts that are independent
// of each other, such as the checksums and the copies of many pages.
//
// Flow:  Run offers the parts; the helper, woken by it, and the caller each take the next one until
//        none is left. A helper that comes late finds less to do, or nothing: the caller never
//        waits for a part that nobody has begun.
// Pays:  only where a CPU is idle. Where the helper came too late several times in a row it is not
//        asked for a while.
// Locks: none. Run is called by one thread at a time, with whatever locks it has; parts take none.
#ifndef USERPAGER_PLATFORM_HELPER_THREAD_H_
#define USERPAGER_PLATFORM_HELPER_THREAD_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

class HelperThread {
 public:
  static constexpr unsigned kMostParts = 0xffff;

  // Does part `index` of what `work` describes.
  using DoPart = void (*)(void* work, unsigned index);

  HelperThread() = default;
  ~HelperThread() { Stop(); }
  HelperThread(const HelperThread&) = delete;
  HelperThread& operator=(const HelperThread&) = delete;

  // Makes the thread. Returns what pthread_create does.
  Errno Start();
  void Stop();
  // In a forked child, which has no such thread: Start may follow.
  void ForgetInChild();

  // Does parts 0 to count - 1 (kMostParts at most), each once; all are done when it returns.
  // Without a thread, all of them in the caller's.
  void Run(DoPart do_part, void* work, unsigned count);

 private:
  // So often in a row the helper may come too late, and so many calls it is not asked then.
  static constexpr unsigned kMostMissed = 4;
  static constexpr unsigned kCallsUnasked = 64;

  static void* ThreadMain(void* self);
  void Help();
  // Takes parts and does them until none is left. Returns how many it did.
  unsigned WorkOff();
  void AwaitHelper(unsigned count);
  void NoteWhetherItCame(bool came);

  pthread_t thread_{};
  bool started_ = false;
  // Of the work under way; read by the helper only while it has one of its parts.
  DoPart do_part_ = nullptr;
  void* work_ = nullptr;
  // Which work (the high half), of how many parts, and the next part that nobody has taken: in one
  // word, so that a helper that comes late takes no part of the next work for one of the last.
  std::atomic<uint64_t> offer_{0};
  std::atomic<uint32_t> done_{0};     // parts
  std::atomic<uint32_t> offers_{0};   // so far; what the helper sleeps on
  std::atomic<bool> stopping_{false};
  // Of the calling thread.
  unsigned missed_ = 0;
  unsigned unasked_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_HELPER_THREAD_H_
