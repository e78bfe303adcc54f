// Shard: soft faults: the content of the page is in a parked frame. Where faults go through memory
// page by page, the parked pages that come next are brought along.
#include <errno.h>

#include "runtime/base/check.h"
#include "runtime/pager/run_around.h"
#include "runtime/pager/shard.h"

namespace userpager {

Shard::Answer Shard::Rescue(Stripe& stripe, const Fault& fault) {
  const bool marker = stripe.Load(fault.page).ahead();
  const PageRange run = RescueNeighbours(stripe, SoftRun(stripe, fault), fault);
  const Answer answer = RescueByAny(stripe, fault);
  if (answer != Answer::kDone) return answer;
  soft_streams_.OnDone(run);
  Answered(FaultKind::kSoft, fault, run);
  if (marker) {
    const ReadStreams::Plan plan =
        NoteTouch(stripe, fault.thread_id, fault.page, ReadStreams::Touch::kSeen);
    ReadAhead(stripe, plan, 0);
  }
  return answer;
}

// The parked pages beside the fault's that its stream will want next, and that are as it is.
PageRange Shard::SoftRun(const Stripe& stripe, const Fault& fault) {
  const PageRange plan = soft_streams_.OnFault(fault.page, stripe.range).range;
  const Pte first = stripe.Load(fault.page);
  if (first.state() != PageState::kModified && first.state() != PageState::kStandby) {
    return PageRange(fault.page, PageCount(1));
  }
  const auto fits = [&](PageIndex neighbour) {
    const Pte pte = stripe.Load(neighbour);
    return pte.state() == first.state() && !pte.trapped() && !pte.queued() && !pte.ahead() &&
           pte.protection() == first.protection();
  };
  return RunAround(fault.page, plan, fits);
}

// Before the fault's own page: its thread goes on when that is there, and is to find the others.
// What is copied back needs memory until the copy is dropped, which must not be what somebody waits
// for. Returns the part of the run that is in the working set once the fault's page is.
PageRange Shard::RescueNeighbours(Stripe& stripe, PageRange run, const Fault& fault) {
  PageRange done(fault.page, PageCount(1));
  Fault neighbour = fault;
  neighbour.write = false;
  neighbour.urgent = false;
  const auto rescue = [&](PageIndex page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    neighbour.page = page;
    return ledger_.free() > LowMark() && RescueByAny(stripe, neighbour) == Answer::kDone;
  };
  while (done.end < run.end && rescue(done.end)) ++done.end;
  while (done.begin > run.begin && rescue(done.begin - PageCount(1))) --done.begin;
  return done;
}

Shard::Answer Shard::RescueByAny(Stripe& stripe, const Fault& fault) {
  const Pte pte = stripe.Load(fault.page);
  const bool pinned = pte.state() == PageState::kWriting;
  const bool movable = !pinned && (IsStore(fault, pte) || stripe.OpensToStores(pte));
  // Moving back is cheapest, but loses the write-protect mark: it is for pages that may be written
  // and have no slot to keep, or are about to be written.
  const bool keep_clean = pte.state() == PageState::kStandby && !fault.write;
  if (movable && !keep_clean && RescueByMove(stripe, fault)) return Answer::kDone;
  const Answer answer = RescueByCopy(stripe, fault);
  if (answer == Answer::kNoMemory && movable && RescueByMove(stripe, fault)) {
    return Answer::kDone;
  }
  return answer;
}

// False where the kernel refuses (something still pins the page, another kind of mapping).
bool Shard::RescueByMove(Stripe& stripe, const Fault& fault) {
  if (!options_.use_move) return false;
  const PageIndex page = fault.page;
  const Pte pte = stripe.Load(page);
  const FrameIndex index = pte.frame();
  Frame& frame = frames_[index];
  const RunResult moved =
      platform_.Move(page, ParkedAt(frame), PageCount(1), WakeMode::kWake);
  if (moved.done.value() == 0) {
    USERPAGER_CHECK(moved.error != EEXIST, "a page is present whose content is parked",
                    AddressOf(page));
    return false;
  }
  RemoveParked(index);
  parking_[frame.executable()].Free(frame.place, PageCount(1));
  if (frame.slot != kNoSlot) page_file_.Free(frame.slot, PageCount(1));
  frame.slot = kNoSlot;
  frame.set_executable(false);
  frame.set_streamed(false);
  const Pte active = pte.With(PageState::kActiveDirty, index.value())
                         .WithQueued(false)
                         .WithWritten(pte.written() || IsStore(fault, pte));
  SetPte(stripe, page, active);
  EnterWorkingSet(index, active, pte.ahead() ? Arrival::kReadAhead : Arrival::kSoftFault);
  return true;
}

// The page gets a frame of its own; the parked one is discarded, or stays its transfer's.
Shard::Answer Shard::RescueByCopy(Stripe& stripe, const Fault& fault) {
  const Pte pte = stripe.Load(fault.page);
  if (Charge(PageCount(1), fault.urgent).value() == 0) return Answer::kNoMemory;
  const FrameIndex old = pte.frame();
  const bool clean = pte.state() == PageState::kStandby;
  const bool stores = !clean && IsStore(fault, pte);
  const bool writable = stores || (!clean && stripe.OpensToStores(pte));
  const RunResult copied = platform_.Copy(
      fault.page, platform_.Peek(ParkedAt(frames_[old])), PageCount(1),
      writable ? InstallMode::kWritable : InstallMode::kWriteProtected, WakeMode::kWake);
  if (copied.done.value() == 0) {
    ledger_.Return(PageCount(1));
    USERPAGER_CHECK(copied.error == ENOMEM || copied.error == EAGAIN || copied.error == ESRCH,
                    "a parked page could not be copied back", copied.error);
    return Answer::kNoMemory;
  }
  const FrameIndex fresh = frames_.Allocate(fault.page);
  if (pte.state() != PageState::kWriting) {
    RemoveParked(old);
    frames_[fresh].slot = frames_[old].slot;
    frames_[old].slot = kNoSlot;
    discard_.PushYoungest(frames_, old);
  }
  const Pte active = pte.With(clean ? PageState::kActiveClean : PageState::kActiveDirty,
                              fresh.value())
                         .WithQueued(false)
                         .WithWritten(pte.written() || stores);
  SetPte(stripe, fault.page, active);
  frames_[fresh].set_streamed(pte.ahead());
  EnterWorkingSet(fresh, active, pte.ahead() ? Arrival::kReadAhead : Arrival::kSoftFault);
  return Answer::kDone;
}

}  // namespace userpager
