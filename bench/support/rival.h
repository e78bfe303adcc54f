// Rival: one way in which a touch of a page can be answered: by the pager, or by one of the floors
// that it is compared with.
#ifndef USERPAGER_BENCH_SUPPORT_RIVAL_H_
#define USERPAGER_BENCH_SUPPORT_RIVAL_H_

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/types.h"

namespace userpager::bench {

// What a rival is to the pager's own time.
enum class Role : uint8_t {
  kPager,        // the one that is measured
  kEcho,         // floor: a bare handler thread wherever the scheduler puts it
  kEchoSameCpu,  // floor: a bare handler thread on the touching thread's CPU
  kDisk,         // floor, comes on top of an echo
  kReference,    // for comparison alone
};

class Rival {
 public:
  Rival(std::string name, Role role) : name_(std::move(name)), role_(role) {}
  virtual ~Rival() = default;
  Rival(const Rival&) = delete;
  Rival& operator=(const Rival&) = delete;

  // Makes the next touch of each of the pages fault. Not timed.
  virtual void Prepare(std::span<const uint32_t> pages) = 0;
  // Touches the page; returns how long that took, in nanoseconds.
  virtual uint64_t Touch(uint32_t page) = 0;
  // How many faults of the intended kind there have been. A floor's every touch is one.
  virtual uint64_t IntendedFaults() = 0;

  const std::string& name() const { return name_; }
  Role role() const { return role_; }

 private:
  std::string name_;
  Role role_;
};

inline uint64_t TimeLoad(const volatile unsigned char* byte) {
  const uint64_t start = NowNanoseconds();
  static_cast<void>(*byte);
  return NowNanoseconds() - start;
}

inline uint64_t TimeStore(volatile unsigned char* byte, unsigned char value) {
  const uint64_t start = NowNanoseconds();
  *byte = value;
  return NowNanoseconds() - start;
}

inline volatile unsigned char* PageAt(void* base, uint32_t page) {
  return static_cast<volatile unsigned char*>(base) + uint64_t{page} * kPageBytes;
}

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_RIVAL_H_
