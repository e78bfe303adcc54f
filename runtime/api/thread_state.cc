#include "runtime/api/thread_state.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/api/entry.h"
#include "runtime/api/fork_guard.h"
#include "runtime/base/arena.h"
#include "runtime/base/check.h"

namespace userpager {
namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local ThreadState current_thread;

constexpr uint64_t Bit(int signal) { return uint64_t{1} << (signal - 1); }

// The synchronous signals stay open: blocked, they would kill the process without a word. In static
// memory, as the kernel reads it from there: a caller's stack may be paged out.
constexpr uint64_t kBlockedSignals = ~(Bit(SIGSEGV) | Bit(SIGBUS) | Bit(SIGFPE) | Bit(SIGILL) |
                                       Bit(SIGTRAP) | Bit(SIGSYS));
constinit const uint64_t blocked_signals = kBlockedSignals;

// The kernel's own call: glibc's wrappers leave two internal signals open.
void SetSignalMask(const uint64_t* mask, uint64_t* old_mask) {
  const long failed = syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, old_mask, sizeof *mask);
  USERPAGER_CHECK(failed == 0, "the signal mask could not be set", failed);
}

pthread_once_t key_once = PTHREAD_ONCE_INIT;
pthread_key_t key;
constinit bool key_made = false;

// Destructors of the program that run later may call the API again; the state then fills anew and
// this runs once more.
void ReleaseThread(void* pointer) {
  // In a forked child a lock of the arena may be held by a thread that is not there.
  if (ForkGuard::IsChild()) return;
  ThreadState& thread = *static_cast<ThreadState*>(pointer);
  thread.registered = false;
  BlockSignals(thread);
  if (thread.stack != nullptr) Arena::Free(thread.stack, Entry::kStackBytes);
  thread.stack = nullptr;
  ArenaDelete(thread.message);
  thread.message = nullptr;
  RestoreSignals(thread);
}

void MakeKey() { key_made = pthread_key_create(&key, &ReleaseThread) == 0; }

}  // namespace

ThreadState& CurrentThread() { return current_thread; }

void BlockSignals(ThreadState& thread) { SetSignalMask(&blocked_signals, &thread.signal_mask); }

void RestoreSignals(ThreadState& thread) { SetSignalMask(&thread.signal_mask, nullptr); }

void ReleaseAtThreadEnd(ThreadState& thread) {
  if (thread.registered) return;
  thread.registered = true;
  pthread_once(&key_once, &MakeKey);
  // Without a key the thread's few pages stay taken when it ends: no error of this call.
  if (key_made) pthread_setspecific(key, &thread);
}

}  // namespace userpager
