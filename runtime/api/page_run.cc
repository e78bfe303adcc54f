#include "runtime/api/page_run.h"

#include <algorithm>

#include "runtime/api/allocation_flags.h"

namespace userpager {
namespace {

// What of a page shows, in one comparable word. Where its content is does not.
struct Look {
  bool committed;
  bool locked;
  bool offered;
  BaseProtection base;
  bool guard;

  friend bool operator==(const Look&, const Look&) = default;
};

Look LookOf(Pte pte, bool mind_locks) {
  if (!pte.committed()) return {false, false, false, BaseProtection::kNoAccess, false};
  const Protection protection = pte.own_protection();
  return {true, mind_locks && pte.locked(), mind_locks && pte.offered(), protection.base,
          protection.guard};
}

// Of pages that are all as the reservation's default.
PageRun AlikeRun(const Vad& vad, PageRange range) {
  return {range, vad.default_pte.committed(), false, false,
          ShownProtection(vad.default_pte.protection(), vad.allocation_protection)};
}

PageRun FindRun(const Vad& vad, PageIndex page, PageIndex end, bool mind_locks) {
  if (vad.kind != VadKind::kPaged) return AlikeRun(vad, PageRange(page, end));
  // Of what was never touched nothing is looked at but that.
  if (vad.NextTouched(page, end) >= end) return AlikeRun(vad, PageRange(page, end));
  const Pte first = vad.Load(page);
  const Look look = LookOf(first, mind_locks);
  const bool like_default = look == LookOf(vad.default_pte, mind_locks);
  PageIndex next = page;
  while (next < end) {
    if (like_default) {
      next = vad.NextTouched(next, end);
      if (next >= end) break;
    }
    if (LookOf(vad.Load(next), mind_locks) != look) break;
    ++next;
  }
  return {PageRange(page, std::min(next, end)), look.committed, first.locked(), first.offered(),
          ShownProtection(first.own_protection(), vad.allocation_protection)};
}

}  // namespace

PageRun RunAt(const Vad& vad, PageIndex page, PageIndex end) {
  return FindRun(vad, page, end, true);
}

PageRun VisibleRunAt(const Vad& vad, PageIndex page, PageIndex end) {
  return FindRun(vad, page, end, false);
}

PageCount CountCommitted(const Vad& vad, PageRange range) {
  if (vad.committed == PageCount(0)) return PageCount(0);
  if (vad.committed == vad.range.count()) return range.count();
  PageCount committed;
  ForEachRun(vad, range, [&committed](const PageRun& run) {
    if (run.committed) committed += run.range.count();
    return true;
  });
  return committed;
}

}  // namespace userpager
