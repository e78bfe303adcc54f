#include "runtime/address_space/fork_rules.h"

#include <algorithm>

namespace userpager {
namespace {

// What entries of the map point to; never changed.
constinit ForkRule absent{true, false};
constinit ForkRule emptied{false, true};
constinit ForkRule both{true, true};

ForkRule* Stored(ForkRule rule) {
  if (rule.absent) return rule.emptied ? &both : &absent;
  return rule.emptied ? &emptied : nullptr;
}

}  // namespace

Errno ForkRules::Set(PageRange range, ForkRule rule) {
  if (const Errno error = Clear(range); error != 0) return error;
  ForkRule* stored = Stored(rule);
  return stored == nullptr || range.empty() ? 0 : map_.Insert(range, stored);
}

// An entry that goes beyond both ends of the range is the one that becomes two.
Errno ForkRules::Clear(PageRange range) {
  for (auto entry = map_.FindAtOrAfter(range.begin);
       entry.value != nullptr && entry.range.begin < range.end;
       entry = map_.FindAtOrAfter(range.begin)) {
    const PageRange before(entry.range.begin, std::max(entry.range.begin, range.begin));
    const PageRange after(std::min(entry.range.end, range.end), entry.range.end);
    if (before.empty()) {
      if (after.empty()) {
        (void)map_.Erase(entry.range.begin);
      } else {
        (void)map_.Resize(entry.range.begin, after);
      }
      continue;
    }
    (void)map_.Resize(entry.range.begin, before);
    if (after.empty()) continue;
    if (const Errno error = map_.Insert(after, entry.value); error != 0) {
      (void)map_.Resize(entry.range.begin, entry.range);
      return error;
    }
  }
  return 0;
}

ForkRules::Run ForkRules::First(PageRange range) const {
  const auto entry = map_.FindAtOrAfter(range.begin);
  if (entry.value == nullptr || entry.range.begin >= range.end) return {range, {}};
  if (entry.range.begin > range.begin) {
    return {PageRange(range.begin, entry.range.begin), {}};
  }
  return {PageRange(range.begin, std::min(entry.range.end, range.end)), *entry.value};
}

}  // namespace userpager
