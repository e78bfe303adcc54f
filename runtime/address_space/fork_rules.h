// ForkRules: what a forked child is not to have as its parent has it, by ranges of pages: Linux's
// MADV_DONTFORK and MADV_WIPEONFORK (madvise(2)). What is in no range is inherited.
//
// Not thread-safe: the caller's lock covers it (kVadTree).
#ifndef USERPAGER_ADDRESS_SPACE_FORK_RULES_H_
#define USERPAGER_ADDRESS_SPACE_FORK_RULES_H_

#include "runtime/address_space/range_map.h"
#include "runtime/base/types.h"

namespace userpager {

// The two are independent of each other; a page that a child does not have is not emptied there.
struct ForkRule {
  bool absent = false;   // MADV_DONTFORK: not mapped in the child
  bool emptied = false;  // MADV_WIPEONFORK: zeros in the child, and in its children

  friend constexpr bool operator==(ForkRule, ForkRule) = default;
};

class ForkRules {
 public:
  struct Run {
    PageRange range;
    ForkRule rule;
  };

  // Gives the pages of the range that rule, instead of those that they had. ENOMEM: the arena has
  // no memory; some of the pages may have their new rule then. Cannot fail for a range that has
  // whole ranges of earlier calls in it and the default rule.
  [[nodiscard]] Errno Set(PageRange range, ForkRule rule);
  // The first pages of the range, which is not empty, that have one rule.
  Run First(PageRange range) const;
  bool empty() const { return map_.size() == 0; }

 private:
  Errno Clear(PageRange range);

  RangeMap<ForkRule> map_;
};

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_FORK_RULES_H_
