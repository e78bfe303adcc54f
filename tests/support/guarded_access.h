// Reads and writes memory that may raise SIGSEGV or SIGBUS, and says what happened instead of
// dying.
#ifndef USERPAGER_TESTS_SUPPORT_GUARDED_ACCESS_H_
#define USERPAGER_TESTS_SUPPORT_GUARDED_ACCESS_H_

#include <cstdint>

namespace userpager {

struct AccessOutcome {
  int signal = 0;        // 0, SIGSEGV or SIGBUS
  uint64_t address = 0;  // si_addr
  uint64_t value = 0;    // that was read
};

// From any thread. The first call takes over SIGSEGV and SIGBUS; one that comes from elsewhere ends
// the process as it would have.
AccessOutcome TryRead(const void* address);
AccessOutcome TryWrite(void* address, uint64_t value);

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_GUARDED_ACCESS_H_
