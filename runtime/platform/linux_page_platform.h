// LinuxPagePlatform: PagePlatform on one userfaultfd.
#ifndef USERPAGER_PLATFORM_LINUX_PAGE_PLATFORM_H_
#define USERPAGER_PLATFORM_LINUX_PAGE_PLATFORM_H_

#include <linux/userfaultfd.h>

#include <optional>

#include "runtime/base/log_line.h"
#include "runtime/platform/fault_backlog.h"
#include "runtime/platform/features.h"
#include "runtime/platform/page_platform.h"

namespace userpager {

class LinuxPagePlatform final : public PagePlatform {
 public:
  LinuxPagePlatform() = default;
  ~LinuxPagePlatform() override;
  LinuxPagePlatform(const LinuxPagePlatform&) = delete;
  LinuxPagePlatform& operator=(const LinuxPagePlatform&) = delete;

  // Opens the userfaultfd. `features` are those of ProbeFeatures; what is false there is not used.
  // On failure `error` gets one clear line.
  Errno Open(const PlatformFeatures& features, LogLine* error,
             FaultDelivery delivery = FaultDelivery::kMessages);
  // In a forked child, whose copies of the parent's descriptors are closed: Open may follow.
  void ForgetInChild();
  // The first pages of the range that the kernel has, as many runs of them as there is room for.
  // Returns how many; `next` is where to go on, or the range's end. None where /proc does not tell.
  size_t FindPresent(PageRange range, std::span<PageRange> runs, PageIndex* next) const;
  // Messages are read from here, in units of uffd_msg; with kSignals there are none.
  int descriptor() const { return descriptor_; }
  // False for messages that are not page faults (none are asked for).
  static bool Decode(const uffd_msg& raw, FaultMessage* message);
  // Threads that wait for this platform's calls. False where the userfaultfd is no longer there.
  bool CountWaiters(FaultCounts* counts) const;
  // Lets every thread that waits look again, wherever it waits.
  void WakeAll();

  Errno Register(PageRange range) override;
  RunResult Copy(PageIndex to, const void* contents, PageCount count, InstallMode mode,
                 WakeMode wake) override;
  RunResult CopyZeros(PageIndex to, PageCount count, InstallMode mode, WakeMode wake) override;
  RunResult Move(PageIndex to, PageIndex from, PageCount count, WakeMode wake) override;
  Errno WriteProtect(PageRange range) override;
  Errno Unprotect(PageRange range, WakeMode wake) override;
  void Wake(PageRange range) override;
  FaultTicket JoinWaiters(PageIndex page) override { return waiters_.Join(page); }
  void AwaitWake(FaultTicket ticket) override { waiters_.Await(ticket); }
  uint64_t UnansweredWaiters() override;
  Errno Poison(PageIndex page) override;
  Errno Unpoison(PageIndex page) override;
  Errno Discard(PageRange range) override;
  Errno DiscardAll(std::span<const PageRange> ranges) override;
  Errno TouchForWriting(PageRange range) override;
  Errno SetAccess(PageRange range, KernelAccess access) override;
  Errno InstallGuard(PageIndex page) override;
  Errno RemoveGuard(PageIndex page) override;
  bool IsPresent(PageIndex page) override;
  const void* Peek(PageIndex page) override { return PointerTo(page); }

 private:
  Errno MapZeros(LogLine* error);
  // Moves the pages of the count that it returns, and perhaps more.
  RunResult MoveOnce(PageIndex to, PageIndex from, PageCount count, WakeMode wake);
  bool HasMoved(PageIndex to, PageIndex from, bool is_taken) const;
  std::optional<bool> InPagemap(PageIndex page) const;
  std::optional<bool> IsThere(PageIndex page) const;
  size_t FindPresentOneByOne(PageRange range, std::span<PageRange> runs, PageIndex* next) const;
  Errno ChangeProtection(uffdio_writeprotect request);
  // For a call that wakes as it succeeds.
  bool wakes_in_kernel(WakeMode wake) const { return wake == WakeMode::kWake && !signals_; }
  void WakeWaiters(WakeMode wake, PageIndex begin, PageCount done);

  PlatformFeatures features_;
  bool signals_ = false;   // FaultDelivery::kSignals
  FaultWaiters waiters_;   // there
  FaultBacklog backlog_;   // of the descriptor
  int descriptor_ = -1;
  int own_process_ = -1;       // pidfd of this process, for DiscardAll
  int pagemap_ = -1;           // /proc/self/pagemap, for IsPresent and IsThere
  const void* zeros_ = nullptr;  // kZerosPages of the kernel's zero page
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_LINUX_PAGE_PLATFORM_H_
