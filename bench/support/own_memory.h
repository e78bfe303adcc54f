// OwnMemoryBytes: the memory of this process that no userfaultfd looks after. What it grows by when
// the pager starts and works is the pager's own memory: its tables, its stacks, its buffers.
#ifndef USERPAGER_BENCH_SUPPORT_OWN_MEMORY_H_
#define USERPAGER_BENCH_SUPPORT_OWN_MEMORY_H_

#include <cstdint>

namespace userpager::bench {

// Resident bytes of all mappings that are not registered with a userfaultfd, from
// /proc/self/smaps.
int64_t OwnMemoryBytes();

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_OWN_MEMORY_H_
