// ShardThread: a shard with everything that it needs to run for real: its userfaultfd, its I/O
// engine, its thread. The thread is a loop: wait once for messages and completions, hand them to
// Shard::Step.
#ifndef USERPAGER_PAGER_SHARD_THREAD_H_
#define USERPAGER_PAGER_SHARD_THREAD_H_

#include <linux/userfaultfd.h>
#include <pthread.h>

#include <atomic>
#include <span>

#include "runtime/base/log_line.h"
#include "runtime/page_file/slot_cipher.h"
#include "runtime/pager/fault_follower.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/platform/linux_page_platform.h"

namespace userpager {

class ShardThread {
 public:
  // `peers`: all shards of the pager, this one among them.
  ShardThread(const ShardOptions& options, const PagerOptions& pager, FrameLedger& frames,
              PageFile& page_file, std::span<ShardThread* const> peers);
  ~ShardThread();
  ShardThread(const ShardThread&) = delete;
  ShardThread& operator=(const ShardThread&) = delete;

  // All shards are opened before the first is started: from then on any may kick any other. On
  // failure of either `error` gets one clear line; the object can only be destroyed then.
  Errno Open(LogLine* error);
  Errno Start(LogLine* error);
  // Ends the thread.
  void Stop();

  // Answers a fault in the thread that made it, which is the caller; kNotManaged where the page is
  // not this shard's. Reads, and waits, without a lock. Never kRead or kWait.
  InlineNext AnswerInline(const FaultMessage& message);

  // Makes the thread call Step soon. From any thread; takes no lock.
  void Kick();

  Shard& shard() { return *shard_; }
  LinuxPagePlatform& platform() { return platform_; }

 private:
  static constexpr unsigned kMessages = 64;
  static constexpr unsigned kCompletions = 64;
  // Tags of the engine's requests that are no transfers of the shard.
  static constexpr uint64_t kFaultTag = uint64_t{1} << 32;
  static constexpr uint64_t kKickTag = uint64_t{1} << 33;

  Errno MakeEngine(LogLine* error);
  static void* ThreadMain(void* self);
  void Run();
  void Turn(uint64_t* timeout_ns);
  size_t DecodeMessages(int64_t bytes, std::span<FaultMessage> faults);
  void ListenForFaults();
  void ListenForKicks();

  const ShardOptions options_;
  const IoEngineKind io_;
  IoEngine* (*const wrap_engine_)(IoEngine* engine);
  const bool encrypts_;
  SlotCipher cipher_;
  FrameLedger& frames_;
  PageFile& page_file_;
  const FaultDelivery delivery_;
  const std::span<ShardThread* const> peers_;
  LinuxPagePlatform platform_;
  IoEngine* own_engine_ = nullptr;  // of the kind io_
  IoEngine* engine_ = nullptr;      // the same, or what a test put before it; the thread's alone
  Shard* shard_ = nullptr;
  int kick_ = -1;  // eventfd
  pthread_t thread_{};
  bool started_ = false;
  std::atomic<uint32_t> open_state_{0};  // 0: not known yet; 1: open; else 2 + errno
  std::atomic<bool> stopping_{false};
  FaultFollower follower_;  // the thread's alone
  uffd_msg messages_[kMessages];
  uint64_t kick_count_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_SHARD_THREAD_H_
