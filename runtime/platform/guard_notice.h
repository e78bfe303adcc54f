// GuardNotice: how a thread that met a guard page inside a system call gets to know. The kernel
// fails the call with EFAULT and raises no signal; so the thread is sent a SIGSEGV of the runtime's
// own, which is delivered when the call has ended, and whose handler ends the guard.
#ifndef USERPAGER_PLATFORM_GUARD_NOTICE_H_
#define USERPAGER_PLATFORM_GUARD_NOTICE_H_

#include <signal.h>

#include <cstdint>

namespace userpager {

// Where a thread is that a message of the kernel said waits for a page.
enum class FaultPlace : uint8_t {
  kProgram,     // in an instruction of the program; or unknown: ended, or of another process
  kSystemCall,  // in a system call
  kUnsettled,   // it runs: it is about to wait, or to ask again, or has gone on
  kGone,        // it waits for something else: the message was old
};

// From /proc, proc(5): some microseconds.
FaultPlace PlaceOfFault(uint32_t thread_id);

// Sends the notice. Does nothing where there is no such thread in this process.
void SendGuardNotice(uint32_t thread_id, uint64_t address);

// Whether a SIGSEGV is such a notice; its si_addr is the address then.
bool IsGuardNotice(const siginfo_t& info);

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_GUARD_NOTICE_H_
