// Exceptions: how a refused access becomes an exception that the program's vectored handlers get to
// see (<userpager/exceptions.h>), and how guards end.
//
// Flow:  SIGSEGV or SIGBUS comes to OnSignal (exceptions.cc). With faults:inline a SIGBUS may be no
//        more than a page that is out (inline_signal.h). What was sent goes on at once, guard
//        notices end their guard; a fault of managed memory is judged by the pager (violation.h),
//        which may say that there is nothing to it any more; what is left is shown to the vectored
//        handlers (handler_list.h) and, if none takes it, passed on to the program's own handler
//        (signal_chain.h).
// Locks: none of its own. The handler runs anywhere in the program, but never while its thread
//        holds a lock of the runtime: nothing is touched then that could fault.
#ifndef USERPAGER_API_EXCEPTIONS_H_
#define USERPAGER_API_EXCEPTIONS_H_

namespace userpager {

// From now on faults become exceptions. Called before the first page is guarded and the first
// vectored handler is added; later calls do nothing. False where there is no memory for it. From
// inside or outside, without a lock.
[[nodiscard]] bool InstallExceptions();

}  // namespace userpager

#endif  // USERPAGER_API_EXCEPTIONS_H_
