// ThreadEngine: the IoEngine for places where io_uring is forbidden, as in many containers. Worker
// threads do positional reads and writes; Wait polls their wake-up descriptor together with the
// descriptors of messages.
//
// Cast:   ThreadEngine, its worker threads (named "userpager-io", all signals blocked).
// Flow:   Submit puts a request into the queue; Wait lets workers at it and polls; a worker takes a
//         request, transfers, stores the completion and signals the wake-up descriptor.
// Locks:  one leaf lock for the queue and the completions. The interface is for one thread.
#ifndef USERPAGER_PAGE_FILE_THREAD_ENGINE_H_
#define USERPAGER_PAGE_FILE_THREAD_ENGINE_H_

#include <pthread.h>
#include <semaphore.h>

#include "runtime/base/lock.h"
#include "runtime/page_file/io_engine.h"

namespace userpager {

class ThreadEngine : public IoEngine {
 public:
  ThreadEngine() = default;
  // No page-file request is under way. Ends the threads.
  ~ThreadEngine() override;

  Errno Open() override;
  unsigned capacity() const override { return kTransfers; }
  void Submit(const IoRequest& request) override;
  void SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                         uint64_t tag) override;
  size_t Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) override;

 private:
  static constexpr unsigned kWorkers = 4;
  static constexpr unsigned kTransfers = 256;
  static constexpr unsigned kMessages = 4;

  struct Message {
    bool pending;
    int descriptor;
    void* buffer;
    uint32_t bytes;
    uint64_t tag;
  };

  static void* RunWorker(void* engine);
  void Work();
  bool TakeRequest(IoRequest* request);
  void StoreCompletion(IoCompletion completion);
  Errno StartWorkers();
  void SendQueued();
  bool HasCompletion();
  size_t Poll(std::span<IoCompletion> completions, uint64_t timeout_ns);
  size_t TakeCompletions(std::span<IoCompletion> completions);
  bool TryMessage(Message* message, IoCompletion* completion);

  Lock lock_{LockRank::kLeaf};
  // Rings: the first is at head, and count follow.
  IoRequest queue_[kTransfers] ABSL_GUARDED_BY(lock_) = {};
  unsigned queue_head_ ABSL_GUARDED_BY(lock_) = 0;
  unsigned queue_count_ ABSL_GUARDED_BY(lock_) = 0;
  IoCompletion done_[kTransfers] ABSL_GUARDED_BY(lock_) = {};
  unsigned done_head_ ABSL_GUARDED_BY(lock_) = 0;
  unsigned done_count_ ABSL_GUARDED_BY(lock_) = 0;

  sem_t work_{};             // one for each request that workers may take, and one each to end them
  int wake_up_ = -1;         // an eventfd: done_ is no longer empty
  // Of the thread that uses the engine alone.
  unsigned under_way_ = 0;   // submitted and not yet returned by Wait
  unsigned unsent_ = 0;      // queued since the last Wait
  unsigned worker_count_ = 0;
  pthread_t workers_[kWorkers] = {};
  Message messages_[kMessages] = {};
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_THREAD_ENGINE_H_
