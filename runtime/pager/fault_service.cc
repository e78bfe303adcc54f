// Shard: answering faults that need no I/O (soft ones: soft_faults.cc), and the queue of those that
// must wait.
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/sync_point.h"
#include "runtime/pager/run_around.h"
#include "runtime/pager/shard.h"

namespace userpager {
namespace {

// Stale messages about one page in a row after which the kernel is asked whether the page is there.
constexpr unsigned kSuspiciousStaleMessages = 256;
// Pages that requests may bring in during one Step, so that faults get their turn.
constexpr unsigned kRequestPagesEachStep = 128;

}  // namespace

// The message is a hint; what is done depends on the PTE alone.
void Shard::OnFault(const FaultMessage& message) {
  const PageIndex page = PageOf(message.address);
  trace_.FaultBegan(page, message.thread_id, message.write);
  Stripe* stripe = stripes_.Find(page);
  if (stripe == nullptr) {
    for (const ParkingArea& area : parking_) {
      USERPAGER_CHECK(!area.ready() || !area.range().Contains(page),
                      "a parked page is missing", message.address);
    }
    // The address may belong to somebody else by now: a wake is all that may be done.
    ++counters_.stale_messages;
    platform_.Wake(PageRange(page, PageCount(1)));
    return;
  }
  const Fault fault{page,    message.write, message.write_protect, message.thread_id,
                    now_ns_, false};
  if (Service(*stripe, fault) == Answer::kNoMemory) Queue(*stripe, fault);
}

Shard::Answer Shard::Service(Stripe& stripe, const Fault& fault) {
  const Pte pte = stripe.Load(fault.page);
  if (pte.foreign()) {
    // The program's own mapping is taking the place, or has: the kernel answers.
    platform_.Wake(PageRange(fault.page, PageCount(1)));
    return Answer::kDone;
  }
  if (!pte.committed() || !pte.protection().AllowsAccess()) {
    if (pte.committed() && pte.protection().guard) {
      MeetGuard(stripe, fault);
    } else {
      Trap(stripe, fault.page);
    }
    return Answer::kDone;
  }
  switch (pte.state()) {
    case PageState::kDemandZero:
      // A write-protect message about a page that has left meanwhile: the thread asks again.
      if (fault.write_protect) break;
      return InstallZeros(stripe, fault);
    case PageState::kReading:
      AwaitRead(stripe, fault);
      return Answer::kUnderWay;
    case PageState::kActiveClean:
    case PageState::kActiveDirty:
    case PageState::kWritingInPlace:
      if (!fault.write_protect) break;
      if (!pte.protection().AllowsWrite()) {
        Trap(stripe, fault.page);
        return Answer::kDone;
      }
      if (pte.state() == PageState::kActiveDirty && stripe.OpensToStores(pte)) {
        // A message that came late, or a page whose protection was kept while it was to be parked.
        ++counters_.stale_messages;
        LiftProtection(PageRange(fault.page, PageCount(1)));
        return Answer::kDone;
      }
      return FirstWrite(stripe, fault);
    case PageState::kModified:
    case PageState::kWriting:
    case PageState::kStandby:
    case PageState::kOffered:
      if (fault.write_protect) break;
      return Rescue(stripe, fault);
    case PageState::kPagedOut:
      if (fault.write_protect) break;
      return StartRead(stripe, fault);
    case PageState::kLost: {
      const Errno error = platform_.Poison(fault.page);
      USERPAGER_CHECK(error == 0 || error == EEXIST || error == ENOMEM,
                      "a lost page could not be poisoned", error);
      platform_.Wake(PageRange(fault.page, PageCount(1)));
      return Answer::kDone;
    }
    case PageState::kReserved:
      break;
  }
  WakeStale(stripe, fault.page);
  return Answer::kDone;
}

// Nothing has to be done for the page any more. A page that is reported missing again and again
// although it is mapped was taken away behind the runtime's back, and with it what it held.
void Shard::WakeStale(Stripe& stripe, PageIndex page) {
  ++counters_.stale_messages;
  stale_count_ = page == stale_page_ ? stale_count_ + 1 : 1;
  stale_page_ = page;
  if (stale_count_ >= kSuspiciousStaleMessages && stripe.Load(page).mapped()) {
    stale_count_ = 0;
    USERPAGER_CHECK(platform_.IsPresent(page),
                    "a page vanished without the runtime: managed memory was unmapped, discarded or"
                    " moved by a system call that the runtime does not see",
                    AddressOf(page));
  }
  platform_.Wake(PageRange(page, PageCount(1)));
}

void Shard::Answered(FaultKind kind, const Fault& fault, PageRange run) {
  const unsigned index = static_cast<unsigned>(kind);
  const uint64_t now_ns = NowNanoseconds();
  ++counters_.faults[index];
  counters_.latency[index].Record(now_ns - fault.seen_ns);
  counters_.longest_wait.Note(now_ns - fault.seen_ns);
  if (options_.samples != nullptr && options_.samples->IsNext()) TellSample(fault.page);
  trace_.FaultEnded(kind, fault.page, run, fault.thread_id, fault.seen_ns, now_ns);
}

void Shard::TellSample(PageIndex page) {
  const Stripe* stripe = stripes_.Find(page);
  if (stripe == nullptr) return;
  options_.samples->Tell({stripe->range.begin.value(), stripe->range.count().value()});
}

// The pages around `page` that are demand-zero as well and want the same kind of mapping.
PageRange Shard::ZeroRun(Stripe& stripe, PageIndex page, bool writable) {
  const PageRange plan = zero_streams_.OnFault(page, stripe.range).range;
  const auto fits = [&](PageIndex neighbour) {
    const Pte pte = stripe.Load(neighbour);
    return pte.state() == PageState::kDemandZero && !pte.trapped() &&
           pte.protection().AllowsAccess() && stripe.OpensToStores(pte) == writable;
  };
  return RunAround(page, plan, fits);
}

Shard::Answer Shard::InstallZeros(Stripe& stripe, const Fault& fault) {
  const Pte first = stripe.Load(fault.page);
  const bool stores = IsStore(fault, first);
  const bool writable = stores || stripe.OpensToStores(first);
  PageRange run = ZeroRun(stripe, fault.page, writable);
  // Zeros that nobody asked for must not push out what somebody needs.
  const PageCount most(std::max<uint64_t>(1, ledger_.free().value() / 4));
  if (run.count() > most) {
    run = PageRange(fault.page, std::min(run.end, fault.page + most));
  }
  const PageCount charged = Charge(run.count(), fault.urgent);
  if (charged.value() == 0) return Answer::kNoMemory;
  if (charged < run.count()) run = PageRange(fault.page, std::min(run.end, fault.page + charged));
  const InstallMode mode = writable ? InstallMode::kWritable : InstallMode::kWriteProtected;
  USERPAGER_SYNC_POINT("fault:before_zeros", AddressOf(fault.page));
  RunResult result = platform_.CopyZeros(run.begin, run.count(), mode, WakeMode::kWake);
  if (result.done.value() == 0 && result.error != ENOMEM && run.count().value() > 1) {
    // Some neighbour is in the way (the border of a mapping): the page alone.
    run = PageRange(fault.page, PageCount(1));
    result = platform_.CopyZeros(run.begin, run.count(), mode, WakeMode::kWake);
  }
  ledger_.Return(charged - result.done);
  run.end = run.begin + result.done;
  for (PageIndex page = run.begin; page < run.end; ++page) {
    const FrameIndex frame = frames_.Allocate(page);
    const Pte before = stripe.Load(page);
    const Pte pte = before.With(PageState::kActiveDirty, frame.value())
                        .WithQueued(false)
                        .WithWritten(before.written() || (stores && page == fault.page));
    SetPte(stripe, page, pte);
    EnterWorkingSet(frame, pte, Arrival::kDemandZero);
  }
  if (!run.Contains(fault.page)) {
    USERPAGER_CHECK(result.error == ENOMEM || result.error == EAGAIN || result.error == ESRCH,
                    "zeros could not be installed (EEXIST: a page is there that the runtime knows"
                    " nothing of)",
                    result.error);
    return Answer::kNoMemory;
  }
  zero_streams_.OnDone(run);
  counters_.zero_pages.Add(run.count().value());
  Answered(FaultKind::kDemandZero, fault, run);
  return Answer::kDone;
}

void Shard::LiftProtection(PageRange range) {
  const Errno error = platform_.Unprotect(range, WakeMode::kWake);
  USERPAGER_CHECK(error == 0 || error == ESRCH, "write protection could not be lifted", error);
}

// A store to a page that is write-protected because the page file has the same content, or is about
// to (from now on it does not), or because writes are watched.
Shard::Answer Shard::FirstWrite(Stripe& stripe, const Fault& fault) {
  const PageRange plan = write_streams_.OnFault(fault.page, stripe.range).range;
  PageRange run(fault.page, PageCount(1));
  const auto fits = [&](PageIndex neighbour) {
    const Pte pte = stripe.Load(neighbour);
    return pte.state() == PageState::kActiveClean && !pte.trapped() &&
           stripe.OpensToStores(pte);
  };
  if (stripe.Load(fault.page).state() == PageState::kActiveClean) {
    run = RunAround(fault.page, plan, fits);
  }
  write_streams_.OnDone(run);
  MakeDirty(stripe, run);
  Answered(FaultKind::kWriteProtect, fault, run);
  return Answer::kDone;
}

// Pages that are mapped and may be written: none is write-protected afterwards.
void Shard::MakeDirty(Stripe& stripe, PageRange run) {
  for (PageIndex page = run.begin; page < run.end; ++page) {
    const Pte pte = stripe.Load(page);
    if (pte.state() == PageState::kActiveDirty && stripe.OpensToStores(pte)) continue;
    Frame& frame = frames_[pte.frame()];
    SetPte(stripe, page, pte.With(PageState::kActiveDirty, pte.frame().value()).WithWritten(true)
                             .WithAhead(false));
    if (pte.ahead()) {
      ++counters_.ahead_pages_used;
      trace_.Add(TraceKind::kAheadUsed, PageRange(page, PageCount(1)), now_ns_);
    }
    if (pte.state() == PageState::kWritingInPlace) {
      // The slot stays the transfer's; the page no longer names it.
      frame.io = 0;
      EnterWorkingSet(pte.frame(), pte, Arrival::kSoftFault);
    } else if (pte.state() == PageState::kActiveClean) {
      page_file_.Free(frame.slot, PageCount(1));
      frame.slot = kNoSlot;
    }
  }
  LiftProtection(run);
}

void Shard::Queue(Stripe& stripe, const Fault& fault) {
  const Pte pte = stripe.Load(fault.page);
  if (pte.queued()) return;
  if (queue_.full()) {
    platform_.Wake(PageRange(fault.page, PageCount(1)));
    return;
  }
  ++counters_.queued_faults;
  SetPte(stripe, fault.page, pte.WithQueued(true));
  queue_.Push({fault.page, fault.write, fault.thread_id, fault.seen_ns});
  AskPeers();
}

// First come, first served. Where nothing is under way that could free memory, the first one may
// use the reserve.
void Shard::RetryQueued() {
  while (!queue_.empty()) {
    const QueuedFault waiting = queue_.front();
    Stripe* stripe = stripes_.Find(waiting.page);
    if (stripe != nullptr) {
      const Pte pte = stripe->Load(waiting.page);
      if (pte.queued()) SetPte(*stripe, waiting.page, pte.WithQueued(false));
      const bool urgent = transfers_.under_way() == 0;
      const Fault fault{waiting.page,      waiting.write,   false,
                        waiting.thread_id, waiting.seen_ns, urgent};
      const Answer answer = Service(*stripe, fault);
      if (answer == Answer::kNoMemory) {
        SetPte(*stripe, waiting.page, stripe->Load(waiting.page).WithQueued(true));
        AskPeers();
        return;
      }
      // Whatever it was answered with.
      if (answer == Answer::kDone) counters_.longest_wait.Note(NowNanoseconds() - waiting.seen_ns);
    }
    stuck_turns_ = 0;
    queue_.PopFront();
  }
}

// Returns whether a request could go on at once.
bool Shard::AdvanceRequests() {
  bool work_left = false;
  BringInRequest** link = &requests_;
  while (*link != nullptr) {
    BringInRequest* request = *link;
    const PageIndex before = request->range.begin;
    const bool finished = request->kind == BringInKind::kPrefetch ? AdvancePrefetch(*request)
                                                                  : AdvanceRequest(*request);
    if (finished || request->range.begin != before) stuck_turns_ = 0;
    if (finished) {
      FinishRequest(link, request->error);
    } else {
      work_left |= request->range.begin - before >= PageCount(kRequestPagesEachStep);
      link = &request->next;
    }
  }
  return work_left;
}

void Shard::FinishRequest(BringInRequest** link, Errno error) {
  BringInRequest* request = *link;
  *link = request->next;
  if (request->kind == BringInKind::kPrefetch) {
    --prefetches_;
    ArenaDelete(request);
    return;
  }
  request->error = error;
  request->done.store(1, std::memory_order_release);
  syscall(SYS_futex, &request->done, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// True when the request is finished.
bool Shard::AdvanceRequest(BringInRequest& request) {
  for (unsigned i = 0; i < kRequestPagesEachStep; ++i) {
    // What belongs to other shards, or to nobody, is passed over.
    const auto entry = stripes_.FindAtOrAfter(request.range.begin);
    if (entry.value == nullptr || entry.range.begin >= request.range.end) return true;
    const PageIndex page = std::max(request.range.begin, entry.range.begin);
    request.range.begin = page;
    if (request.range.empty()) return true;
    Stripe* stripe = entry.value;
    {
      const Pte pte = stripe->Load(page);
      if (pte.state() == PageState::kLost) request.error = EIO;
      const bool wanted = pte.committed() && pte.protection().AllowsAccess() && !pte.mapped() &&
                          pte.state() != PageState::kLost;
      if (wanted) {
        const Fault fault{page, false, false, 0, NowNanoseconds(), transfers_.under_way() == 0};
        if (pte.queued() || Service(*stripe, fault) != Answer::kDone) return false;
      }
    }
    ++request.range.begin;
  }
  return request.range.empty();
}

}  // namespace userpager
