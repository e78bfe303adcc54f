// HelperThread: a second thread for work that one thread has at hand in parts that are independent
// of each other, such as the checksums and the copies of many pages.
//
// Flow:  Begin offers the parts, and the helper, woken by it, takes one after the other while the
//        caller does something else. In Finish the caller takes parts as well, until those that it
//        asks for are done. A helper that comes late finds less to do, or nothing: the caller never
//        waits for a part that nobody has begun.
// Pays:  only where a CPU is idle. Where the helper came so late several times in a row that the
//        caller had done all, it is not asked for a while.
// Locks: none. Begin and Finish are called by one thread at a time, with whatever locks it has;
//        parts take none.
#ifndef USERPAGER_PLATFORM_HELPER_THREAD_H_
#define USERPAGER_PLATFORM_HELPER_THREAD_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

class HelperThread {
 public:
  static constexpr unsigned kMostParts = 128;

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

  // Has parts 0 to count - 1 (kMostParts at most) done, each once: without a helper at once, else
  // by and by. All of them are to be finished before another work begins.
  void Begin(DoPart do_part, void* work, unsigned count);
  // Returns when the parts before `end` are done.
  void Finish(unsigned end);

 private:
  // So often in a row the helper may come too late, and so many calls it is not asked then.
  static constexpr unsigned kMostMissed = 4;
  static constexpr unsigned kCallsUnasked = 64;

  static void* ThreadMain(void* self);
  void Help();
  // Takes the next part that is left, if any is, and does it. Returns whether there was one.
  bool DoNextPart();
  // By the caller: whether the parts before `end` are done.
  bool AreDone(unsigned end);
  void AwaitHelper(unsigned end);
  void NoteWhetherItCame(bool came);

  pthread_t thread_{};
  bool started_ = false;
  // Of the work under way; read by the helper only while it has one of its parts.
  DoPart do_part_ = nullptr;
  void* work_ = nullptr;
  // Which work (the high half), of how many parts, and the next part that nobody has taken: in one
  // word, so that a helper that comes late takes no part of the next work for one of the last.
  std::atomic<uint64_t> offer_{0};
  std::atomic<bool> done_[kMostParts] = {};
  std::atomic<uint32_t> ends_{0};     // of parts, so far; what the caller sleeps on
  std::atomic<uint32_t> offers_{0};   // so far; what the helper sleeps on
  std::atomic<bool> stopping_{false};
  // Of the calling thread.
  unsigned count_ = 0;  // of the parts that were offered; 0: all are done
  unsigned own_ = 0;    // so many of them it did itself
  unsigned known_ = 0;  // the first so many are known to be done
  unsigned missed_ = 0;
  unsigned unasked_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_HELPER_THREAD_H_
