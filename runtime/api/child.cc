// Runtime and Reservations around a fork whose child goes on with its parent's memory: in a child
// that pages on its own, and in one that has plain memory.
#include <errno.h>

#include "runtime/api/fork_guard.h"
#include "runtime/api/reservations.h"
#include "runtime/api/runtime.h"
#include "runtime/api/signal_chain.h"
#include "runtime/platform/address_map.h"

namespace userpager {
namespace {

Errno SetExactly(PageRange range, Protection p) {
  return SetAccessExactly(range, p.AllowsAccess(), p.AllowsWrite(), p.AllowsExecute());
}

}  // namespace

Errno Runtime::BeginFork() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (const Errno error = reservations_.BeginFork(); error != 0) return error;
  working_set_.HoldForFork();
  SignalChain::HoldForFork();
  return 0;
}

void Runtime::EndFork() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  SignalChain::ReleaseAfterFork();
  working_set_.ReleaseAfterFork();
  reservations_.EndFork();
}

void Runtime::BeginInChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  SignalChain::ReleaseAfterFork();
  working_set_.ForgetChange();
  working_set_.ReleaseAfterFork();
  reservations_.BeginInChild();
}

Errno Runtime::AdoptInChild(PageRange stays_locked, LogLine* error) {
  published_.RemakeInChild();
  FillHead();
  if (const Errno failed = reservations_.AdoptInChild(stays_locked, error); failed != 0) {
    return failed;
  }
  reservations_.ThawInChild();
  return reservations_.KeepPromisesInChild(error);
}

Errno Runtime::StartInChild(LogLine* error) {
  const Errno failed = pager_.StartInChild([] { Get()->Publish(); }, error);
  if (failed != 0) return failed;
  ForkGuard::Release();
  if (options_.discard == USERPAGER_DISCARD_ON) discard_thread_.Start(reservations_);
  return 0;
}

Errno Reservations::BeginFork() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  lock_.Acquire();
  const Errno error = pager_.Freeze();
  if (error != 0) lock_.Release();
  return error;
}

void Reservations::EndFork() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  pager_.Thaw();
  lock_.Release();
}

Errno Reservations::AdoptInChild(PageRange stays_locked,
                                 LogLine* error) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (const Errno failed = pager_.OpenInChild(error); failed != 0) return failed;
  PageCount committed;
  for (Vad* vad = tree_.AtOrAfter(PageIndex(0)); vad != nullptr; vad = tree_.Next(*vad)) {
    const Errno failed = pager_.AdoptInChild(*vad, stays_locked, error);
    if (failed != 0) return failed;
    committed += vad->committed;
  }
  if (const Errno failed = pager_.FinishInChild(error); failed != 0) return failed;
  // Another thread of the parent's may have been changing the limit.
  changing_limit_ = false;
  withheld_ = PageCount(0);
  charge_.set_limit(PageCount(UINT64_MAX));
  charge_.Charge(committed).Keep();
  charge_.set_limit(CommitLimit());
  return 0;
}

void Reservations::ThawInChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  pager_.ThawInChild();
  lock_.Release();
}

Errno Reservations::ApplyForkRules() {
  for (PageIndex next(1); next < kEndOfAddressSpace;) {
    const ForkRules::Run run = ForkRuleOf(PageRange(next, kEndOfAddressSpace));
    const bool applies = run.rule.absent || run.rule.emptied;
    for (PageRange rest = run.range; applies && !rest.empty();) {
      const Part part = UsePart(rest, run.rule.absent ? PartUse::kRemove : PartUse::kEmpty, {});
      if (part.error != 0) return part.error;
      rest.begin = part.range.end;
    }
    next = run.range.end;
  }
  return 0;
}

// Plain memory is as Linux would have it without a pager: each page with exactly its protection,
// and nothing where nothing is mapped, or where the child is not to have it.
bool Reservations::FillChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  pager_.CloseInChild();
  for (Vad* vad = tree_.AtOrAfter(PageIndex(0)); vad != nullptr; vad = tree_.Next(*vad)) {
    if (vad->kind != VadKind::kPaged) continue;
    const Errno error = FillChild(*vad);
    if (error == 0) continue;
    if (error == EIO) return false;
    LogLine line;
    line << "a forked child cannot have its parent's mappings: " << ErrnoText{error};
    line.Write();
    return false;
  }
  pager_.EndInChild();
  return true;
}

// EIO: the page file failed, and a line says so.
Errno Reservations::FillChild(Vad& vad) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (PageRange rest = vad.range; !rest.empty();) {
    const Part part = PartAt(rest);
    Errno error = part.owner == Owner::kNobody ? Unmap(part.range) : 0;
    for (PageRange left = part.range; part.owner == Owner::kPager && !left.empty() && error == 0;) {
      const ForkRules::Run run = fork_rules_.First(left);
      if (run.rule.absent) {
        error = Unmap(run.range);
      } else if (run.rule.emptied) {
        error = MapEmptied(run.range);
        if (error == 0) error = SetExactly(run.range, part.protection);
      } else {
        error = FillPart(vad, run.range, part.protection);
      }
      left.begin = run.range.end;
    }
    if (error != 0) return error;
    rest.begin = part.range.end;
  }
  return 0;
}

Errno Reservations::FillPart(Vad& vad, PageRange range, Protection protection) {
  return pager_.FillChild(vad, range) ? SetExactly(range, protection) : EIO;
}

}  // namespace userpager
