// UringEngine: the IoEngine over io_uring. One system call submits, waits for the disk and for
// messages, and reads the messages; while it stays awake, the ring looks for them (IoRing).
//
// Messages: a READ on a non-blocking descriptor does it in one step: the kernel tries, polls the
//           descriptor where there is nothing yet, and reads when there is (seen on 6.18 with
//           eventfd and userfaultfd). Where a kernel answers EAGAIN instead, the engine polls
//           through the ring and reads with read(2), for all messages from then on.
#ifndef USERPAGER_PAGE_FILE_URING_ENGINE_H_
#define USERPAGER_PAGE_FILE_URING_ENGINE_H_

#include "runtime/page_file/io_engine.h"
#include "runtime/platform/io_ring.h"

namespace userpager {

class UringEngine : public IoEngine {
 public:
  enum class MessageMode : uint8_t { kRead, kPoll };

  // Other values than the defaults: as on older kernels.
  explicit UringEngine(MessageMode message_mode = MessageMode::kRead,
                       IoRing::Mode ring_mode = IoRing::Mode::kDeferred);
  // No page-file request is under way. Message reads may be: they end without a completion, their
  // buffers stay valid while the thread that opened the engine lives.
  ~UringEngine() override;

  Errno Open() override;
  unsigned capacity() const override { return kTransfers; }
  void Submit(const IoRequest& request) override;
  void SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                         uint64_t tag) override;
  size_t Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) override;
  bool StayAwake(uint64_t until_ns) override { return ring_.StayAwake(until_ns); }

 private:
  static constexpr unsigned kMessages = IoRing::kMostMessages;
  static constexpr unsigned kTransfers = IoRing::kEntries - kMessages;

  // Labels of the ring: [0, kTransfers) are entries of tags_, those above of messages_.
  struct Message {
    bool pending;
    bool polled;
    int descriptor;
    void* buffer;
    uint32_t bytes;
    uint64_t tag;
  };

  void QueueMessage(unsigned index);
  // False where the message is not there yet and has been queued again.
  bool FinishMessage(unsigned index, int64_t* result);
  size_t Translate(std::span<const IoRing::Completion> done, std::span<IoCompletion> completions);

  IoRing ring_;
  MessageMode message_mode_;
  uint64_t tags_[kTransfers] = {};
  uint16_t free_labels_[kTransfers] = {};  // the first free_count_ are free
  unsigned free_count_;
  Message messages_[kMessages] = {};
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_URING_ENGINE_H_
