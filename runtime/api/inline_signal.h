// InlineSignal: faults:inline in the signal handler. The kernel raises SIGBUS in the thread that
// touches a page which is out, or stores to one that is write-protected; the runtime's handler
// (exceptions.h) asks here first, the pager answers (Pager::AnswerInline), and the thread repeats
// its access. What is not the pager's to answer (a lost page, a truncated file, a signal that was
// sent) goes the way of all other signals.
//
// Stack:    the kernel's frame and a few hundred bytes on the stack where the signal comes (the
//           alternate one, if the thread has one), the rest on a stack of FaultStacks.
// Signals:  all are blocked meanwhile, glibc's internal ones too (signal_chain.cc): a handler of
//           the program that touched managed memory would need the shard's mutex, which the thread
//           may hold. Thread cancellation is held off, as unwinding would keep the mutex.
// Locks:    taken inside, none on entry. A thread that holds a lock of the runtime never gets here,
//           because it touches no managed memory (runtime/README.md, "What is always true").
#ifndef USERPAGER_API_INLINE_SIGNAL_H_
#define USERPAGER_API_INLINE_SIGNAL_H_

#include <signal.h>
#include <ucontext.h>

namespace userpager {

class Pager;

class InlineSignal {
 public:
  // From now on faults are the pager's; nullptr: nobody's. InstallExceptions has been called.
  static void Attach(Pager* pager);

  // Whether the SIGBUS was the pager's and the thread is to repeat what it did. From the signal's
  // handler, with all signals blocked. Changes errno.
  static bool Answers(const siginfo_t& info, const ucontext_t& context);
};

}  // namespace userpager

#endif  // USERPAGER_API_INLINE_SIGNAL_H_
