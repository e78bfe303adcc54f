// Reservations as Linux's private anonymous mappings: at any page, taken away in any pieces, and
// with the program's own mappings in between.
#include <errno.h>

#include <algorithm>

#include "runtime/api/page_run.h"
#include "runtime/api/reservations.h"

namespace userpager {

// What Linux has unmapped is only reserved here; the kernel's guards of it cost nothing more.
Reservations::Part Reservations::PartAt(PageRange range) const {
  Part part;
  part.range = range;
  const Vad* vad = tree_.AtOrAfter(range.begin);
  if (vad == nullptr || vad->range.begin >= range.end) return part;
  if (!vad->range.Contains(range.begin)) {
    part.range.end = vad->range.begin;
    return part;
  }
  range = vad->range.Clip(range);
  if (vad->kind != VadKind::kPaged) {
    part.range = range;
    return part;
  }
  const PageRun run = RunAt(*vad, range.begin, range.end);
  part.range = run.range;
  part.owner = run.committed ? Owner::kPager : Owner::kNobody;
  part.protection = run.protection;
  part.locked = run.locked;
  if (run.committed || vad->foreign == PageCount(0)) return part;
  const bool foreign = vad->Load(range.begin).foreign();
  PageIndex end = range.begin;
  while (end < run.range.end && vad->Load(end).foreign() == foreign) ++end;
  part.range.end = end;
  if (foreign) part.owner = Owner::kProgram;
  return part;
}

Reservations::Part Reservations::UsePart(PageRange range, PartUse use, Protection protection) {
  LockHolder hold(lock_);
  Part part = PartAt(range);
  if (use == PartUse::kLook || part.owner == Owner::kKernel) return part;
  Vad* vad = tree_.Find(part.range.begin);
  switch (part.owner) {
    case Owner::kKernel: break;
    case Owner::kNobody:
      if (use == PartUse::kGiveUp) pager_.GiveUp(*vad, part.range);
      break;
    case Owner::kProgram:
      if (use == PartUse::kRemove || use == PartUse::kTakeBack) {
        part.error = pager_.TakeBack(*vad, part.range);
        if (part.error == 0 && use == PartUse::kRemove) part.error = Remove(vad, part.range);
      }
      break;
    case Owner::kPager:
      if (use == PartUse::kEmpty && part.locked) part.error = EINVAL;
      if (use == PartUse::kEmpty && !part.locked) pager_.DiscardPages(*vad, part.range);
      if (use == PartUse::kRemove) part.error = Remove(vad, part.range);
      if (use == PartUse::kProtect) part.error = pager_.Protect(*vad, part.range, protection);
      if (use == PartUse::kTrim && !part.locked) {
        bool all_locked = false;
        pager_.UnlockPages(*vad, part.range, &all_locked);
      }
      if (use >= PartUse::kNotInChild) part.error = ChangeForkRules(part.range, use);
      break;
  }
  return part;
}

Errno Reservations::ChangeForkRules(PageRange range, PartUse use) {
  for (PageRange rest = range; !rest.empty();) {
    ForkRules::Run run = fork_rules_.First(rest);
    if (use == PartUse::kNotInChild || use == PartUse::kInChild) {
      run.rule.absent = use == PartUse::kNotInChild;
    } else {
      run.rule.emptied = use == PartUse::kEmptyInChild;
    }
    if (const Errno error = fork_rules_.Set(run.range, run.rule); error != 0) return error;
    rest.begin = run.range.end;
  }
  return 0;
}

ForkRules::Run Reservations::ForkRuleOf(PageRange range) {
  LockHolder hold(lock_);
  return fork_rules_.First(range);
}

Errno Reservations::SetForkRule(PageRange range, ForkRule rule) {
  LockHolder hold(lock_);
  return fork_rules_.Set(range, rule);
}

// ENOMEM: no memory to remember what forked children have of the rest. Nothing has changed then.
Errno Reservations::Remove(Vad* vad, PageRange range) {
  if (const Errno error = fork_rules_.Set(range, {}); error != 0) return error;
  const PageCount committed = vad->committed;
  pager_.Decommit(*vad, range);
  charge_.Return(committed - vad->committed);
  if (vad->committed != PageCount(0) || vad->foreign != PageCount(0)) return 0;
  tree_.Erase(vad);
  pager_.Release(vad);
  return 0;
}

Reservations::Attempt Reservations::TryMapExactly(PageRange range, Protection protection,
                                                  bool replace, Errno* refused) {
  LockHolder hold(lock_);
  if (tree_.OverlapsFootprint(range)) {
    *refused = EEXIST;
    return {};
  }
  PageCount slots_needed;
  CommitCharge::Token token = Charge(range.count(), &slots_needed);
  if (!token.granted()) return {{}, slots_needed};
  Vad* vad = nullptr;
  *refused = pager_.ReserveExactly(range, protection, replace, &vad);
  if (*refused != 0) return {};
  if (tree_.Insert(vad) != 0) {
    pager_.Release(vad);
    *refused = ENOMEM;
    return {};
  }
  token.Keep();
  return {};
}

Errno Reservations::MapExactly(PageRange range, Protection protection, bool replace) {
  Errno refused = 0;
  const Allocated answer = GrowAndRetry(
      [&] { return TryMapExactly(range, protection, replace, &refused); });
  return answer.error != 0 ? ENOMEM : refused;
}

Errno Reservations::MapReserved(PageRange range, Protection protection) {
  // A new mapping, of which children have all.
  if (const Errno error = SetForkRule(range, {}); error != 0) return error;
  const Allocated answer = GrowAndRetry([&] { return TryCommit(range, protection); });
  if (answer.error == ERROR_INVALID_ADDRESS) return EAGAIN;
  return answer.error != 0 ? ENOMEM : 0;
}

// Whole units, so that the kernel can join neighbours; what is too much of the last one is unmapped
// at once.
Reservations::Allocated Reservations::MapAnywhere(PageCount pages, Protection protection) {
  const PageCount whole(RoundUp(pages.value(), kGranularityPages));
  const Allocated made = GrowAndRetry(
      [&] { return TryReserve(PageIndex(0), whole, MEM_COMMIT, protection); });
  if (made.error != 0) return made;
  const PageIndex begin = PageOf(made.address);
  if (whole != pages) {
    LockHolder hold(lock_);
    (void)Remove(tree_.Find(begin), PageRange(begin + pages, begin + whole));
  }
  return made;
}

PageRange Reservations::FirstContent(PageRange range) {
  const auto has_content = [](Pte pte) {
    return pte.committed() && pte.state() != PageState::kDemandZero;
  };
  LockHolder hold(lock_);
  const Vad* vad = tree_.Find(range.begin);
  PageIndex begin = range.begin;
  while (vad != nullptr && begin < range.end && !has_content(vad->Load(begin))) {
    begin = vad->NextTouched(begin + PageCount(1), range.end);
  }
  PageIndex end = begin;
  while (vad != nullptr && end < range.end && has_content(vad->Load(end))) ++end;
  return PageRange(begin, end);
}

bool Reservations::IsInMemory(PageIndex page) {
  LockHolder hold(lock_);
  const Vad* vad = tree_.Find(page);
  return vad != nullptr && vad->kind == VadKind::kPaged && vad->Load(page).has_frame();
}

}  // namespace userpager
