// LinuxMemory: the mmap family of calls over managed memory, with the meaning that Linux gives
// them. Private anonymous memory becomes managed; everything else, and every page that is not
// managed, is left to the kernel.
//
// Cast:       LinuxMemory (which calls concern managed memory, and what they mean), Reservations
//             (the pages), the kernel (all other mappings; called with the C library's names, which
//             the preload library binds to the bare system calls).
// Flow:       a call looks at its range part by part (Reservations::UsePart): each part has one
//             owner. What is the pager's is done there, what is the kernel's by the system call
//             for this part alone. A range without managed pages goes to the kernel in one call.
//             mremap is in linux_remap.cc, mlock and its kin in linux_locks.cc.
// Invariants: 1. a page is mapped by the pager or by the kernel, never by both: the kernel is given
//             pages of a reservation only after Reservations gave them up; 2. contents are copied
//             (mremap) with no lock held.
// Locks:      none of its own. A call over several parts is not one step, as concurrent calls over
//             the same range mean nothing certain on Linux either.
// Does not:   manage stacks (MAP_STACK, MAP_GROWSDOWN), locked, huge or 31-bit mappings: those are
//             the kernel's.
//
// All results are as the system calls give them (mmap(2), munmap(2), mremap(2), mprotect(2),
// madvise(2), mincore(2), mlock(2)): the value, or a negative errno. Thread-safe, not inside.
#ifndef USERPAGER_PRELOAD_LINUX_MEMORY_H_
#define USERPAGER_PRELOAD_LINUX_MEMORY_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>

#include "runtime/api/reservations.h"

namespace userpager {

class LinuxMemory {
 public:
  explicit LinuxMemory(Reservations& reservations) : reservations_(reservations) {}

  struct MapRequest {
    uint64_t address;
    uint64_t length;
    int access;  // PROT_*
    int flags;   // MAP_*
    int descriptor;
    off_t offset;
  };
  int64_t Map(const MapRequest& request);
  int64_t Unmap(uint64_t address, uint64_t length);
  int64_t Remap(uint64_t address, uint64_t old_length, uint64_t new_length, int flags,
                uint64_t new_address);
  int64_t Protect(uint64_t address, uint64_t length, int access);
  int64_t Advise(uint64_t address, uint64_t length, int advice);
  int64_t Residency(uint64_t address, uint64_t length, unsigned char* vector);
  int64_t Lock(uint64_t address, uint64_t length);
  int64_t Unlock(uint64_t address, uint64_t length);
  // mlockall, munlockall. Of what is managed, all or (ENOMEM) nothing is locked. Later mappings
  // (MCL_FUTURE) that would go beyond the memory limit fail with EAGAIN. Thread stacks and the
  // kernel's other anonymous memory are locked as with MCL_ONFAULT.
  int64_t LockAll(int flags);
  int64_t UnlockAll();
  // In a forked child, in which nothing is locked but what LockStack has.
  void ForgetLocksInChild() { lock_future_.store(false, std::memory_order_relaxed); }
  // 0, or EPERM where the process may lock no memory (RLIMIT_MEMLOCK, CAP_IPC_LOCK).
  static int64_t MayLock();
  // For a stack that must stay in memory while its thread lives: also after UnlockAll.
  int64_t LockStack(uint64_t address, uint64_t length);
  bool keeps_stacks() const { return keeps_stacks_.load(); }
  int64_t Sync(uint64_t address, uint64_t length, int flags);

  // Whether any page of the range is managed, or was and has not been given back yet.
  bool Touches(uint64_t address, uint64_t length);

 private:
  using Part = Reservations::Part;
  using PartUse = Reservations::PartUse;

  Part Use(PageRange range, PartUse use, Protection protection = {});
  bool Touches(PageRange range);
  // The pages of a range that begins with one and has managed ones; all other calls are the
  // kernel's, which refuses what is wrong with them.
  std::optional<PageRange> Managed(uint64_t address, uint64_t length);
  // Calls visit(part) for each part, after it was used, until that returns an errno.
  Errno ForEachPart(PageRange range, PartUse use, Protection protection, auto visit);
  int64_t MapManaged(const MapRequest& request);
  Errno MapOver(PageRange range, Protection protection, bool replace);
  int64_t MapForeign(const MapRequest& request);
  Errno GiveUp(PageRange range);
  Errno UnmapPages(PageRange range);
  int64_t MoveTo(PageRange from, PageRange to, bool keep_old);
  Errno ProtectPages(PageRange range, Protection protection);
  Errno CopyForkRules(PageRange from, PageRange to);
  Errno MovePart(PageRange from, PageIndex to, Protection protection);
  Errno LockAllManaged();
  Errno LockAllOthers(bool on_fault);
  int64_t LockNew(int64_t mapped, const MapRequest& request);
  int64_t PlaceForMove(PageCount pages, int flags, uint64_t new_address);
  int64_t Grow(PageRange old, PageCount pages, int flags, uint64_t new_address);

  Reservations& reservations_;
  std::atomic<bool> lock_future_{false};   // MCL_FUTURE
  std::atomic<bool> keeps_stacks_{false};  // LockStack was called
};

Errno LinuxMemory::ForEachPart(PageRange range, PartUse use, Protection protection, auto visit) {
  while (!range.empty()) {
    const Part part = Use(range, use, protection);
    Errno error = part.error;
    if (error == 0) error = visit(part);
    if (error != 0) return error;
    range.begin = part.range.end;
  }
  return 0;
}

}  // namespace userpager

#endif  // USERPAGER_PRELOAD_LINUX_MEMORY_H_
