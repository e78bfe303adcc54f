// IoEngine: the one place where a shard waits. Through it go the reads and writes of the page file,
// and the messages of descriptors that the shard listens to (its userfaultfd, its wake-up eventfd),
// so that one wait brings faults and completions alike.
//
// Cast:     IoRequest, IoCompletion, IoEngine; UringEngine, ThreadEngine, FailingEngine (tests).
// Flow:     Submit* queues; Wait sends what is queued and returns completions. Every request that
//           was queued comes back exactly once, in any order.
// Locks:    none. One thread, the one that called Open, uses an engine.
// Promise:  after Open nothing allocates; buffers stay the caller's and must live until completion.
#ifndef USERPAGER_PAGE_FILE_IO_ENGINE_H_
#define USERPAGER_PAGE_FILE_IO_ENGINE_H_

#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "runtime/base/types.h"

namespace userpager {

enum class IoDirection : uint8_t { kRead, kWrite };

struct IoRequest {
  IoDirection direction;
  int descriptor;                // of the page file
  std::span<const iovec> parts;  // memory, in order; stays valid until completion
  uint64_t offset_bytes;         // in the file
  uint64_t tag;                  // comes back in the completion
  // The memory is the program's, and a page of it may be gone when the device asks for it: the
  // fault that this raises may not happen in the thread that uses the engine, which is to answer
  // it.
  bool may_fault = false;
};

struct IoCompletion {
  uint64_t tag;
  // Bytes transferred, or -errno. Fewer bytes than asked for is possible (a short transfer).
  int64_t result;
};

class IoEngine {
 public:
  static constexpr uint64_t kNoTimeout = UINT64_MAX;

  // No transfer is under way. Message reads may be: they end without a completion.
  virtual ~IoEngine() = default;

  // Called once, by the thread that will use the engine, before anything else.
  virtual Errno Open() = 0;

  // The most page-file requests that may be under way at a time. The caller stays within it.
  virtual unsigned capacity() const = 0;

  // Queues a page-file transfer.
  virtual void Submit(const IoRequest& request) = 0;

  // Queues one read of a non-blocking descriptor that delivers messages (userfaultfd, eventfd): it
  // completes when there is something to read, with what there is. At most 4 at a time.
  virtual void SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                                 uint64_t tag) = 0;

  // Sends what is queued and waits until at least one completion is there or `timeout_ns` have
  // passed (0: only looks). Returns how many were stored in `completions`.
  virtual size_t Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) = 0;

  // Until then, on the clock of NowNanoseconds(), Wait does not sleep: it looks again and again,
  // and gives way to whoever wants the CPU; 0: it sleeps. An engine that cannot sleeps, too. False:
  // since the last call somebody has taken the CPU for long, and Wait sleeps.
  virtual bool StayAwake(uint64_t until_ns) {
    (void)until_ns;
    return true;
  }
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_IO_ENGINE_H_
