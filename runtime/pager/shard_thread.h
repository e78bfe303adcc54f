// ShardThread: a shard with everything that it needs to run for real: its userfaultfd, its I/O
// engine, its thread. The thread is a loop: wait once for messages and completions, hand them to
// Shard::Step.
#ifndef USERPAGER_PAGER_SHARD_THREAD_H_
#define USERPAGER_PAGER_SHARD_THREAD_H_

#include <linux/userfaultfd.h>
#include <pthread.h>

#include <atomic>
#include <optional>
#include <span>

#include "runtime/base/log_line.h"
#include "runtime/page_file/slot_cipher.h"
#include "runtime/pager/fault_follower.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/platform/halt_poller.h"
#include "runtime/platform/helper_thread.h"
#include "runtime/platform/linux_page_platform.h"

namespace userpager {

class ShardThread {
 public:
  // `peers`: all shards of the pager, this one among them. `counters`: as in ShardParts.
  ShardThread(const ShardOptions& options, const PagerOptions& pager, FrameLedger& frames,
              PageFile& page_file, HaltPoller& poller, Counters* counters,
              std::span<ShardThread* const> peers);
  ~ShardThread();
  ShardThread(const ShardThread&) = delete;
  ShardThread& operator=(const ShardThread&) = delete;

  // All shards are opened before the first is started: from then on any may kick any other. On
  // failure of either `error` gets one clear line; the object can only be destroyed then.
  Errno Open(LogLine* error);
  Errno Start(LogLine* error);
  // Ends the thread.
  void Stop();

  // In a forked child, which has the parent's object but neither its thread nor its descriptors.
  void ForgetInChild();
  // After it: as Open. Start follows.
  Errno OpenInChild(LogLine* error);
  // As Shard::AdoptStripe; stops the process where the kernel has a page that it should not have.
  Errno AdoptStripe(Stripe& stripe, PageRange space, PageRange stays, PageCount* mapped);

  // Answers a fault in the thread that made it, which is the caller; kNotManaged where the page is
  // not this shard's. Reads, and waits, without a lock. Never kRead or kWait.
  InlineNext AnswerInline(const FaultMessage& message);

  // Makes the thread call Step soon. From any thread; takes no lock.
  void Kick();

  // shard_watch.cc. One look at the running thread, by the watchdog's alone: stops the process
  // where faults would not be answered any more, and has forgotten waiters looked for.
  void Watch();

  Shard& shard() { return *shard_; }
  LinuxPagePlatform& platform() { return platform_; }

 private:
  static constexpr unsigned kMessages = 64;
  static constexpr unsigned kCompletions = 64;
  // CPUs, or this thread, are kept awake for so long after a fault. Where the device takes longer,
  // what is saved is little beside it.
  static constexpr uint64_t kAwakeNs = 200'000;
  // A turn does about so much and no more, so that faults wait no longer, and what it begins is
  // sent. A page alone counts as all of it: who waited for it runs beside this thread, and what it
  // asks for next should be on its way before the others are answered. Reads that end together
  // would otherwise begin together, for ever, and the disk would rest between.
  static constexpr int64_t kTurnBytes = 128 * kPageBytes;
  // Tags of the engine's requests that are no transfers of the shard.
  static constexpr uint64_t kFaultTag = uint64_t{1} << 32;
  static constexpr uint64_t kKickTag = uint64_t{1} << 33;

  Errno MakeEngine(LogLine* error);
  Errno OpenKick(LogLine* error);
  Errno StartHelper(LogLine* error);
  void CheckPresence(const Stripe& stripe) const;
  static void* ThreadMain(void* self);
  void Run();
  void Turn(uint64_t* timeout_ns);
  std::optional<IdleWay> KeepAwake();
  void ChoosePlace(std::span<const FaultMessage> faults);
  size_t EndedOfThisTurn() const;
  size_t DecodeMessages(int64_t bytes, std::span<FaultMessage> faults);
  void ListenForFaults();
  void ListenForKicks();

  // shard_watch.cc
  void LookAtStall(const FaultCounts& waiting);
  [[noreturn]] void StopForOwnFault();
  void CheckParkingPlace(const FaultMessage& fault) const;
  void TakeOverReads();
  bool SuspectsForgotten();
  void WakeForgotten(bool found_messages);

  const ShardOptions options_;
  const IoEngineKind io_;
  IoEngine* (*const wrap_engine_)(IoEngine* engine);
  const bool encrypts_;
  SlotCipher cipher_;
  FrameLedger& frames_;
  PageFile& page_file_;
  HaltPoller& poller_;
  Counters* const counters_;
  const FaultDelivery delivery_;
  const std::span<ShardThread* const> peers_;
  LinuxPagePlatform platform_;
  HelperThread helper_;
  IoEngine* own_engine_ = nullptr;  // of the kind io_
  IoEngine* engine_ = nullptr;      // the same, or what a test put before it; the thread's alone
  Shard* shard_ = nullptr;
  int kick_ = -1;  // eventfd
  pthread_t thread_{};
  bool started_ = false;
  std::atomic<uint32_t> open_state_{0};  // 0: not known yet; 1: open; else 2 + errno
  std::atomic<bool> stopping_{false};
  IoCompletion ended_[kTransfers];  // transfers that Step has not been told of; the thread's alone
  size_t ended_count_ = 0;
  FaultFollower follower_;  // the thread's alone
  std::atomic<bool> holds_cpus_{false};  // by poller_, for its own faults
  uint32_t thread_id_ = 0;  // before open_state_ is known
  std::atomic<uint64_t> turns_{0};
  std::atomic<bool> audit_asked_{false};
  // Of the watchdog's thread.
  uint64_t watched_turns_ = 0;
  unsigned looks_waiting_ = 0;  // in a row, at which threads waited
  unsigned looks_stalled_ = 0;  // in a row, without a turn since the one before
  // Of the shard's thread.
  uint64_t suspected_ = 0;        // forgotten waiters, if the next look finds no message
  unsigned busy_audits_ = 0;      // in a row
  uint64_t times_forgotten_ = 0;
  uffd_msg messages_[kMessages];
  uint64_t kick_count_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_SHARD_THREAD_H_
