// Reservations as Linux's private anonymous mappings: at any page, taken away in any pieces, and
// with the program's own mappings in between.
#include <errno.h>

#include <algorithm>

#include "runtime/api/page_run.h"
#include "runtime/api/reservations.h"
#include "runtime/platform/address_map.h"

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
        if (part.error == 0 && use == PartUse::kRemove) Remove(vad, part.range);
      }
      break;
    case Owner::kPager:
      if (use == PartUse::kEmpty && part.locked) part.error = EINVAL;
      if (use == PartUse::kEmpty && !part.locked) pager_.DiscardPages(*vad, part.range);
      if (use == PartUse::kRemove) Remove(vad, part.range);
      if (use == PartUse::kProtect) part.error = pager_.Protect(*vad, part.range, protection);
      if (use == PartUse::kTrim && !part.locked) {
        bool all_locked = false;
        pager_.UnlockPages(*vad, part.range, &all_locked);
      }
      break;
  }
  return part;
}

void Reservations::Remove(Vad* vad, PageRange range) {
  const PageCount committed = vad->committed;
  pager_.Decommit(*vad, range);
  charge_.Return(committed - vad->committed);
  if (vad->committed != PageCount(0) || vad->foreign != PageCount(0)) return;
  tree_.Erase(vad);
  pager_.Release(vad);
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
    Remove(tree_.Find(begin), PageRange(begin + pages, begin + whole));
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

// Plain memory is as Linux would have it without a pager: each page with exactly its protection,
// and nothing where nothing is mapped.
bool Reservations::FillChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (Vad* vad = tree_.AtOrAfter(PageIndex(0)); vad != nullptr; vad = tree_.Next(*vad)) {
    if (vad->kind != VadKind::kPaged) continue;
    if (!pager_.FillChild(*vad)) return false;
    for (PageRange rest = vad->range; !rest.empty();) {
      const Part part = PartAt(rest);
      Errno error = 0;
      if (part.owner == Owner::kNobody) error = Unmap(part.range);
      if (part.owner == Owner::kPager) {
        const Protection p = part.protection;
        error = SetAccessExactly(part.range, p.AllowsAccess(), p.AllowsWrite(),
                                 p.AllowsExecute());
      }
      if (error != 0) {
        LogLine line;
        line << "a forked child cannot have its parent's mappings: " << ErrnoText{error};
        line.Write();
        return false;
      }
      rest.begin = part.range.end;
    }
  }
  pager_.EndInChild();
  return true;
}

}  // namespace userpager
