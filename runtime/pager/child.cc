// Pager, ShardThread and Shard in a forked child that pages on its own.
//
// What it begins with: all of the parent's structures as they were when everything was held still,
// copies of all pages that were in memory, and the parent's file to read. What it has not: threads,
// descriptors that may be used, registrations, write protection, transfers under way.
//
// So what was being read is in its slot again, what was being written is modified again; each
// reservation is registered with a userfaultfd of the child's own, and what must be write-protected
// is. All of this before anybody touches the memory: the kernel would fill absent pages with zeros.
#include <errno.h>

#include <new>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/page_file/thread_engine.h"
#include "runtime/page_file/uring_engine.h"
#include "runtime/pager/for_each_stripe.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/pager/shard_thread.h"
#include "runtime/platform/descriptors.h"

namespace userpager {
namespace {

// Write protection goes over so many absent pages rather than by one more call.
constexpr PageCount kGap{16};

}  // namespace

void Pager::BeginInChild() {
  Arena::ReleaseAfterFork();
  page_file_.ReleaseAfterFork();
  recording_ = nullptr;  // its thread and its file are the parent's
  watchdog_.ForgetInChild();
  poller_.ForgetInChild();
  page_file_.BorrowInChild(loan_);
  CloseInChild();
  for (unsigned i = 0; i < options_.shards; ++i) shards_[i]->shard().EndTransfersInChild();
}

Errno Pager::OpenInChild(LogLine* error) {
  if (loan_.watched >= 0) {
    *error << "more than " << SlotLoans::kMost << " children have pages in its parent's page file";
    return EAGAIN;
  }
  mapped_in_child_ = PageCount(0);
  if (const Errno failed = page_file_.OpenInChild(error); failed != 0) return failed;
  if (options_.encrypt) {
    if (const Errno failed = Libcrypto::LockInChild(error); failed != 0) return failed;
  }
  for (unsigned i = 0; i < options_.shards; ++i) {
    if (const Errno failed = shards_[i]->OpenInChild(error); failed != 0) return failed;
  }
  return 0;
}

Errno Pager::AdoptInChild(Vad& vad, PageRange stays, LogLine* error) {
  for (size_t i = 0; i < vad.stripes.size(); ++i) {
    Stripe& stripe = vad.stripes[i];
    const Errno failed = shards_[stripe.shard]->AdoptStripe(stripe, SpaceOf(vad, i), stays,
                                                            &mapped_in_child_);
    if (failed == 0) continue;
    *error << "its memory at " << Hex{AddressOf(stripe.range.begin)} << " cannot be registered: "
           << ErrnoText{failed};
    return failed;
  }
  return 0;
}

Errno Pager::FinishInChild(LogLine* error) {
  PageCount charged;
  for (unsigned i = 0; i < options_.shards; ++i) {
    if (const Errno failed = shards_[i]->shard().AdoptParking(); failed != 0) {
      *error << "its parked pages cannot be registered: " << ErrnoText{failed};
      return failed;
    }
    charged += shards_[i]->shard().ChargedInChild();
  }
  frames_.BeginInChild(limit_at_fork_, charged, mapped_in_child_);
  return 0;
}

void Pager::ThawInChild() { ThawShards(); }

Errno Pager::StartInChild(void (*settled)(), LogLine* error) {
  Errno failed = StartThreads(error);
  if (failed == 0) failed = StartWatchdog(settled, error);
  if (failed == 0) return 0;
  for (unsigned i = 0; i < options_.shards; ++i) shards_[i]->Stop();
  poller_.Stop();
  return failed;
}

void ShardThread::ForgetInChild() {
  platform_.ForgetInChild();
  helper_.ForgetInChild();
  kick_ = -1;
  started_ = false;
  ended_count_ = 0;
  open_state_.store(0);
  stopping_.store(false);
  audit_asked_.store(false);
  watched_turns_ = suspected_ = 0;
  looks_waiting_ = looks_stalled_ = busy_audits_ = 0;
}

// The engine is made anew in its place, as it is referred to; nothing of the old one is touched.
Errno ShardThread::OpenInChild(LogLine* error) {
  if (const Errno failed = platform_.Open(options_.features, error, delivery_); failed != 0) {
    return failed;
  }
  if (io_ == IoEngineKind::kUring) {
    new (static_cast<UringEngine*>(own_engine_)) UringEngine();
  } else {
    new (static_cast<ThreadEngine*>(own_engine_)) ThreadEngine();
  }
  return OpenKick(error);
}

Errno ShardThread::AdoptStripe(Stripe& stripe, PageRange space, PageRange stays,
                               PageCount* mapped) {
  if (const Errno error = shard_->AdoptStripe(stripe, space, stays, mapped); error != 0) {
    return error;
  }
  CheckPresence(stripe);
  return 0;
}

// Somebody may have touched a page that was out between the fork and here: it holds zeros then, and
// what it held would be lost without a word.
void ShardThread::CheckPresence(const Stripe& stripe) const {
  const PageIndex end = stripe.range.end;
  PageIndex next = stripe.NextTouched(stripe.range.begin, end);
  while (next < end) {
    PageRange group = GroupOf(stripe, next, PageRange(next, end));
    while (group.end < end && stripe.NextTouched(group.end, end) == group.end) {
      group.end = GroupOf(stripe, group.end, PageRange(group.end, end)).end;
    }
    while (!group.empty()) {
      PageRange runs[64];
      const size_t count = platform_.FindPresent(group, runs, &group.begin);
      for (size_t i = 0; i < count; ++i) {
        for (PageIndex page = runs[i].begin; page < runs[i].end; ++page) {
          const Pte pte = stripe.Load(page);
          USERPAGER_CHECK(pte.mapped() || pte.foreign() || pte.state() == PageState::kLost,
                          "a page was touched between fork and the pager's handler in the child",
                          AddressOf(page));
        }
      }
    }
    next = stripe.NextTouched(group.end, end);
  }
}

void Shard::EndTransfersInChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  trace_.Forget();
  now_ns_ = NowNanoseconds();
  for (uint32_t index = 1; index <= transfers_.most(); ++index) {
    if (transfers_[index].kind == TransferKind::kFree) continue;
    if (transfers_[index].kind == TransferKind::kRead) {
      EndReadInChild(index);
    } else {
      EndWriteInChild(index);
    }
    transfers_.Free(index);
  }
  // Who waited is not here.
  for (; !queue_.empty(); queue_.PopFront()) {
    const PageIndex page = queue_.front().page;
    Stripe* stripe = stripes_.Find(page);
    if (stripe != nullptr) SetPte(*stripe, page, stripe->Load(page).WithQueued(false));
  }
  while (requests_ != nullptr) ArenaDelete(std::exchange(requests_, requests_->next));
  prefetches_ = unsent_count_ = 0;
  crowd_ = ReaderCrowd();
  careful_writes_ = write_failures_ = 0;
  next_write_ns_ = last_write_ns_ = stuck_turns_ = 0;
  turn_asked_ = false;
  answering_inline_ = nullptr;
  balancing_ = true;
  needs_peers_.store(false);
  wants_slots_.store(false);
}

void Shard::EndReadInChild(uint32_t index) {
  Transfer& transfer = transfers_[index];
  for (unsigned i = 0; i < transfer.count; ++i) {
    const PageIndex page = transfer.pages[i];
    if (Stripe* stripe = StripeReading(index, page); stripe != nullptr) {
      const Pte pte = stripe->Load(page).WithAhead(false).WithQueued(false);
      SetPte(*stripe, page, pte.With(PageState::kPagedOut, transfer.slot(i).value()));
    } else {
      page_file_.Free(transfer.slot(i), PageCount(1));
    }
    --reading_pages_;
  }
  buffers_.Give(transfer.buffer);
}

// The slots are being filled by the parent, for pages that the child has in memory.
void Shard::EndWriteInChild(uint32_t index) {
  Transfer& transfer = transfers_[index];
  for (unsigned i = 0; i < transfer.count; ++i) {
    if (transfer.kind == TransferKind::kWrite) {
      ParkedWriteDone(transfer, i, WriteOutcome::kPageGone);
      continue;
    }
    const PageIndex page = transfer.pages[i];
    const bool is_detached = (transfer.detached >> i & 1) != 0;
    const bool is_still_written = IsStillWritten(index, i);
    const FrameIndex frame = std::exchange(transfer.frames[i], kNoFrame);
    page_file_.Free(transfer.slot(i), PageCount(1));
    if (is_detached) {
      if (!LeaveToWrite(page, frame)) ReleaseFrame(frame);
    } else if (is_still_written) {
      Stripe* stripe = stripes_.Find(page);
      const Pte pte = stripe->Load(page).With(PageState::kActiveDirty, frame.value());
      frames_[frame].io = 0;
      SetPte(*stripe, page, pte);
      EnterWorkingSet(frame, pte, Arrival::kReturned);
    }
  }
  writing_pages_ -= PageCount(transfer.count);
  --writes_;
  writes_in_place_ -= transfer.kind == TransferKind::kWriteInPlace;
  sealed_.Give(transfer.buffer);
}

// Whether what is mapped there is no anonymous memory of the pager's.
bool Shard::IsKernels(Pte pte, const PlatformFeatures& features) {
  return pte.foreign() || (pte.state() == PageState::kLost && !features.poison);
}

Errno Shard::RegisterStripe(const Stripe& stripe, PageRange space) {
  PageIndex begin = space.begin;
  const PageIndex end = stripe.range.end;
  for (PageIndex page = stripe.NextTouched(space.begin, end); page < end;
       page = stripe.NextTouched(page + PageCount(1), end)) {
    if (!IsKernels(stripe.Load(page), options_.features)) continue;
    const PageRange before(begin, page);
    if (!before.empty()) {
      if (const Errno error = platform_.Register(before); error != 0) return error;
    }
    begin = page + PageCount(1);
  }
  const PageRange rest(begin, space.end);
  return rest.empty() ? 0 : platform_.Register(rest);
}

Errno Shard::AdoptStripe(Stripe& stripe, PageRange space, PageRange stays,
                         PageCount* mapped) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (const Errno error = RegisterStripe(stripe, space); error != 0) return error;
  PageRange run;  // to be write-protected
  Errno error = 0;
  const auto protect_run = [&] {
    if (!run.empty() && error == 0) error = platform_.WriteProtect(run);
    run = PageRange();
  };
  const PageIndex end = stripe.range.end;
  for (PageIndex page = stripe.NextTouched(stripe.range.begin, end); page < end;
       page = stripe.NextTouched(page + PageCount(1), end)) {
    Pte pte = stripe.Load(page);
    if (pte.locked() && !stays.Contains(page)) {
      KeepPage(stripe, page, pte.WithLocked(false));
      pte = stripe.Load(page);
    }
    const bool opens = pte.state() == PageState::kActiveDirty && stripe.OpensToStores(pte);
    if (pte.mapped()) ++*mapped;
    if (opens || IsKernels(pte, options_.features)) protect_run();
    if (opens || !pte.mapped()) continue;
    if (!run.empty() && page - run.end > kGap) protect_run();
    run = PageRange(run.empty() ? page : run.begin, page + PageCount(1));
  }
  protect_run();
  return error;
}

Errno Shard::AdoptParking() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (const ParkingArea& area : parking_) {
    if (!area.ready()) continue;
    if (const Errno error = platform_.Register(area.range()); error != 0) return error;
  }
  (void)DropDiscarded();
  return 0;
}

PageCount Shard::ChargedInChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  return frames_.in_use() + reading_pages_ + buffer_pages_;
}

}  // namespace userpager
