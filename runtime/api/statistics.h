// Statistics: userpager_stats filled from the counters of all shards, the frame ledger, the commit
// charge and the page file.
#ifndef USERPAGER_API_STATISTICS_H_
#define USERPAGER_API_STATISTICS_H_

#include <userpager/userpager.h>

#include "runtime/base/types.h"
#include "runtime/api/runtime.h"

namespace userpager {

// Fills everything but struct_bytes. ENOMEM: no memory to add the counters up in.
Errno CollectStatistics(Runtime& runtime, userpager_stats* stats);

}  // namespace userpager

#endif  // USERPAGER_API_STATISTICS_H_
