// SimulatedUserfaultfd: one shard's way to the simulated kernel. What a shard does to pages of
// another one is found here.
#ifndef USERPAGER_TESTS_SIMULATION_SIMULATED_USERFAULTFD_H_
#define USERPAGER_TESTS_SIMULATION_SIMULATED_USERFAULTFD_H_

#include "tests/simulation/simulated_platform.h"

namespace userpager::simulation {

class SimulatedUserfaultfd final : public PagePlatform {
 public:
  SimulatedUserfaultfd(SimulatedPlatform& kernel, unsigned shard)
      : kernel_(kernel), shard_(shard) {}

  Errno Register(PageRange range) override { return kernel_.Register(range, shard_); }
  RunResult Copy(PageIndex to, const void* contents, PageCount count, InstallMode mode,
                 WakeMode wake) override {
    kernel_.CheckOwner(PageRange(to, count), shard_);
    return kernel_.Copy(to, contents, count, mode, wake);
  }
  RunResult CopyZeros(PageIndex to, PageCount count, InstallMode mode, WakeMode wake) override {
    kernel_.CheckOwner(PageRange(to, count), shard_);
    return kernel_.CopyZeros(to, count, mode, wake);
  }
  RunResult Move(PageIndex to, PageIndex from, PageCount count, WakeMode wake) override {
    kernel_.CheckOwner(PageRange(to, count), shard_);
    kernel_.CheckOwner(PageRange(from, count), shard_);
    return kernel_.Move(to, from, count, wake);
  }
  Errno WriteProtect(PageRange range) override {
    kernel_.CheckOwner(range, shard_);
    return kernel_.WriteProtect(range);
  }
  Errno Unprotect(PageRange range, WakeMode wake) override {
    kernel_.CheckOwner(range, shard_);
    return kernel_.Unprotect(range, wake);
  }
  // Whoever asks by another userfaultfd sleeps on.
  void Wake(PageRange range) override { kernel_.Wake(range, shard_); }
  // Only of faults that come as signals; all of the simulation's are messages.
  FaultTicket JoinWaiters(PageIndex) override {
    kernel_.Refuse("a fault was to wait for a wake outside of the kernel");
    return {};
  }
  void AwaitWake(FaultTicket) override {}
  Errno Poison(PageIndex page) override {
    kernel_.CheckOwner(PageRange(page, PageCount(1)), shard_);
    return kernel_.Poison(page);
  }
  Errno Unpoison(PageIndex page) override { return Discard(PageRange(page, PageCount(1))); }
  Errno Discard(PageRange range) override {
    kernel_.CheckOwner(range, shard_);
    return kernel_.Discard(range);
  }
  Errno DiscardAll(std::span<const PageRange> ranges) override {
    for (const PageRange range : ranges) (void)Discard(range);
    return 0;
  }
  Errno TouchForWriting(PageRange range) override {
    kernel_.CheckOwner(range, shard_);
    return kernel_.TouchForWriting(range);
  }
  Errno SetAccess(PageRange range, KernelAccess access) override {
    kernel_.CheckOwner(range, shard_);
    return kernel_.SetAccess(range, access);
  }
  Errno InstallGuard(PageIndex page) override {
    kernel_.CheckOwner(PageRange(page, PageCount(1)), shard_);
    return kernel_.InstallGuard(page);
  }
  Errno RemoveGuard(PageIndex page) override {
    kernel_.CheckOwner(PageRange(page, PageCount(1)), shard_);
    return kernel_.RemoveGuard(page);
  }
  bool IsPresent(PageIndex page) override { return kernel_.IsPresent(page); }
  const void* Peek(PageIndex page) override {
    kernel_.CheckOwner(PageRange(page, PageCount(1)), shard_);
    return kernel_.Peek(page);
  }

 private:
  SimulatedPlatform& kernel_;
  const unsigned shard_;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_SIMULATED_USERFAULTFD_H_
