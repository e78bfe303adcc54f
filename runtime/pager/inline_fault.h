// InlineFault: a fault on its way through the thread that made it (FaultDelivery::kSignals). The
// thread answers it under the shard's mutex, and where that takes a read, or a wait, it does either
// with the mutex released.
#ifndef USERPAGER_PAGER_INLINE_FAULT_H_
#define USERPAGER_PAGER_INLINE_FAULT_H_

#include <cstdint>

#include "runtime/base/types.h"
#include "runtime/platform/page_platform.h"

namespace userpager {

// What the faulting thread does next.
enum class InlineNext : uint8_t {
  kRepeat,      // the access: it succeeds, gets its SIGSEGV, or faults once more
  kRead,        // InlineRead, and tell the shard how it went
  kWait,        // for the ticket, then repeat the access
  kLost,        // the page file lost the page: SIGBUS is the program's
  kNotManaged,  // the page is none of the shard's
};

// One read of the page file into a buffer of the shard's.
struct InlineRead {
  uint32_t transfer = 0;
  void* memory = nullptr;
  uint64_t bytes = 0;
  uint64_t offset_bytes = 0;  // in the page file
};

struct InlineFault {
  FaultMessage message;
  uint64_t seen_ns = 0;
  InlineRead read;          // with kRead
  FaultTicket ticket;       // with kWait
  bool wants_turn = false;  // the shard's thread is to be woken: it has something to do
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_INLINE_FAULT_H_
