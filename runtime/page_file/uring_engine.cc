#include "runtime/page_file/uring_engine.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"

namespace userpager {

UringEngine::UringEngine(MessageMode message_mode, IoRing::Mode ring_mode)
    : ring_(ring_mode), message_mode_(message_mode), free_count_(kTransfers) {
  for (unsigned i = 0; i < kTransfers; ++i) free_labels_[i] = static_cast<uint16_t>(i);
}

UringEngine::~UringEngine() {
  // The kernel would go on with a transfer and write into memory that has another owner by then.
  USERPAGER_CHECK(free_count_ == kTransfers,
                  "an I/O engine is closed with transfers under way", kTransfers - free_count_);
}

Errno UringEngine::Open() { return ring_.Open(); }

void UringEngine::Submit(const IoRequest& request) {
  USERPAGER_CHECK(free_count_ > 0, "more transfers than the engine's capacity", kTransfers);
  --free_count_;
  const uint16_t label = free_labels_[free_count_];
  tags_[label] = request.tag;
  if (request.direction == IoDirection::kRead) {
    ring_.QueueRead(request.descriptor, request.parts, request.offset_bytes, label);
  } else {
    ring_.QueueWrite(request.descriptor, request.parts, request.offset_bytes, label,
                     request.may_fault ? IoRing::DoneBy::kWorker : IoRing::DoneBy::kSubmitter);
  }
}

void UringEngine::SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                                    uint64_t tag) {
  unsigned index = 0;
  while (index < kMessages && messages_[index].pending) ++index;
  USERPAGER_CHECK(index < kMessages, "more message reads than an engine takes", kMessages);
  messages_[index] = {true, false, descriptor, buffer, buffer_bytes, tag};
  QueueMessage(index);
}

void UringEngine::QueueMessage(unsigned index) {
  Message& message = messages_[index];
  message.polled = message_mode_ == MessageMode::kPoll;
  if (message.polled) {
    ring_.QueuePoll(message.descriptor, kTransfers + index);
  } else {
    ring_.QueueMessageRead(message.descriptor, message.buffer, message.bytes, kTransfers + index);
  }
}

bool UringEngine::FinishMessage(unsigned index, int64_t* result) {
  Message& message = messages_[index];
  USERPAGER_CHECK(message.pending, "io_uring completes a message read twice", index);
  if (message.polled && *result >= 0) {
    *result = read(message.descriptor, message.buffer, message.bytes);
    if (*result < 0) *result = -errno;
  } else if (*result == -EAGAIN) {
    message_mode_ = MessageMode::kPoll;
  }
  if (*result == -EAGAIN || *result == -EINTR) {
    QueueMessage(index);
    return false;
  }
  message.pending = false;
  return true;
}

size_t UringEngine::Translate(std::span<const IoRing::Completion> done,
                              std::span<IoCompletion> completions) {
  size_t count = 0;
  for (const IoRing::Completion& one : done) {
    int64_t result = one.result;
    if (one.label >= kTransfers) {
      const auto index = static_cast<unsigned>(one.label - kTransfers);
      if (FinishMessage(index, &result)) completions[count++] = {messages_[index].tag, result};
      continue;
    }
    completions[count++] = {tags_[one.label], result};
    USERPAGER_CHECK(free_count_ < kTransfers, "io_uring completes more than was submitted",
                    one.label);
    free_labels_[free_count_] = static_cast<uint16_t>(one.label);
    ++free_count_;
  }
  return count;
}

size_t UringEngine::Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) {
  IoRing::Completion done[64];
  const std::span<IoRing::Completion> room(done, std::min(std::size(done), completions.size()));
  const bool timed = timeout_ns != 0 && timeout_ns != kNoTimeout;
  const uint64_t begin_ns = timed ? NowNanoseconds() : 0;
  uint64_t left_ns = timeout_ns;
  for (;;) {
    const size_t came = ring_.Wait(room, left_ns);
    const size_t count = Translate(room.first(came), completions);
    if (count > 0 || came == 0) return count;
    // Only messages that turned out not to be there yet: they are queued again, the wait goes on.
    if (timed) {
      const uint64_t passed_ns = NowNanoseconds() - begin_ns;
      left_ns = passed_ns < timeout_ns ? timeout_ns - passed_ns : 0;
    }
  }
}

}  // namespace userpager
