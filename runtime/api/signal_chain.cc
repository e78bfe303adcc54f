#include "runtime/api/signal_chain.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <type_traits>

#include "runtime/api/entry.h"
#include "runtime/api/fork_guard.h"
#include "runtime/base/check.h"
#include "runtime/base/lock.h"

namespace userpager {
namespace {

using SignalHandler = void (*)(int);

}  // namespace
}  // namespace userpager

// A sanitizer that is linked into the same program (clang's are) is not found behind this library's
// own functions, but beside them: past it, handlers would run amid the sanitizer's code.
#ifdef USERPAGER_SANITIZER_IN_PROGRAM
extern "C" int __interceptor_sigaction(int, const struct sigaction*, struct sigaction*);
extern "C" userpager::SignalHandler __interceptor_signal(int, userpager::SignalHandler);
#define USERPAGER_INTERCEPTOR_OF(function) &__interceptor_##function
#else
#define USERPAGER_INTERCEPTOR_OF(function) nullptr
#endif

namespace userpager {
namespace {

// The function of that name that the process would have without this library: the C library's, or
// an interceptor's.
template <typename Function>
class NextFunction {
 public:
  constexpr explicit NextFunction(const char* name, Function known = nullptr)
      : name_(name), function_(known) {}
  Function Get() {
    Function found = function_.load(std::memory_order_relaxed);
    if (found != nullptr) return found;
    found = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name_));
    USERPAGER_CHECK(found != nullptr, "the C library has no function that it must have", 0);
    function_.store(found, std::memory_order_relaxed);
    return found;
  }

 private:
  const char* const name_;
  std::atomic<Function> function_;
};

constinit NextFunction<int (*)(int, const struct sigaction*, struct sigaction*)> next_sigaction{
    "sigaction", USERPAGER_INTERCEPTOR_OF(sigaction)};
constinit NextFunction<SignalHandler (*)(int, SignalHandler)> next_signal{
    "signal", USERPAGER_INTERCEPTOR_OF(signal)};
constinit NextFunction<SignalHandler (*)(int, SignalHandler)> next_sysv_signal{"__sysv_signal"};

// The program's actions, and what keeps them together with the kernel's.
constinit Lock actions_lock{LockRank::kLeaf};
constinit bool chain_installed ABSL_GUARDED_BY(actions_lock) = false;
constinit struct sigaction actions[2] ABSL_GUARDED_BY(actions_lock) = {};

struct sigaction& ActionOf(int signal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(actions_lock) {
  return actions[signal == SIGBUS];
}

// Holds the lock, but for a forked child: whoever held it there may not be there to give it back.
class ABSL_SCOPED_LOCKABLE ActionsHolder {
 public:
  ActionsHolder() ABSL_EXCLUSIVE_LOCK_FUNCTION(actions_lock) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (holds_) actions_lock.Acquire();
  }
  ~ActionsHolder() ABSL_UNLOCK_FUNCTION() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (holds_) actions_lock.Release();
  }
  ActionsHolder(const ActionsHolder&) = delete;
  ActionsHolder& operator=(const ActionsHolder&) = delete;

 private:
  const bool holds_ = !ForkGuard::IsChild();
};

// Runs inside; a child may have no stack for that, and nobody to interrupt it with a lock held.
template <typename Closure>
std::optional<std::invoke_result_t<Closure&>> RunOnActions(Closure closure) {
  if (ForkGuard::IsChild()) return closure();
  return RunInside(closure);
}

struct sigaction DefaultAction() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  return action;
}

// Lets the signal have its default action as if it had never been caught: it is sent once more, and
// comes when the handler has returned, at the instruction that the context names.
void EndProcess(int signal, siginfo_t* info) {
  const struct sigaction ends = DefaultAction();
  (void)next_sigaction.Get()(signal, &ends, nullptr);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  pthread_sigmask(SIG_BLOCK, &one, nullptr);
  (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), signal, info);
}

struct Exchanged {
  Errno error;
  struct sigaction before;
};

Exchanged ExchangeLocked(int signal, bool set, const struct sigaction& action)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(actions_lock) {
  Exchanged done = {};
  if (!chain_installed) {
    const int failed = next_sigaction.Get()(signal, set ? &action : nullptr, &done.before);
    done.error = failed == 0 ? 0 : errno;
    return done;
  }
  done.before = ActionOf(signal);
  if (set) ActionOf(signal) = action;
  return done;
}

// rt_sigaction(2) as the kernel takes it, which is not as the C library does.
struct KernelSigaction {
  void* handler;
  unsigned long flags;
  void* restorer;
  uint64_t mask;
};

// The C library's call leaves its own two signals open: the mask is completed by the kernel's.
void BlockAllSignalsDuring(int signal) {
  KernelSigaction action = {};
  long failed = syscall(SYS_rt_sigaction, signal, nullptr, &action, sizeof action.mask);
  USERPAGER_CHECK(failed == 0, "a signal's action could not be read", errno);
  action.mask = ~uint64_t{0};
  failed = syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof action.mask);
  USERPAGER_CHECK(failed == 0, "a signal's action could not be set", errno);
}

bool InstallLocked(SignalChain::Handler handler) ABSL_EXCLUSIVE_LOCKS_REQUIRED(actions_lock) {
  if (chain_installed) return true;
  struct sigaction ours = {};
  ours.sa_sigaction = handler;
  // On the alternate stack, for threads whose stack has no more room; not blocked, as the program's
  // handlers may cause exceptions of their own; restarting, as guard notices interrupt system
  // calls.
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
  sigemptyset(&ours.sa_mask);
  for (const int signal : {SIGSEGV, SIGBUS}) {
    const int failed = next_sigaction.Get()(signal, &ours, &ActionOf(signal));
    USERPAGER_CHECK(failed == 0, "a signal's action could not be set", signal);
  }
  // Its handler begins with what may not be interrupted (inline_signal.h).
  BlockAllSignalsDuring(SIGBUS);
  chain_installed = true;
  return true;
}

// signal(3), with the flags that the variant gives to the handler.
SignalHandler SetHandler(int signal, SignalHandler handler, int flags) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  const Errno error = handler == SIG_ERR ? EINVAL : SignalChain::Exchange(signal, &action, &before);
  if (error == 0) return before.sa_handler;
  errno = error;
  return SIG_ERR;
}

}  // namespace

void SignalChain::HoldForFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { actions_lock.AcquireBeside(); }
void SignalChain::ReleaseAfterFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { actions_lock.Release(); }

bool SignalChain::Install(Handler handler) {
  (void)next_sigaction.Get();  // takes the loader's lock, and so none of ours may be held
  return RunOnActions([handler] {
           ActionsHolder hold;
           return InstallLocked(handler);
         })
      .value_or(false);
}

Errno SignalChain::Exchange(int signal, const struct sigaction* action, struct sigaction* before) {
  (void)next_sigaction.Get();
  const bool set = action != nullptr;
  const struct sigaction wanted = set ? *action : DefaultAction();
  const auto done = RunOnActions([=] {
    ActionsHolder hold;
    return ExchangeLocked(signal, set, wanted);
  });
  if (!done.has_value()) return ENOMEM;
  if (done->error == 0 && before != nullptr) *before = done->before;
  return done->error;
}

void SignalChain::PassOn(int signal, siginfo_t* info, void* context) {
  struct sigaction action = DefaultAction();
  (void)Exchange(signal, nullptr, &action);
  const bool was_sent = info->si_code <= 0;
  if (action.sa_handler == SIG_IGN && was_sent) return;
  // The kernel does not let a fault be ignored.
  if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) {
    EndProcess(signal, info);
    return;
  }
  if ((action.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) {
    const struct sigaction reset = DefaultAction();
    (void)Exchange(signal, &reset, nullptr);
  }
  // The kernel gives the mask back when the runtime's handler returns.
  if ((action.sa_flags & SA_NODEFER) == 0) sigaddset(&action.sa_mask, signal);
  pthread_sigmask(SIG_BLOCK, &action.sa_mask, nullptr);
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(signal, info, context);
  } else {
    action.sa_handler(signal);
  }
}

}  // namespace userpager

using userpager::SignalChain;

#define USERPAGER_INTERPOSED extern "C" __attribute__((visibility("default")))

USERPAGER_INTERPOSED int sigaction(int signal, const struct sigaction* action,
                                   struct sigaction* before) noexcept {
  if (!SignalChain::Has(signal)) return userpager::next_sigaction.Get()(signal, action, before);
  const userpager::Errno error = SignalChain::Exchange(signal, action, before);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

USERPAGER_INTERPOSED sighandler_t signal(int signal, sighandler_t handler) noexcept {
  if (!SignalChain::Has(signal)) return userpager::next_signal.Get()(signal, handler);
  return userpager::SetHandler(signal, handler, SA_RESTART);
}

USERPAGER_INTERPOSED sighandler_t __sysv_signal(int signal, sighandler_t handler) noexcept {
  if (!SignalChain::Has(signal)) return userpager::next_sysv_signal.Get()(signal, handler);
  return userpager::SetHandler(signal, handler, static_cast<int>(SA_RESETHAND) | SA_NODEFER);
}
