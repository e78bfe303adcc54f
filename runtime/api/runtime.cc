#include "runtime/api/runtime.h"

#include <errno.h>
#include <stdlib.h>

#include <atomic>

#include "runtime/api/entry.h"
#include "runtime/api/error_message.h"
#include "runtime/api/exceptions.h"
#include "runtime/api/fork_guard.h"
#include "runtime/api/inline_signal.h"
#include "runtime/api/machine_memory.h"
#include "runtime/api/machine_processors.h"
#include "runtime/api/options.h"
#include "runtime/base/arena.h"
#include "runtime/base/lock.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/features.h"
#include "runtime/platform/io_ring.h"

namespace userpager {
namespace {

constinit std::atomic<Runtime*> the_runtime{nullptr};
constinit std::atomic<bool> implicit_start_failed{false};
constinit Lock lifecycle{LockRank::kLifecycle};

constexpr const char* kVariable = "USERPAGER_CONF";
constexpr const char* kRecordingVariable = "USERPAGER_TRACE";
constexpr const char* kCallersVariable = "USERPAGER_TRACE_CALLERS";

// Copies what the caller gave, or makes options from the environment.
int ChooseOptions(const userpager_options* given, const MachineMemory& machine,
                  userpager_options* options, LogLine* error) {
  SetDefaults(options);
  if (given != nullptr) {
    // Of a struct of another size only the size is looked at.
    if (given->struct_bytes == sizeof *given) {
      *options = *given;
    } else {
      options->struct_bytes = given->struct_bytes;
    }
    return CheckOptions(*options, error);
  }
  // A program with more rights than its user does not let the user choose where its memory goes.
  const char* text = secure_getenv(kVariable);
  return text == nullptr ? 0 : ParseOptions(text, kVariable, machine, options, error);
}

constexpr const char* kWhyNoRing =
    "; the kernel's setting io_uring_disabled, a container's seccomp profile or the limit of "
    "locked memory may forbid it: allow it, or give the option io:threads";

// Looks for what the kernel must give, before anything is made; with io:auto chooses.
int CheckPlatform(userpager_options* options, LogLine* error) {
  PlatformFeatures features;
  if (ProbeFeatures(&features, error) != 0) return USERPAGER_ERROR_NO_USERFAULTFD;
  if (options->io == USERPAGER_IO_THREADS) return 0;
  IoRing ring;
  const Errno failed = ring.Open();
  const bool has_choice = options->io == USERPAGER_IO_AUTO;
  options->io = USERPAGER_IO_URING;
  if (failed == 0) return 0;
  if (!has_choice) {
    *error << "cannot make an io_uring: " << ErrnoText{failed} << kWhyNoRing;
    return USERPAGER_ERROR_NO_IO_URING;
  }
  options->io = USERPAGER_IO_THREADS;
  LogLine line;
  line << "threads read and write the page file, as an io_uring cannot be made: "
       << ErrnoText{failed} << kWhyNoRing << ", which also ends this line";
  line.Write();
  return 0;
}

// What Pager::Start reports beyond what was probed concerns the page file or memory.
int ErrorOfStart(Errno failed) {
  switch (failed) {
    case EINVAL: return USERPAGER_ERROR_INVALID_OPTION;
    case EBUSY: return USERPAGER_ERROR_PAGE_FILE_IN_USE;
    case ENOSPC: return USERPAGER_ERROR_NO_SPACE;
    case ENOMEM:
    case EAGAIN: return USERPAGER_ERROR_NO_MEMORY;
    default: return USERPAGER_ERROR_PAGE_FILE;
  }
}

ReplacementKind PolicyOf(userpager_policy policy) {
  switch (policy) {
    case USERPAGER_POLICY_FIFO: return ReplacementKind::kFifo;
    case USERPAGER_POLICY_CLOCK: return ReplacementKind::kClock;
    case USERPAGER_POLICY_ADAPTIVE: break;
  }
  return ReplacementKind::kAdaptive;
}

PagerOptions ForPager(const userpager_options& options) {
  PagerOptions chosen;
  chosen.memory_limit = PageCount(options.memory_limit_bytes >> kPageShift);
  chosen.page_file_path = options.page_file;
  chosen.page_file_max_bytes = options.page_file_max_bytes;
  chosen.shards = options.shards;
  chosen.io = options.io == USERPAGER_IO_URING ? IoEngineKind::kUring : IoEngineKind::kThreads;
  chosen.use_move = options.move == USERPAGER_MOVE_AUTO;
  chosen.faults = options.faults == USERPAGER_FAULTS_INLINE ? FaultDelivery::kSignals
                                                            : FaultDelivery::kMessages;
  chosen.replacement = PolicyOf(options.policy);
  // As with kVariable: not for a program with more rights than its user.
  chosen.record_to = secure_getenv(kRecordingVariable);
  chosen.record_callers = secure_getenv(kCallersVariable) != nullptr;
  chosen.for_children = ChildrenInherit();
  chosen.encrypt = options.encrypt == USERPAGER_ENCRYPT_AES_XTS;
  chosen.discard = options.discard == USERPAGER_DISCARD_ON;
  chosen.without = options.without;
  chosen.polling = options.polling == USERPAGER_POLLING_AUTO && !HasProcessorQuota("");
  return chosen;
}

// What the program does in its own handlers of exit, which run before, is recorded too.
void EndRecordingAtExit() {
  if (Runtime* runtime = Runtime::Get(); runtime != nullptr) runtime->pager().EndRecording();
}

// The pager works with fewer rights than it might have, and says so.
void TellAboutSystemCalls() {
  LogLine line;
  line << "system calls that are given a page that is out of memory will fail with EFAULT, as this "
          "process may only have its own page faults answered; run it as root, give it "
          "CAP_SYS_PTRACE or the right to open /dev/userfaultfd, or set the sysctl "
          "vm.unprivileged_userfaultfd=1";
  line.Write();
}

// Runs inside.
bool StartImplicitly() {
  LogLine error;
  const int failed = Runtime::Start(nullptr, &error);
  // Another thread's first call may have been quicker.
  if (failed == 0 || failed == USERPAGER_ERROR_ALREADY_STARTED) return true;
  KeepErrorMessage(error);
  if (!implicit_start_failed.exchange(true)) error.Write();
  return false;
}

}  // namespace

Runtime* Runtime::Get() { return the_runtime.load(std::memory_order_acquire); }

Runtime* Runtime::GetOrStart() {
  if (Runtime* runtime = Get(); runtime != nullptr) return runtime;
  if (implicit_start_failed.load(std::memory_order_relaxed)) return nullptr;
  return RunInside([] { return StartImplicitly(); }).value_or(false) ? Get() : nullptr;
}

int Runtime::Start(const userpager_options* given, LogLine* error) {
  const MachineMemory machine = MachineMemory::Read("");
  userpager_options options;
  if (const int failed = ChooseOptions(given, machine, &options, error); failed != 0) return failed;
  CompleteOptions(machine, &options);
  if (const int failed =
          CheckMemoryLimit(options.memory_limit_bytes, options.shards, machine, error);
      failed != 0) {
    return failed;
  }
  // May call malloc; there is no managed memory yet that malloc's could be.
  ForkGuard::Install();
  static const int registered = atexit(&EndRecordingAtExit);
  if (registered != 0 && secure_getenv(kRecordingVariable) != nullptr) {
    *error << "no memory for the handler that ends the recording; give the process more";
    return USERPAGER_ERROR_NO_MEMORY;
  }
  if (options.faults == USERPAGER_FAULTS_INLINE && !InstallExceptions()) {
    *error << "no memory for the handler of page faults; give the process more";
    return USERPAGER_ERROR_NO_MEMORY;
  }
  LockHolder hold(lifecycle);
  if (Get() != nullptr) {
    *error << "the pager was started before, by userpager_start or by a first call that needed it; "
              "start it once, before the first use of managed memory";
    return USERPAGER_ERROR_ALREADY_STARTED;
  }
  if (const int failed = CheckPlatform(&options, error); failed != 0) return failed;
  return StartPager(options, error);
}

int Runtime::StartPager(const userpager_options& options, LogLine* error) {
  PublishedPage* published = ArenaNew<PublishedPage>();
  const bool for_others = options.stats_page == USERPAGER_STATS_PAGE_ON;
  LogLine why_private;
  Runtime* runtime = nullptr;
  if (published != nullptr &&
      published->Make(StatisticsPage::BytesFor(options.shards), for_others, &why_private)) {
    runtime = ArenaNew<Runtime>(options, *published);
  }
  if (runtime == nullptr) {
    ArenaDelete(published);
    *error << "no memory for the pager's own data; give the process more";
    return USERPAGER_ERROR_NO_MEMORY;
  }
  if (!why_private.text().empty()) why_private.Write();
  const Errno failed = runtime->pager_.Start(ForPager(runtime->options_), error);
  if (failed != 0) {
    ArenaDelete(runtime);
    ArenaDelete(published);
    return ErrorOfStart(failed);
  }
  runtime->FillHead();
  runtime->working_set_.Begin();
  if (options.faults == USERPAGER_FAULTS_INLINE) {
    InlineSignal::Attach(&runtime->pager_);
  } else if (!runtime->pager_.features().kernel_faults) {
    TellAboutSystemCalls();
  }
  the_runtime.store(runtime, std::memory_order_release);
  runtime->Publish();
  if (options.discard == USERPAGER_DISCARD_ON) {
    runtime->discard_thread_.Start(runtime->reservations_);
  }
  return 0;
}

void Runtime::FillHead() {
  StatisticsHead& head = page_.head;
  head.version = StatisticsHead::kVersion;
  head.counters_bytes = sizeof(Counters);
  head.page_bytes = StatisticsPage::BytesFor(options_.shards);
  head.shards = options_.shards;
  head.commit = options_.commit;
  head.io = options_.io;
  head.uses_move = pager_.uses_move() ? 1 : 0;
  head.kernel_mode_faults = pager_.features().kernel_faults ? 1 : 0;
  head.encrypts = options_.encrypt == USERPAGER_ENCRYPT_AES_XTS ? 1 : 0;
  head.magic = StatisticsHead::kMagic;
}

void Runtime::Publish() {
  LogLine error;
  const bool follows = options_.memory_mode == USERPAGER_MEMORY_AUTO;
  const bool announced = published_.can_be_announced() && published_.Announce(&error) == 0;
  if (!error.text().empty()) error.Write();
  // Forked children inherit the handler.
  static const bool withdraws = announced && atexit(&Withdraw) == 0;
  (void)withdraws;
  if (!announced && !follows) return;
  const uint64_t smallest = BytesOf(Pager::SmallestMemoryLimit(options_.shards));
  const Errno failed =
      limit_keeper_.Start(published_, &ChangeMemoryLimit, follows ? smallest : 0);
  if (failed == 0) return;
  page_.limit_is_fixed.store(1);
  LogLine line;
  line << "the thread that changes the memory limit when it is asked to could not be made: "
       << ErrnoText{failed} << "; userpager limit cannot change it";
  line.Write();
}

int Runtime::ChangeMemoryLimit(uint64_t bytes, LogLine* error) {
  Runtime* runtime = Get();
  const MachineMemory machine = MachineMemory::Read("");
  if (const int failed = CheckMemoryLimit(bytes, runtime->options().shards, machine, error);
      failed != 0) {
    return failed;
  }
  return runtime->working_set().SetMemoryLimit(PageCount(bytes >> kPageShift), error);
}

void Runtime::Withdraw() {
  if (Runtime* runtime = Get(); runtime != nullptr) runtime->published_.Withdraw();
}

void Runtime::ForgetPageInChild() {
  if (Runtime* runtime = Get(); runtime != nullptr) runtime->published_.ForgetInChild();
}

Runtime::Runtime(const userpager_options& options, PublishedPage& published)
    : options_(options),
      published_(published),
      page_(*static_cast<StatisticsPage*>(published.memory())),
      pager_(page_),
      reservations_(pager_,
                    options.commit == USERPAGER_COMMIT_LAZY ? CommitMode::kLazy
                                                            : CommitMode::kStrict,
                    page_.commit),
      working_set_(pager_, reservations_) {}

}  // namespace userpager
