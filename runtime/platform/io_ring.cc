#include "runtime/platform/io_ring.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/system_call.h"
#include "runtime/platform/descriptors.h"
#include "runtime/platform/pause.h"

// Debian 12's headers have these; older ones that liburing is built against may not.
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

namespace userpager {
namespace {

// TASKRUN_FLAG lets a look without waiting see in shared memory whether a system call is worth it.
constexpr unsigned kDeferred =
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
// Timeouts without a request of their own, no dropped completions, and request structures that the
// kernel has copied when the submission returns.
constexpr unsigned kNeeded = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
// How long the kernel is given to find memory for a request that it could not take.
constexpr uint64_t kRetryNanoseconds = 1'000'000;
// Looks between two offers of the CPU, each a system call as well.
constexpr unsigned kLooksEachYield = 16;

__kernel_timespec TimespecOf(uint64_t nanoseconds) {
  return {.tv_sec = static_cast<long long>(nanoseconds / 1'000'000'000),
          .tv_nsec = static_cast<long long>(nanoseconds % 1'000'000'000)};
}

}  // namespace

IoRing::~IoRing() {
  if (!open_) return;
  io_uring_queue_exit(&ring_);
  Descriptors::Forget(ring_.ring_fd);
}

Errno IoRing::Open() {
  io_uring_params params{};
  if (mode_ == Mode::kDeferred) params.flags = kDeferred;
  int result = USERPAGER_CALL(kRing, io_uring_queue_init_params(kEntries, &ring_, &params));
  if (result == -EINVAL) {
    params = {};
    result = io_uring_queue_init_params(kEntries, &ring_, &params);
  }
  if (result < 0) return -result;
  if ((params.features & kNeeded) != kNeeded) {
    io_uring_queue_exit(&ring_);
    return ENOSYS;
  }
  open_ = true;
  // It acts on this process alone. A wish: who has a copy of it does not use it.
  (void)io_uring_ring_dontfork(&ring_);
  ring_.ring_fd = Descriptors::Keep(ring_.ring_fd);
  ring_.enter_ring_fd = ring_.ring_fd;
  // Saves the look-up of the descriptor in each system call (5.18); a wish.
  (void)io_uring_register_ring_fd(&ring_);
  return 0;
}

io_uring_sqe* IoRing::TakeEntry(uint64_t label) {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  USERPAGER_CHECK(entry != nullptr, "more requests were queued than the ring can hold", label);
  return entry;
}

void IoRing::QueueRead(int descriptor, std::span<const iovec> parts, uint64_t offset_bytes,
                       uint64_t label) {
  io_uring_sqe* entry = TakeEntry(label);
  if (parts.size() == 1) {
    io_uring_prep_read(entry, descriptor, parts[0].iov_base,
                       static_cast<unsigned>(parts[0].iov_len), offset_bytes);
  } else {
    io_uring_prep_readv(entry, descriptor, parts.data(), static_cast<unsigned>(parts.size()),
                        offset_bytes);
  }
  entry->user_data = label;
}

void IoRing::QueueWrite(int descriptor, std::span<const iovec> parts, uint64_t offset_bytes,
                        uint64_t label, DoneBy done_by) {
  io_uring_sqe* entry = TakeEntry(label);
  if (parts.size() == 1) {
    io_uring_prep_write(entry, descriptor, parts[0].iov_base,
                        static_cast<unsigned>(parts[0].iov_len), offset_bytes);
  } else {
    io_uring_prep_writev(entry, descriptor, parts.data(), static_cast<unsigned>(parts.size()),
                         offset_bytes);
  }
  if (done_by == DoneBy::kWorker) io_uring_sqe_set_flags(entry, IOSQE_ASYNC);
  entry->user_data = label;
}

void IoRing::QueueMessageRead(int descriptor, void* buffer, uint32_t bytes, uint64_t label) {
  if (awake_until_ns_ != 0 && own_count_ < kMostMessages) {
    own_[own_count_++] = {label, descriptor, buffer, bytes, false, 0};
  } else {
    HandOver(descriptor, buffer, bytes, label);
  }
}

void IoRing::HandOver(int descriptor, void* buffer, uint32_t bytes, uint64_t label) {
  io_uring_sqe* entry = TakeEntry(label);
  io_uring_prep_read(entry, descriptor, buffer, bytes, 0);
  entry->user_data = label;
}

// Whether a message has come to one of the reads that the kernel does not have: to be told by it
// costs two system calls more than to ask.
bool IoRing::ReadOwn() {
  bool any = false;
  for (OwnRead& one : std::span(own_, own_count_)) {
    if (!one.done) {
      const ssize_t result = read(one.descriptor, one.buffer, one.bytes);
      if (result < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      one.result = static_cast<int32_t>(result < 0 ? -errno : result);
      one.done = true;
    }
    any = true;
  }
  return any;
}

// Before it sleeps: the kernel is to wake it for them.
void IoRing::HandOverOwn() {
  for (const OwnRead& one : std::span(own_, std::exchange(own_count_, 0))) {
    USERPAGER_CHECK(!one.done, "a message was read and not taken", one.label);
    HandOver(one.descriptor, one.buffer, one.bytes, one.label);
  }
}

void IoRing::QueuePoll(int descriptor, uint64_t label) {
  io_uring_sqe* entry = TakeEntry(label);
  io_uring_prep_poll_add(entry, descriptor, POLLIN);
  entry->user_data = label;
}

size_t IoRing::Reap(std::span<Completion> completions) {
  unsigned head;
  unsigned seen = 0;
  io_uring_cqe* entry;
  io_uring_for_each_cqe(&ring_, head, entry) {
    if (seen == completions.size()) break;
    completions[seen] = {entry->user_data, entry->res};
    ++seen;
  }
  io_uring_cq_advance(&ring_, seen);
  unsigned left = 0;
  for (unsigned i = 0; i < own_count_; ++i) {
    if (own_[i].done && seen < completions.size()) {
      completions[seen++] = {own_[i].label, own_[i].result};
    } else {
      own_[left++] = own_[i];
    }
  }
  own_count_ = left;
  return seen;
}

// Whether the kernel has to be entered for completions that are on their way.
bool IoRing::HasWorkLeft() const {
  return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

// Sends what is queued, and looks for completions until it is time to sleep, or `timeout_ns` have
// passed. Returns what a system call of io_uring's does.
int IoRing::Spin(uint64_t now_ns, uint64_t timeout_ns) {
  const int sent = io_uring_sq_ready(&ring_) > 0 ? io_uring_submit(&ring_) : 0;
  if (sent < 0) return sent;
  const uint64_t end_ns = now_ns + std::min(timeout_ns, awake_until_ns_ - now_ns);
  while (now_ns < end_ns) {
    for (unsigned i = 0; i < kLooksEachYield; ++i) {
      if (io_uring_cq_ready(&ring_) > 0 || ReadOwn()) return 0;
      if (HasWorkLeft()) return io_uring_get_events(&ring_);
      Pause();
    }
    sched_yield();
    const uint64_t before_ns = std::exchange(now_ns, NowNanoseconds());
    if (now_ns - before_ns < kTakenNs) continue;
    taken_ = true;
    awake_until_ns_ = 0;
    break;
  }
  return 0;
}

// Submits what is queued and waits, or, for so long as it is to stay awake, looks: then the caller
// looks at the time and comes again. No system call where there is nothing to submit, to wait for,
// to work off or to read.
void IoRing::Enter(uint64_t timeout_ns) {
  io_uring_cqe* first = nullptr;
  int result;
  if (timeout_ns == 0) {
    result = io_uring_sq_ready(&ring_) > 0 ? io_uring_submit_and_get_events(&ring_)
                                           : io_uring_peek_cqe(&ring_, &first);
    (void)ReadOwn();
  } else if (const uint64_t now_ns = awake_until_ns_ == 0 ? 0 : NowNanoseconds();
             now_ns < awake_until_ns_) {
    result = Spin(now_ns, timeout_ns);
  } else {
    HandOverOwn();
    __kernel_timespec timeout = TimespecOf(timeout_ns);
    result = io_uring_submit_and_wait_timeout(
        &ring_, &first, 1, timeout_ns == kNoTimeout ? nullptr : &timeout, nullptr);
  }
  if (result >= 0 || result == -EINTR || result == -ETIME) return;
  // EBUSY: completions have overflown and must be taken first. EAGAIN: the look found nothing, or
  // the kernel has no memory for a request: it is still queued.
  USERPAGER_CHECK(result == -EBUSY || result == -EAGAIN, "io_uring refuses its requests", -result);
  if (result == -EAGAIN && timeout_ns != 0) {
    __kernel_timespec pause = TimespecOf(kRetryNanoseconds);
    (void)io_uring_wait_cqe_timeout(&ring_, &first, &pause);
  }
}

size_t IoRing::Wait(std::span<Completion> completions, uint64_t timeout_ns) {
  const bool timed = timeout_ns != 0 && timeout_ns != kNoTimeout;
  const uint64_t begin_ns = timed ? NowNanoseconds() : 0;
  uint64_t left_ns = timeout_ns;
  // What has completed is taken first, so that a full completion ring never keeps a request back.
  size_t count = Reap(completions);
  for (;;) {
    const bool look_only = count > 0 || left_ns == 0;
    if (!look_only || io_uring_sq_ready(&ring_) > 0 || count == 0) Enter(look_only ? 0 : left_ns);
    count += Reap(completions.subspan(count));
    if (count > 0 || look_only) break;
    if (timed) {
      const uint64_t passed_ns = NowNanoseconds() - begin_ns;
      left_ns = passed_ns < timeout_ns ? timeout_ns - passed_ns : 0;
    }
  }
  return count;
}

}  // namespace userpager
