// IoRing: one io_uring of one thread, over liburing. It knows descriptors, memory and 64-bit
// labels; what a request means is its user's business.
//
// Flow:    Queue* fills an entry of the submission ring; Wait hands the entries to the kernel and
//          brings completions, both in one system call where something has to be waited for; while
//          it is to stay awake it looks for them instead, and reads messages itself.
// Kernels: where the kernel has them (6.1), SINGLE_ISSUER and DEFER_TASKRUN: completions are then
//          worked off inside Wait and interrupt nobody. Before that a plain ring (5.11 at least).
// Locks:   none: one thread opens, uses and closes it.
#ifndef USERPAGER_PLATFORM_IO_RING_H_
#define USERPAGER_PLATFORM_IO_RING_H_

#include <liburing.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <utility>

#include "runtime/base/types.h"

namespace userpager {

class IoRing {
 public:
  // The most requests that may be under way at a time.
  static constexpr unsigned kEntries = 256;
  static constexpr unsigned kMostMessages = 4;
  static constexpr uint64_t kNoTimeout = UINT64_MAX;
  // A thread that works for its own sake goes on for that long and longer (the scheduler's slice);
  // what the system does beside is shorter.
  static constexpr uint64_t kTakenNs = 250'000;

  struct Completion {
    uint64_t label;
    int32_t result;
  };

  // kPlain: without what kernels before 6.1 do not have.
  enum class Mode : uint8_t { kDeferred, kPlain };

  // Who touches a request's memory: the thread that calls Wait, or always one of the kernel's own,
  // which may sleep in a page fault that the thread that calls Wait has to answer.
  enum class DoneBy : uint8_t { kSubmitter, kWorker };

  explicit IoRing(Mode mode = Mode::kDeferred) : mode_(mode) {}
  ~IoRing();
  IoRing(const IoRing&) = delete;
  IoRing& operator=(const IoRing&) = delete;

  // Nothing allocates after it. EPERM, EACCES or ENOSYS: io_uring is forbidden or not there.
  Errno Open();

  // Transfers at a place in a file. `parts` is the caller's and lives until completion.
  void QueueRead(int descriptor, std::span<const iovec> parts, uint64_t offset_bytes,
                 uint64_t label);
  void QueueWrite(int descriptor, std::span<const iovec> parts, uint64_t offset_bytes,
                  uint64_t label, DoneBy done_by = DoneBy::kSubmitter);
  // A read of a non-blocking descriptor of messages: the kernel polls it and reads when there is
  // something. The result is -EAGAIN where this kernel does not do that for this descriptor. At
  // most kMostMessages at a time.
  void QueueMessageRead(int descriptor, void* buffer, uint32_t bytes, uint64_t label);
  // Completes when the descriptor can be read.
  void QueuePoll(int descriptor, uint64_t label);

  // Submits what is queued, waits until at least one completion is there or the time has passed
  // (0: only looks), and stores up to completions.size() (> 0). Returns how many.
  size_t Wait(std::span<Completion> completions, uint64_t timeout_ns);

  // Until then, on the clock of NowNanoseconds(), Wait looks again and again instead of sleeping,
  // and offers the CPU to whoever else wants it in between; 0: it sleeps. False: since the last
  // call somebody has taken the CPU for kTakenNs or more, and Wait sleeps.
  bool StayAwake(uint64_t until_ns) {
    const bool taken = std::exchange(taken_, false);
    awake_until_ns_ = taken ? 0 : until_ns;
    return !taken;
  }

 private:
  // A read of messages that is not the kernel's yet.
  struct OwnRead {
    uint64_t label;
    int descriptor;
    void* buffer;
    uint32_t bytes;
    bool done;
    int32_t result;
  };

  io_uring_sqe* TakeEntry(uint64_t label);
  size_t Reap(std::span<Completion> completions);
  bool HasWorkLeft() const;
  bool ReadOwn();
  void HandOver(int descriptor, void* buffer, uint32_t bytes, uint64_t label);
  void HandOverOwn();
  int Spin(uint64_t now_ns, uint64_t timeout_ns);
  void Enter(uint64_t timeout_ns);

  const Mode mode_;
  io_uring ring_{};
  bool open_ = false;
  OwnRead own_[kMostMessages] = {};  // the first own_count_
  unsigned own_count_ = 0;
  uint64_t awake_until_ns_ = 0;
  bool taken_ = false;  // the CPU, by somebody else, since StayAwake
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_IO_RING_H_
