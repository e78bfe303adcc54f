// KernelFloor: the kernel's own answer to the first touch of an anonymous page.
#ifndef USERPAGER_BENCH_SUPPORT_KERNEL_FLOOR_H_
#define USERPAGER_BENCH_SUPPORT_KERNEL_FLOOR_H_

#include <sys/mman.h>

#include "bench/support/echo_floor.h"
#include "bench/support/rival.h"

namespace userpager::bench {

class KernelFloor : public Rival {
 public:
  explicit KernelFloor(uint64_t pages)
      : Rival("kernel's own anonymous fault", Role::kReference),
        pages_(pages),
        base_(MapPages(pages)) {}
  ~KernelFloor() override { munmap(base_, pages_ * kPageBytes); }

  void Prepare(std::span<const uint32_t>) override {
    if (madvise(base_, pages_ * kPageBytes, MADV_DONTNEED) != 0) Die("madvise", errno);
  }
  uint64_t Touch(uint32_t page) override {
    ++touches_;
    return TimeStore(PageAt(base_, page), 1);
  }
  uint64_t IntendedFaults() override { return touches_; }

 private:
  const uint64_t pages_;
  void* const base_;
  uint64_t touches_ = 0;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_KERNEL_FLOOR_H_
