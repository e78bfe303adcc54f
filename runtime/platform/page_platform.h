// PagePlatform: what one shard asks of the kernel about its pages. LinuxPagePlatform answers with
// one userfaultfd and the mm system calls; the simulation answers from memory.
//
// Cast:     PagePlatform (one a shard), PlatformFeatures (what this kernel can do).
// Contract: no function allocates with malloc, waits for I/O, or touches the pages it is given
// other
//           than by the operation that it is named for. All may be called from any thread.
// Delivery: with kMessages a faulting thread waits in the kernel for Wake (or a call that wakes).
//           With kSignals it gets SIGBUS instead, and waits, where it must, in user space for the
//           same calls: between JoinWaiters and AwaitWake none of them is missed.
// Errors:   an errno value. An answer that would mean a broken invariant (a page there that should
// be
//           absent) is returned too: the caller knows the page's state, the platform does not.
#ifndef USERPAGER_PLATFORM_PAGE_PLATFORM_H_
#define USERPAGER_PLATFORM_PAGE_PLATFORM_H_

#include <cstdint>
#include <span>

#include "runtime/base/types.h"
#include "runtime/platform/fault_waiters.h"

namespace userpager {

// How a fault makes itself known.
enum class FaultDelivery : uint8_t { kMessages, kSignals };

// The kernel's protection of a span; a page's own protection may be narrower.
enum class KernelAccess : uint8_t { kNone, kRead, kReadWrite, kReadWriteExecute };

enum class InstallMode : uint8_t { kWritable, kWriteProtected };
enum class WakeMode : uint8_t { kWake, kNoWake };

// How far a call over a run of pages came. `done` pages from the front are changed, whatever
// `error` says; `error` is 0 only if all are.
struct RunResult {
  PageCount done;
  Errno error = 0;
};

// One fault, as the kernel's message or the signal's context tells of it. A hint, no more: by the
// time it is read, the page may be in another state.
struct FaultMessage {
  uint64_t address = 0;   // of the access, unmasked where the kernel tells (5.18)
  uint32_t thread_id = 0;
  bool write = false;
  bool write_protect = false;  // the page is there but write-protected
};

class PagePlatform {
 public:
  virtual ~PagePlatform() = default;

  // Makes missing pages and write-protected pages of the range fault to this shard.
  virtual Errno Register(PageRange range) = 0;

  // Fills absent pages with copies of `contents`. With kWake, threads that wait on the copied pages
  // go on.
  virtual RunResult Copy(PageIndex to, const void* contents, PageCount count, InstallMode mode,
                         WakeMode wake) = 0;
  // As Copy, with zeros.
  virtual RunResult CopyZeros(PageIndex to, PageCount count, InstallMode mode, WakeMode wake) = 0;
  // Moves present pages to where none are, without copying; `error` is why the page behind the last
  // that moved did not. Only where features().move.
  virtual RunResult Move(PageIndex to, PageIndex from, PageCount count, WakeMode wake) = 0;

  // Makes stores to the present pages of the range fault, or no longer.
  virtual Errno WriteProtect(PageRange range) = 0;
  virtual Errno Unprotect(PageRange range, WakeMode wake) = 0;
  // Lets the threads that wait on the range go on; they look again. Always allowed, also where
  // nothing is mapped any more.
  virtual void Wake(PageRange range) = 0;
  // With kSignals alone. Every JoinWaiters is followed by one AwaitWake.
  virtual FaultTicket JoinWaiters(PageIndex page) = 0;
  // Waits for a wake of the page since JoinWaiters (or of another one: whoever waited looks again).
  virtual void AwaitWake(FaultTicket ticket) = 0;
  // How many threads wait whose messages have been read (or who have joined) and that no call has
  // woken since. 0 where that is not known.
  virtual uint64_t UnansweredWaiters() { return 0; }
  // Makes an access to the absent page raise SIGBUS, until the page is discarded. Without waking.
  virtual Errno Poison(PageIndex page) = 0;
  virtual Errno Unpoison(PageIndex page) = 0;

  // Empties the pages and gives their memory back. Waits for no one.
  virtual Errno Discard(PageRange range) = 0;
  // Discard of each of the ranges, in one call where the kernel can.
  virtual Errno DiscardAll(std::span<const PageRange> ranges) = 0;

  // Makes the kernel give each page of the range, which is in memory and may be written, a copy of
  // its own where a child shares it. ENOMEM: there is no memory for it.
  virtual Errno TouchForWriting(PageRange range) = 0;

  // mprotect.
  virtual Errno SetAccess(PageRange range, KernelAccess access) = 0;
  // Makes any access to the absent page raise SIGSEGV at its exact address; only where
  // features().guard. Removing it leaves the page absent.
  virtual Errno InstallGuard(PageIndex page) = 0;
  virtual Errno RemoveGuard(PageIndex page) = 0;

  // Whether the kernel has a page there. For checks of broken invariants alone: it is slow.
  virtual bool IsPresent(PageIndex page) = 0;
  // The bytes of a page that is present, through the runtime's own eyes.
  virtual const void* Peek(PageIndex page) = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_PAGE_PLATFORM_H_
