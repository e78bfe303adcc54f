#include "runtime/page_file/thread_engine.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/system_call.h"
#include "runtime/platform/descriptors.h"

namespace userpager {
namespace {

// Without the C library's functions: sanitizers watch those, and do not know that the kernel keeps
// a program's stores off a page while it is written from its place.
int64_t Transfer(const IoRequest& request) {
  const long number = request.direction == IoDirection::kRead ? SYS_preadv : SYS_pwritev;
  for (;;) {
    const long result = syscall(number, request.descriptor, request.parts.data(),
                                request.parts.size(), request.offset_bytes, 0);
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace

ThreadEngine::~ThreadEngine() {
  USERPAGER_CHECK(under_way_ == 0, "an I/O engine is closed with transfers under way", under_way_);
  // A worker that finds the queue empty ends.
  for (unsigned i = 0; i < worker_count_; ++i) sem_post(&work_);
  for (unsigned i = 0; i < worker_count_; ++i) pthread_join(workers_[i], nullptr);
  if (wake_up_ >= 0) {
    sem_destroy(&work_);
    Descriptors::Close(wake_up_);
  }
}

Errno ThreadEngine::Open() {
  wake_up_ = Descriptors::Keep(USERPAGER_CALL(kDescriptor, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  if (wake_up_ < 0) return errno;
  sem_init(&work_, 0, 0);
  // Threads inherit the mask: signals are the program's and go to the program's threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const Errno error = StartWorkers();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

Errno ThreadEngine::StartWorkers() {
  for (; worker_count_ < kWorkers; ++worker_count_) {
    pthread_t* worker = &workers_[worker_count_];
    const int error =
        USERPAGER_CALL_OF_THREADS(kThread, pthread_create(worker, nullptr, RunWorker, this));
    if (error != 0) return error;
    (void)pthread_setname_np(*worker, "userpager-io");
  }
  return 0;
}

void* ThreadEngine::RunWorker(void* engine) {
  static_cast<ThreadEngine*>(engine)->Work();
  return nullptr;
}

void ThreadEngine::Work() {
  for (;;) {
    while (sem_wait(&work_) != 0) {
      USERPAGER_CHECK(errno == EINTR, "a worker cannot wait for work", errno);
    }
    IoRequest request;
    if (!TakeRequest(&request)) return;
    StoreCompletion({request.tag, Transfer(request)});
  }
}

bool ThreadEngine::TakeRequest(IoRequest* request) {
  LockHolder hold(lock_);
  if (queue_count_ == 0) return false;
  *request = queue_[queue_head_];
  queue_head_ = (queue_head_ + 1) % kTransfers;
  --queue_count_;
  return true;
}

void ThreadEngine::StoreCompletion(IoCompletion completion) {
  bool first;
  {
    LockHolder hold(lock_);
    first = done_count_ == 0;
    done_[(done_head_ + done_count_) % kTransfers] = completion;
    ++done_count_;
  }
  // Completions that are taken before this signal arrives leave it without meaning: Wait then looks
  // once more for nothing.
  if (!first) return;
  const uint64_t one = 1;
  const ssize_t written = write(wake_up_, &one, sizeof one);
  USERPAGER_CHECK(written == sizeof one, "a completion could not be signalled", errno);
}

void ThreadEngine::Submit(const IoRequest& request) {
  USERPAGER_CHECK(under_way_ < kTransfers, "more transfers than the engine's capacity", kTransfers);
  ++under_way_;
  ++unsent_;
  LockHolder hold(lock_);
  queue_[(queue_head_ + queue_count_) % kTransfers] = request;
  ++queue_count_;
}

void ThreadEngine::SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                                     uint64_t tag) {
  unsigned index = 0;
  while (index < kMessages && messages_[index].pending) ++index;
  USERPAGER_CHECK(index < kMessages, "more message reads than an engine takes", kMessages);
  messages_[index] = {true, descriptor, buffer, buffer_bytes, tag};
}

void ThreadEngine::SendQueued() {
  for (; unsent_ > 0; --unsent_) {
    const int failed = sem_post(&work_);
    USERPAGER_CHECK(failed == 0, "workers cannot be given work", errno);
  }
}

bool ThreadEngine::HasCompletion() {
  LockHolder hold(lock_);
  return done_count_ > 0;
}

size_t ThreadEngine::TakeCompletions(std::span<IoCompletion> completions) {
  LockHolder hold(lock_);
  size_t count = 0;
  for (; count < completions.size() && done_count_ > 0; ++count) {
    completions[count] = done_[done_head_];
    done_head_ = (done_head_ + 1) % kTransfers;
    --done_count_;
  }
  under_way_ -= static_cast<unsigned>(count);
  return count;
}

// True if the read is over. A message that another reader took, or that its sender withdrew, leaves
// it pending.
bool ThreadEngine::TryMessage(Message* message, IoCompletion* completion) {
  const ssize_t result = read(message->descriptor, message->buffer, message->bytes);
  if (result < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  *completion = {message->tag, result < 0 ? -errno : result};
  message->pending = false;
  return true;
}

// Polls once and takes what there is: messages first, as they are few.
size_t ThreadEngine::Poll(std::span<IoCompletion> completions, uint64_t timeout_ns) {
  pollfd polled[1 + kMessages];
  polled[0] = {wake_up_, POLLIN, 0};
  for (unsigned i = 0; i < kMessages; ++i) {
    polled[1 + i] = {messages_[i].pending ? messages_[i].descriptor : -1, POLLIN, 0};
  }
  if (HasCompletion()) timeout_ns = 0;
  const timespec timeout = {static_cast<time_t>(timeout_ns / 1'000'000'000),
                            static_cast<long>(timeout_ns % 1'000'000'000)};
  const int ready = ppoll(polled, std::size(polled), timeout_ns == kNoTimeout ? nullptr : &timeout,
                          nullptr);
  USERPAGER_CHECK(ready >= 0 || errno == EINTR, "descriptors cannot be polled", errno);
  size_t count = 0;
  if (ready > 0) {
    for (unsigned i = 0; i < kMessages && count < completions.size(); ++i) {
      if (polled[1 + i].revents == 0) continue;
      if (TryMessage(&messages_[i], &completions[count])) ++count;
    }
    uint64_t signals;
    if (polled[0].revents != 0) (void)!read(wake_up_, &signals, sizeof signals);
  }
  return count + TakeCompletions(completions.subspan(count));
}

size_t ThreadEngine::Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) {
  SendQueued();
  const bool timed = timeout_ns != 0 && timeout_ns != kNoTimeout;
  const uint64_t begin_ns = timed ? NowNanoseconds() : 0;
  uint64_t left_ns = timeout_ns;
  for (;;) {
    const size_t count = Poll(completions, left_ns);
    if (count > 0 || left_ns == 0) return count;
    if (timed) {
      const uint64_t passed_ns = NowNanoseconds() - begin_ns;
      left_ns = passed_ns < timeout_ns ? timeout_ns - passed_ns : 0;
    }
  }
}

}  // namespace userpager
