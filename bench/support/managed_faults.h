// The pager's side of the comparison: each kind of fault, made to happen on purpose through the
// public interface alone, and counted by the library's own statistics.
//
// Cast:  FaultCounts (what the library has counted), ManagedPages (memory of the pager's), and one
//        rival for each kind of fault.
#ifndef USERPAGER_BENCH_SUPPORT_MANAGED_FAULTS_H_
#define USERPAGER_BENCH_SUPPORT_MANAGED_FAULTS_H_

#include <errno.h>
#include <stddef.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string>

#include "absl/strings/str_format.h"
#include "bench/support/rival.h"

namespace userpager::bench {

enum class ManagedFault : uint8_t { kDemandZero, kSoft, kHard, kWriteProtect };

[[noreturn]] inline void DieOfManagedCall(const char* call) {
  std::fprintf(stderr, "%s: %s failed with error %u %s\n", program_invocation_short_name, call,
               GetLastError(), userpager_error_message());
  std::exit(1);
}

// Reads the fault counters, and only these: the latencies' percentiles are not asked for.
class FaultCounts {
 public:
  FaultCounts() {
    stats_.struct_bytes = offsetof(userpager_stats, access_violations);
    if (userpager_get_stats(&stats_) != 0) {
      DieOfManagedCall("userpager_get_stats");
    }
  }
  uint64_t Of(ManagedFault kind) const {
    switch (kind) {
      case ManagedFault::kDemandZero:
        return stats_.demand_zero_faults;
      case ManagedFault::kSoft:
        return stats_.soft_faults;
      case ManagedFault::kHard:
        return stats_.hard_faults;
      case ManagedFault::kWriteProtect:
        return stats_.write_protect_faults;
    }
    return 0;
  }

 private:
  userpager_stats stats_{};
};

// Committed pages of the pager's.
class ManagedPages {
 public:
  explicit ManagedPages(uint64_t pages)
      : bytes_(pages * kPageBytes),
        base_(VirtualAlloc(nullptr, bytes_, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)) {
    if (base_ == nullptr) DieOfManagedCall("VirtualAlloc");
  }
  ~ManagedPages() {
    if (!VirtualFree(base_, 0, MEM_RELEASE)) DieOfManagedCall("VirtualFree(MEM_RELEASE)");
  }
  ManagedPages(const ManagedPages&) = delete;
  ManagedPages& operator=(const ManagedPages&) = delete;

  volatile unsigned char* Page(uint32_t page) const { return PageAt(base_, page); }

  // Every page holds random bytes afterwards, and only the last written are still in memory.
  void FillWithRandomBytes() {
    std::mt19937_64 random(2);
    auto* words = static_cast<uint64_t*>(base_);
    for (uint64_t i = 0; i < bytes_ / sizeof(uint64_t); ++i) words[i] = random();
  }
  // Every page is as before its first touch.
  void ForgetAll() {
    if (!VirtualFree(base_, bytes_, MEM_DECOMMIT)) DieOfManagedCall("VirtualFree(MEM_DECOMMIT)");
    if (VirtualAlloc(base_, bytes_, MEM_COMMIT, PAGE_READWRITE) == nullptr) {
      DieOfManagedCall("VirtualAlloc(MEM_COMMIT)");
    }
  }
  // Takes the page out of the working set; its frame is not needed for anything else yet.
  void Trim(uint32_t page) {
    void* address = static_cast<unsigned char*>(base_) + uint64_t{page} * kPageBytes;
    if (VirtualUnlock(address, kPageBytes) || GetLastError() != ERROR_NOT_LOCKED) {
      DieOfManagedCall("VirtualUnlock of a page that is not locked");
    }
  }

 private:
  const uint64_t bytes_;
  void* const base_;
};

class ManagedRival : public Rival {
 public:
  ManagedRival(std::string name, ManagedFault kind)
      : Rival(std::move(name), Role::kPager), kind_(kind) {}
  uint64_t IntendedFaults() override { return FaultCounts().Of(kind_); }

 private:
  const ManagedFault kind_;
};

// First touches, of pages that were decommitted and committed again.
class DemandZeroFaults : public ManagedRival {
 public:
  DemandZeroFaults(std::string name, uint64_t pages)
      : ManagedRival(std::move(name), ManagedFault::kDemandZero), pages_(pages) {}
  void Prepare(std::span<const uint32_t>) override { pages_.ForgetAll(); }
  uint64_t Touch(uint32_t page) override { return TimeStore(pages_.Page(page), 1); }

 private:
  ManagedPages pages_;
};

// Loads, of pages of a region far larger than the memory limit that were filled long ago.
class HardFaults : public ManagedRival {
 public:
  explicit HardFaults(std::shared_ptr<ManagedPages> region)
      : ManagedRival("hard fault", ManagedFault::kHard), region_(std::move(region)) {}
  void Prepare(std::span<const uint32_t>) override {}
  uint64_t Touch(uint32_t page) override { return TimeLoad(region_->Page(page)); }

 private:
  const std::shared_ptr<ManagedPages> region_;
};

// Stores to pages that were written and then trimmed from the working set a moment ago.
class SoftFaults : public ManagedRival {
 public:
  explicit SoftFaults(std::shared_ptr<ManagedPages> region)
      : ManagedRival("soft fault", ManagedFault::kSoft), region_(std::move(region)) {}
  void Prepare(std::span<const uint32_t> pages) override {
    for (const uint32_t page : pages) *region_->Page(page) = 1;
    for (const uint32_t page : pages) region_->Trim(page);
  }
  uint64_t Touch(uint32_t page) override { return TimeStore(region_->Page(page), 2); }

 private:
  const std::shared_ptr<ManagedPages> region_;
};

// Stores to pages that were just read in from the page file, and so are clean.
class WriteProtectFaults : public ManagedRival {
 public:
  explicit WriteProtectFaults(std::shared_ptr<ManagedPages> region)
      : ManagedRival("write-protect fault", ManagedFault::kWriteProtect),
        region_(std::move(region)) {}
  void Prepare(std::span<const uint32_t> pages) override {
    for (const uint32_t page : pages) static_cast<void>(*region_->Page(page));
  }
  uint64_t Touch(uint32_t page) override { return TimeStore(region_->Page(page), 3); }

 private:
  const std::shared_ptr<ManagedPages> region_;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_MANAGED_FAULTS_H_
