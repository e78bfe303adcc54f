// SignalChain: SIGSEGV and SIGBUS shared between the runtime and the program. Once installed, the
// kernel knows the runtime's handler alone, and the program's own actions are kept here: the ones
// that were there, and those that it sets later. For that the library has sigaction, signal and
// __sysv_signal (what signal means where only the Single Unix Specification is asked for) of its
// own, which everything in the process uses as the library comes before the C library. For all
// other signals, and before the installation, they are the C library's.
//
// Locks: one (kLeaf) around the actions, taken inside (entry.h) and never in a forked child that
//   has no pager, where the thread that held it may be missing.
#ifndef USERPAGER_API_SIGNAL_CHAIN_H_
#define USERPAGER_API_SIGNAL_CHAIN_H_

#include <signal.h>

#include <optional>

#include "runtime/base/types.h"

namespace userpager {

class SignalChain {
 public:
  // As sa_sigaction. It may be interrupted by itself; for SIGBUS, once it has unblocked signals.
  using Handler = void (*)(int signal, siginfo_t* info, void* context);

  // Puts the handler before the program's, once; later calls do nothing. False where there is no
  // memory for it. From inside or outside, without a lock.
  [[nodiscard]] static bool Install(Handler handler);

  // Does what the kernel would do had the program alone set the signal's action. From the handler;
  // when it returns, the handler returns.
  static void PassOn(int signal, siginfo_t* info, void* context);

  // From before a fork whose child goes on with the runtime until after it, in parent and child.
  static void HoldForFork();
  static void ReleaseAfterFork();

  // Whether the signal is one of the two.
  static bool Has(int signal) { return signal == SIGSEGV || signal == SIGBUS; }
  // sigaction(2) of one of the two as the program means it. 0, or an errno.
  static Errno Exchange(int signal, const struct sigaction* action, struct sigaction* before);
};

}  // namespace userpager

#endif  // USERPAGER_API_SIGNAL_CHAIN_H_
