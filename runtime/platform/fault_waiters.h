// FaultWaiters: threads that wait for a page in user space, where the kernel does not let them wait
// (userfaultfd with signals). Pages share a fixed number of futex words by their address, so who
// waits for one page is seldom woken for another.
#ifndef USERPAGER_PLATFORM_FAULT_WAITERS_H_
#define USERPAGER_PLATFORM_FAULT_WAITERS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

// What a thread waits for: a change of one word.
struct FaultTicket {
  uint32_t word = 0;
  uint32_t seen = 0;
};

// Thread-safe, without a lock. A thread looks at its page, and joins, under the lock that also
// covers every change of the page and its Wake: so no wake after the look is missed.
class FaultWaiters {
 public:
  FaultTicket Join(PageIndex page);
  // Ends what Join began, when there was a wake since. Not interrupted by signals.
  void Await(FaultTicket ticket);
  // Lets those go on who joined for a page of the range. One load for each page where nobody did.
  void Wake(PageRange range);
  // How many joined since the last wake of what they wait for: nobody has let them go on yet.
  uint64_t Unanswered() const;
  // The same with those who were let go on but did not run yet.
  uint64_t Joined() const;

 private:
  static constexpr uint32_t kWords = 64;
  struct Word {
    std::atomic<uint32_t> wakes{0};
    std::atomic<uint32_t> joined{0};
    std::atomic<uint32_t> unanswered{0};
  };

  std::array<Word, kWords> words_;
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_FAULT_WAITERS_H_
