// The order in which the runtime's locks are taken, in one place. A thread may take a lock only if
// its rank is higher than that of every lock that it holds; debug builds abort on a wrong order.
//
//   kLifecycle           start and stop of the runtime              (api/runtime.h)
//     kPageFileGrowth    one growth of the page file at a time      (page_file/page_file.h)
//       kVadTree         the tree of reservations                   (api/runtime.h)
//         kShard         one shard's pages, lists and stripes       (pager/shard.h)
//           kPageFile    the slot map of the page file              (page_file/slot_map.h)
//             kLeaf      locks under which no other lock is taken
//
// Never two locks of one rank at once, so never two shards, but for all of them, in the order of
// their indices, and leaf locks that the child needs, while the process forks
// (Lock::AcquireBeside).
#ifndef USERPAGER_BASE_LOCK_RANK_H_
#define USERPAGER_BASE_LOCK_RANK_H_

#include <cstdint>

namespace userpager {

enum class LockRank : uint8_t {
  kLifecycle = 1,
  kPageFileGrowth,
  kVadTree,
  kShard,
  kPageFile,
  kLeaf,
};

}  // namespace userpager

#endif  // USERPAGER_BASE_LOCK_RANK_H_
