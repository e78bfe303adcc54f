#include "runtime/pager/shard_thread.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/system_call.h"
#include "runtime/page_file/thread_engine.h"
#include "runtime/page_file/uring_engine.h"
#include "runtime/platform/descriptors.h"
#include "runtime/platform/own_thread.h"
#include "runtime/platform/thread_place.h"

namespace userpager {
ShardThread::ShardThread(const ShardOptions& options, const PagerOptions& pager,
                         FrameLedger& frames, PageFile& page_file, HaltPoller& poller,
                         Counters* counters, std::span<ShardThread* const> peers)
    : options_(options),
      io_(pager.io),
      wrap_engine_(pager.wrap_engine),
      encrypts_(pager.encrypt),
      frames_(frames),
      page_file_(page_file),
      poller_(poller),
      counters_(counters),
      delivery_(pager.faults),
      peers_(peers) {}

ShardThread::~ShardThread() {
  Stop();
  ArenaDelete(shard_);
  if (io_ == IoEngineKind::kUring) {
    ArenaDelete(static_cast<UringEngine*>(own_engine_));
  } else {
    ArenaDelete(static_cast<ThreadEngine*>(own_engine_));
  }
  Descriptors::Close(kick_);
}

Errno ShardThread::MakeEngine(LogLine* error) {
  own_engine_ = io_ == IoEngineKind::kUring ? static_cast<IoEngine*>(ArenaNew<UringEngine>())
                                            : static_cast<IoEngine*>(ArenaNew<ThreadEngine>());
  if (own_engine_ != nullptr) {
    engine_ = wrap_engine_ == nullptr ? own_engine_ : wrap_engine_(own_engine_);
    SlotCipher* cipher = encrypts_ ? &cipher_ : nullptr;
    shard_ = ArenaNew<Shard>(
        options_, ShardParts{platform_, *engine_, frames_, page_file_, helper_, counters_, cipher});
  }
  if (shard_ == nullptr) {
    *error << "cannot start: no memory for the pager's own structures";
    return ENOMEM;
  }
  if (const Errno failed = shard_->Init(); failed != 0) {
    *error << "cannot start: no address space for the pager's own use (" << ErrnoText{failed}
           << "); RLIMIT_AS (ulimit -v) or vm.overcommit_memory=2 may forbid it";
    return failed;
  }
  return 0;
}

Errno ShardThread::Open(LogLine* error) {
  if (const Errno failed = platform_.Open(options_.features, error, delivery_); failed != 0) {
    return failed;
  }
  if (encrypts_) {
    if (const Errno failed = cipher_.Init(error); failed != 0) return failed;
  }
  if (const Errno failed = MakeEngine(error); failed != 0) return failed;
  return OpenKick(error);
}

Errno ShardThread::OpenKick(LogLine* error) {
  kick_ = Descriptors::Keep(USERPAGER_CALL(kDescriptor, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  if (kick_ >= 0) return 0;
  const Errno failed = errno;
  *error << "cannot start: the eventfd that wakes the pager's thread could not be made: "
         << ErrnoText{failed};
  return failed;
}

// Only where there is a CPU for it beside those of all shards' threads.
Errno ShardThread::StartHelper(LogLine* error) {
  if (CountAllowedCpus() <= options_.shard_count) return 0;
  const Errno failed = helper_.Start();
  if (failed != 0) {
    *error << "cannot start: the thread that helps the pager's could not be made: "
           << ErrnoText{failed};
  }
  return failed;
}

Errno ShardThread::Start(LogLine* error) {
  if (const Errno failed = StartHelper(error); failed != 0) return failed;
  Errno failed = StartOwnThread(ThreadMain, this, &thread_);
  if (failed != 0) {
    *error << "cannot start: the pager's thread could not be made: " << ErrnoText{failed};
    return failed;
  }
  started_ = true;
  open_state_.wait(0);
  if (open_state_.load() == 1) return 0;
  failed = static_cast<Errno>(open_state_.load() - 2);
  pthread_join(thread_, nullptr);
  started_ = false;
  if (io_ == IoEngineKind::kUring) {
    *error << "cannot use io_uring: " << ErrnoText{failed}
           << "; it may be forbidden by a container's seccomp profile or by the sysctl"
              " kernel.io_uring_disabled: allow it, or choose io:threads";
  } else {
    *error << "cannot start the I/O threads: " << ErrnoText{failed};
  }
  return failed;
}

void ShardThread::Stop() {
  if (started_) {
    stopping_.store(true);
    Kick();
    pthread_join(thread_, nullptr);
    started_ = false;
  }
  helper_.Stop();
}

void ShardThread::Kick() {
  const uint64_t one = 1;
  const ssize_t written = write(kick_, &one, sizeof one);
  // EAGAIN: the counter is full, so the thread has been kicked already.
  USERPAGER_CHECK(written == sizeof one || errno == EAGAIN, "a shard could not be woken", errno);
}

void* ShardThread::ThreadMain(void* self) {
  static_cast<ShardThread*>(self)->Run();
  return nullptr;
}

void ShardThread::ListenForFaults() {
  engine_->SubmitMessageRead(platform_.descriptor(), messages_, sizeof messages_, kFaultTag);
}

void ShardThread::ListenForKicks() {
  engine_->SubmitMessageRead(kick_, &kick_count_, sizeof kick_count_, kKickTag);
}

void ShardThread::Run() {
  LogLine name;
  name << "userpager-" << options_.index;
  prctl(PR_SET_NAME, name.c_str());
  follower_.Init();
  thread_id_ = static_cast<uint32_t>(syscall(SYS_gettid));
  const Errno error = engine_->Open();
  open_state_.store(error == 0 ? 1 : 2 + static_cast<uint32_t>(error));
  open_state_.notify_one();
  if (error != 0) return;
  ListenForFaults();
  ListenForKicks();
  uint64_t timeout_ns = IoEngine::kNoTimeout;
  while (!stopping_.load(std::memory_order_relaxed)) Turn(&timeout_ns);
  // Until a transfer has ended, its memory and its slots are the device's.
  while (shard_->has_transfers()) {
    // What a faulting thread reads itself does not come through the engine.
    if (delivery_ == FaultDelivery::kSignals) timeout_ns = std::min(timeout_ns, kMillisecond);
    TakeOverReads();
    Turn(&timeout_ns);
  }
}

void ShardThread::Turn(uint64_t* timeout_ns) {
  IoCompletion completions[kCompletions];
  const size_t count = engine_->Wait(completions, ended_count_ > 0 ? 0 : *timeout_ns);
  turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  FaultMessage faults[kMessages];
  size_t fault_count = 0;
  for (size_t i = 0; i < count; ++i) {
    const IoCompletion& done = completions[i];
    if (done.tag == kFaultTag) {
      fault_count = DecodeMessages(done.result, faults);
      ListenForFaults();
    } else if (done.tag == kKickTag) {
      shard_->OnKick();
      ListenForKicks();
    } else {
      ended_[ended_count_++] = done;
    }
  }
  const size_t ended = EndedOfThisTurn();
  *timeout_ns = shard_->Step({faults, fault_count}, {ended_, ended});
  ended_count_ -= ended;
  std::copy(ended_ + ended, ended_ + ended + ended_count_, ended_);
  ChoosePlace({faults, fault_count});
  // A full batch may have left a message behind.
  WakeForgotten(fault_count > 0 || count == kCompletions);
  if (SuspectsForgotten()) *timeout_ns = 0;
  if (shard_->TakeWantsSlots()) {
    // Only memory that was promised without a charge comes here (commit:lazy): all other growth is
    // done by the calls that promise. Where it fails, the shard goes on with what there is.
    page_file_.EndLoans();
    (void)page_file_.Grow(page_file_.usable() + PageCount(1));
  }
  if (shard_->TakeNeedsPeers()) {
    for (unsigned i = 0; i < options_.shard_count; ++i) {
      if (peers_[i] != this) peers_[i]->Kick();
    }
  }
}

size_t ShardThread::EndedOfThisTurn() const {
  size_t count = 0;
  for (int64_t bytes = 0; count < ended_count_ && bytes < kTurnBytes; ++count) {
    const int64_t ended = ended_[count].result;
    bytes += ended > static_cast<int64_t>(kPageBytes) ? ended : kTurnBytes;
  }
  return count;
}

std::optional<IdleWay> ShardThread::KeepAwake() {
  const std::optional<IdleWay> way = shard_->TakeWantedIdling();
  if (!way.has_value()) return way;
  const uint64_t now_ns = NowNanoseconds();
  const bool holds = *way == IdleWay::kAwake || (*way == IdleWay::kSpin && poller_.by_request());
  const bool held = holds_cpus_.exchange(holds, std::memory_order_relaxed);
  if (holds || held) poller_.Hold(holds ? now_ns + kAwakeNs : now_ns);
  return way;
}

// The thread goes to where the faults are, so that answering costs no wake-up of a CPU, or keeps
// awake apart from there. A fault that brings many pages is worth neither.
void ShardThread::ChoosePlace(std::span<const FaultMessage> faults) {
  const bool spins = KeepAwake() == IdleWay::kSpin && follower_.one_by_one();
  if (faults.empty()) return;
  follower_.OnFaults(faults[0].thread_id, shard_->installed_pages(), spins);
  const bool may = engine_->StayAwake(spins ? NowNanoseconds() + kAwakeNs : 0);
  shard_->NoteSpinning(spins && may, spins && !may);
}

// A userfaultfd that ends or fails would leave every later fault without an answer.
size_t ShardThread::DecodeMessages(int64_t bytes, std::span<FaultMessage> faults) {
  if (bytes == -EAGAIN || bytes == -EINTR) return 0;
  USERPAGER_CHECK(bytes > 0, "the userfaultfd gives no more messages (negative errno): somebody"
                  " closed a descriptor of the runtime", bytes);
  size_t count = 0;
  for (size_t i = 0; i < static_cast<size_t>(bytes) / sizeof(uffd_msg); ++i) {
    if (!LinuxPagePlatform::Decode(messages_[i], &faults[count])) continue;
    CheckParkingPlace(faults[count]);
    ++count;
  }
  return count;
}

}  // namespace userpager
