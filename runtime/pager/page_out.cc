// Shard: freeing memory ahead of demand. Cold pages are moved out of the working set into the
// parking area, the dirty ones among them are written (write_out.cc), and clean parked ones are
// dropped.
#include <errno.h>

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/sync_point.h"
#include "runtime/pager/copy_charge.h"
#include "runtime/pager/shard.h"
#include "runtime/platform/address_map.h"

namespace userpager {
namespace {

constexpr PageCount kLongestTrimRun{64};
// Runs that one call of Balance takes out of the working set before faults get their turn again.
constexpr unsigned kTrimRunsEachStep = 4;
// Runs of clean pages that one call of the kernel takes.
constexpr unsigned kRunsLeavingTogether = 16;
// Victims that are looked at in one go where most cannot leave.
constexpr unsigned kVictimsEachStep = 512;
// The youngest pages stay, however short memory is: a thread must get to use what it has just been
// given, or it asks for it for ever.
constexpr PageCount kLeastWorkingSet{8};
constexpr PageCount kDropsEachStep{256};
// While the program waits for the disk, no longer than it does.
constexpr PageCount kDropsEachWait{32};
// Pages that may be parked to see whether they are used, for each page that is dropped: where the
// program goes on touching what is parked, that must not cost it more than memory is worth.
constexpr uint64_t kParkedForEachDropped = 16;

// Free slots are few when they are a cluster, or one in so many of a small page file.
constexpr uint64_t kFewSlots = 16;
// How far writes may lag behind.
constexpr PageCount kMostDue{4 * kTransferPages};
// Units of Frame::parked_at in the time in which all memory is parked once.
constexpr uint64_t kParkedAtUnits = 16;

// Free memory is kept between these: page-out begins below the low one and goes on to the high one.
PageCount LowWatermark(PageCount limit) {
  return PageCount(std::clamp<uint64_t>(limit.value() / 128, 4, 1024));
}
PageCount HighWatermark(PageCount limit) {
  return PageCount(2 * LowWatermark(limit).value());
}
// Parked pages that need no write any more are kept ready for what the high watermark will ask for.
PageCount CleanReserve(PageCount limit) {
  return PageCount(2 * HighWatermark(limit).value());
}
// Without MOVE a page leaves when it is written: more are on their way than memory is wanted for.
PageCount WrittenAhead(PageCount limit) {
  return PageCount(std::max<uint64_t>(limit.value() / 16, 4));
}

}  // namespace

// How many pages should become free now.
PageCount Shard::MemoryWanted() const {
  const PageCount limit = ledger_.limit();
  const PageCount free = ledger_.free();
  const PageCount charged = ledger_.charged();
  const PageCount high =
      HighWatermark(limit) + PageCount(2 * options_.shard_count + queue_.count());
  PageCount wanted = free < high ? high - free : PageCount(0);
  if (charged > limit) wanted += charged - limit;
  return wanted;
}

// Below which page-out begins.
PageCount Shard::LowMark() const {
  return LowWatermark(ledger_.limit()) + PageCount(2 * options_.shard_count);
}

// Page-out is done while the program waits for the disk anyway, in turns in which nothing else came
// (what was begun for faults has been sent to the disk then). Only where memory is about to run out
// is it done at once, at the cost of whoever runs on this CPU. Returns whether there is more to do.
bool Shard::KeepBalance(bool has_faults) {
  const PageCount low = LowMark();
  const PageCount free = ledger_.free();
  if (free.value() < low.value() / 2 || HasWaiters()) balancing_ = true;
  if (balancing_) return Balance(kDropsEachStep);
  if (reading_pages_.value() == 0 || (free >= low && ToBeParked().value() == 0)) return false;
  if (has_faults) return true;
  (void)Balance(free < low ? kDropsEachWait : PageCount(0));
  return false;
}

// Returns whether more can be done at once.
bool Shard::Balance(PageCount most_drops) {
  const PageCount wanted = MemoryWanted();
  if (wanted.value() == 0 && ToBeParked().value() == 0) {
    balancing_ = false;
    return false;
  }
  bool progress = DropDiscarded();
  // What the program has offered goes before anything is paged out.
  if (GiveUpOffered(std::min(wanted, most_drops))) return MemoryWanted().value() > 0;
  // And what a stream is done with before anything that may be touched where it is parked, and what
  // would be touched there no more than anywhere else.
  if (policy_->DropsVictim()) {
    progress |= TrimWorkingSet(std::min(wanted, most_drops), Victims::kDroppedFirst);
  }
  const PageCount still_wanted = std::min(MemoryWanted(), most_drops);
  if (!standby_.empty()) progress |= DropOldest(nullptr, still_wanted);
  // Without MOVE first: pages that are written from where they are would take all the buffers.
  if (!options_.use_move) progress |= WriteParked();
  if (const PageCount more = ToBeParked(); more.value() > 0) {
    progress |= TrimWorkingSet(more, Victims::kAll);
  }
  progress |= WriteParked();
  if (!progress && wanted.value() > 0) AskPeers();
  // Where nothing is left to free, nobody waits and the limit holds, the next fault tries again.
  if (!progress && transfers_.under_way() == 0 && queue_.empty() && !IsOverLimit()) {
    balancing_ = false;
  }
  return progress && (MemoryWanted().value() > 0 || ToBeParked().value() > 0);
}

// Parked pages are written when memory will be wanted for them soon, not before: the disk is slower
// for those who wait for it. They are, too, as their turn comes: were only clean pages dropped
// while there are some, what was written once and is not used any more would fill memory.
//
// A cluster is full, but where memory is short and nothing else is on its way: what is parked
// meanwhile makes the next one. To wait for more would be to wait for ever where the program
// fetches back what was parked. Without MOVE few pages are ever parked, and none may stay for want
// of company.
bool Shard::IsWorthWriting() const {
  const PageCount pages = modified_.count();
  if (pages.value() == 0) return false;
  const PageCount wanted = MemoryWanted();
  const PageCount clean = standby_.count() + writing_pages_;
  const PageCount cluster = std::min(PageCount(kTransferPages), HighWatermark(ledger_.limit()));
  const bool is_time = clean < wanted + CleanReserve(ledger_.limit()) || write_due_ >= cluster;
  if (pages >= cluster && is_time) return true;
  const bool is_short = ledger_.free() + standby_.count() < wanted;
  if (!options_.use_move) return is_short;
  return is_short && (writes_ == 0 || WritesAreStuck());
}

// Returns whether any write was begun.
bool Shard::WriteParked() {
  bool any = false;
  while (writes_ < kMostWrites && IsWorthWriting() && StartWrite()) any = true;
  return any;
}

// How many pages should leave the working set: until as many are parked as memory is wanted for,
// and as the policy wants to see parked, as far as pages that were dropped have earned it. The same
// pages serve for both: were they added up, a program that writes would have pages parked for as
// long as writes are under way, and would fetch them back one by one.
PageCount Shard::ToBeParked() {
  // Modified pages without a slot to go to are no step towards free memory.
  const PageCount on_their_way = HasFreeSlots() ? modified_.count() : PageCount(0);
  const PageCount written = WritesAreStuck() ? PageCount(0) : writing_pages_;
  const PageCount parked = on_their_way + standby_.count() + written;
  PageCount target = MemoryWanted();
  if (options_.use_move && !crowd_.is_there()) {
    target = std::max(target, std::min(policy_->ParkTarget(unmapped_), parked + park_credit_));
  } else if (target.value() > 0) {
    target += WrittenAhead(ledger_.limit());
  }
  return target > parked ? target - parked : PageCount(0);
}

// Somebody waits for memory, and no write has begun or ended for long: what is being written is no
// memory that is on its way. Others are begun beside it, one each time.
bool Shard::WritesAreStuck() const {
  return writes_ > 0 && HasWaiters() && now_ns_ - last_write_ns_ >= kStuckWriteNs;
}

bool Shard::IsOverLimit() const { return ledger_.charged() > ledger_.limit(); }

// And no more are to be had.
bool Shard::SlotsAreScarce() const {
  const PageCount most = page_file_.max_usable();
  const PageCount few(std::min<uint64_t>(kTransferPages, most.value() / kFewSlots));
  return page_file_.usable() >= most && page_file_.used() + few >= most;
}

bool Shard::HasFreeSlots() const { return page_file_.used() < page_file_.usable(); }

// Takes about `goal` pages out of the working set. Returns whether any left.
bool Shard::TrimWorkingSet(PageCount goal, Victims victims) {
  PageCount gone;
  unsigned looked_at = 0;
  unsigned runs = 0;
  PageRange leaving[kRunsLeavingTogether];
  size_t leaving_runs = 0;
  PageCount leaving_pages;
  // Without a free slot, or while the next try after a failed write is waited for, a dirty page has
  // nowhere to go: only clean ones are of use. Where slots are missing, the commit limit sees to it
  // that there are some.
  const bool clean_only = !HasFreeSlots() || now_ns_ < next_write_ns_;
  if (!HasFreeSlots() && page_file_.usable() < page_file_.max_usable()) {
    wants_slots_.store(true, std::memory_order_relaxed);
  }
  while (gone + leaving_pages < goal && runs < kTrimRunsEachStep &&
         leaving_runs < kRunsLeavingTogether && looked_at < kVictimsEachStep) {
    const FrameIndex victim = policy_->Victim(unmapped_);
    if (victim == kNoFrame || (!clean_only && policy_->count() <= kLeastWorkingSet)) break;
    ++looked_at;
    const PageIndex page = frames_[victim].page();
    Stripe* stripe = stripes_.Find(page);
    USERPAGER_CHECK(stripe != nullptr, "the working set has a page of no stripe", AddressOf(page));
    const Pte pte = stripe->Load(page);
    const bool hidden = pte.trapped() && !pte.protection().AllowsAccess();
    if (hidden || (clean_only && pte.state() == PageState::kActiveDirty)) {
      policy_->Spare(victim);
      continue;
    }
    const bool at_once = LeavesAtOnce(pte);
    if (victims == Victims::kDroppedFirst && !(at_once && policy_->DropsVictim())) break;
    const bool by_parking = options_.use_move && !at_once;
    if (!by_parking && MemoryWanted() <= leaving_pages) break;
    const PageRange run = clean_only ? PageRange(page, PageCount(1)) : ColdRun(*stripe, page);
    if (at_once) {
      LeaveTogether(*stripe, run);
      leaving[leaving_runs++] = run;
      leaving_pages += run.count();
      continue;
    }
    ++runs;
    gone += by_parking ? Park(*stripe, run) : EvictInPlace(*stripe, run);
    // What could not leave was spared and is not the next victim.
    if (policy_->Victim(unmapped_) == victim) policy_->Spare(victim);
  }
  DropClean({leaving, leaving_runs});
  park_credit_ -= std::min(park_credit_, gone);
  if (victims == Victims::kDroppedFirst) EarnParking(leaving_pages);
  return gone + leaving_pages > PageCount(0);
}

// A clean page that gets no second chance on the standby list: one that came by readahead, as its
// stream is past it and does not come back; one of which the policy would learn nothing; and any
// that has not earned it, where there are many that wait for this thread to have the time.
bool Shard::LeavesAtOnce(Pte pte) const {
  return pte.state() == PageState::kActiveClean &&
         (frames_[pte.frame()].streamed() || policy_->LeavesUnasked(pte.frame()) ||
          (crowd_.is_there() && !policy_->MustBeAsked(pte.frame())));
}

// The victim and its neighbours that are cold as well and can leave by the same call.
PageRange Shard::ColdRun(Stripe& stripe, PageIndex page) {
  const Pte first = stripe.Load(page);
  const bool at_once = LeavesAtOnce(first);
  const auto fits = [&](PageIndex neighbour) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Pte pte = stripe.Load(neighbour);
    return (pte.state() == PageState::kActiveClean || pte.state() == PageState::kActiveDirty) &&
           !pte.stays() && !pte.trapped() &&
           frames_[pte.frame()].list() == FrameListId::kWorkingSet &&
           policy_->LeavesWith(pte.frame(), first.frame()) &&
           LeavesAtOnce(pte) == at_once &&
           pte.protection().AllowsExecute() == first.protection().AllowsExecute();
  };
  PageRange run(page, PageCount(1));
  while (run.end < stripe.range.end && run.count() < kLongestTrimRun && fits(run.end)) ++run.end;
  while (run.begin > stripe.range.begin && run.count() < kLongestTrimRun &&
         fits(run.begin - PageCount(1))) {
    --run.begin;
  }
  return run;
}

// The run is no longer to be chosen, and keeps its memory until DropClean.
void Shard::LeaveTogether(Stripe& stripe, PageRange run) {
  for (PageIndex page = run.begin; page < run.end; ++page) {
    Untrap(stripe, page);
    const Pte pte = stripe.Load(page);
    const bool unasked = !frames_[pte.frame()].streamed() && policy_->LeavesUnasked(pte.frame());
    if (unasked) policy_->LeftUnasked();
    SetPte(stripe, page, LeaveWorkingSet(pte.frame(), pte));
  }
}

// Moves pages that are mapped into the parking area. Returns how many are there now.
PageCount Shard::Park(Stripe& stripe, PageRange run) {
  for (PageIndex page = run.begin; page < run.end; ++page) Untrap(stripe, page);
  return options_.use_move ? ParkByMove(stripe, run) : ParkByCopy(stripe, run);
}

PageCount Shard::ParkByMove(Stripe& stripe, PageRange run) {
  const bool executable = stripe.Load(run.begin).protection().AllowsExecute();
  ParkingArea* area = Parking(executable);
  if (area == nullptr) return PageCount(0);
  PageCount gone;
  PageIndex page = run.begin;
  PageCount step = run.count();
  while (page < run.end) {
    const PlaceRun places = area->Allocate(std::min(step, run.end - page));
    USERPAGER_SYNC_POINT("page_out:before_move", AddressOf(page));
    const RunResult moved =
        platform_.Move(area->PageAt(places.first), page, places.count, WakeMode::kNoWake);
    USERPAGER_SYNC_POINT("page_out:moved", AddressOf(page));
    if (moved.done < places.count) {
      area->Free(places.first + static_cast<uint32_t>(moved.done.value()),
                 places.count - moved.done);
    }
    if (moved.done.value() > 0) {
      trace_.Add(TraceKind::kParked, PageRange(page, moved.done), now_ns_);
    }
    for (uint64_t i = 0; i < moved.done.value(); ++i) {
      ParkedPage(stripe, page, places.first + static_cast<uint32_t>(i), executable);
      ++page;
    }
    gone += moved.done;
    if (moved.done.value() > 0) continue;
    if (places.count.value() > 1) {
      // Which page refuses, and why, shows when each goes alone.
      step = PageCount(1);
      continue;
    }
    USERPAGER_CHECK(moved.error != ENOENT || platform_.IsPresent(page),
                    "a page vanished without the runtime: managed memory was unmapped, discarded or"
                    " moved by a system call that the runtime does not see",
                    AddressOf(page));
    if (forks_ > 0 && moved.error == EBUSY && ParkShared(stripe, page).value() == 1) {
      ++gone;
      ++page;
      continue;
    }
    // Pinned by a device or another process (EBUSY), or locked by mlock (EINVAL): it stays.
    ++counters_.pinned_pages;
    const FrameIndex frame = stripe.Load(page).frame();
    if (frames_[frame].list() == FrameListId::kWorkingSet) policy_->Spare(frame);
    ++page;
  }
  return gone;
}

// Without MOVE: stores are held off, the page is copied, its memory given back. One more page is
// charged while both exist, and longer where a write in place keeps the original.
PageCount Shard::ParkByCopy(Stripe& stripe, PageRange run) {
  PageCount gone;
  ParkingArea* area = Parking(false);
  for (PageIndex page = run.begin; page < run.end; ++page) {
    CopyCharge charge(ledger_, buffers_, platform_, writes_in_place_ == 0);
    if (!charge.is_there()) break;
    const PageRange one(page, PageCount(1));
    const PlaceRun place = area->Allocate(PageCount(1));
    USERPAGER_SYNC_POINT("page_out:before_move", AddressOf(page));
    Errno error = platform_.WriteProtect(one);
    USERPAGER_SYNC_POINT("page_out:protected", AddressOf(page));
    if (error == 0) {
      error = platform_.Copy(area->PageAt(place.first), platform_.Peek(page), PageCount(1),
                             InstallMode::kWritable, WakeMode::kNoWake)
                  .error;
    }
    if (error != 0) {
      area->Free(place.first, PageCount(1));
      const Pte pte = stripe.Load(page);
      if (pte.state() == PageState::kActiveDirty && stripe.OpensToStores(pte)) {
        LiftProtection(one);
      }
      break;
    }
    error = platform_.Discard(one);
    USERPAGER_CHECK(error == 0, "a page that was copied could not be discarded", error);
    const Pte pte = stripe.Load(page);
    const FrameIndex old = pte.frame();
    if (LeaveToWrite(page, old)) {
      const FrameIndex fresh = frames_.Allocate(page);
      frames_[fresh].slot = std::exchange(frames_[old].slot, kNoSlot);
      const PageState state = pte.state() == PageState::kActiveClean ? PageState::kActiveClean
                                                                     : PageState::kActiveDirty;
      SetPte(stripe, page, LeaveWorkingSet(old, pte).With(state, fresh.value()));
      charge.Keep();
    }
    USERPAGER_SYNC_POINT("page_out:moved", AddressOf(page));
    trace_.Add(TraceKind::kParked, one, now_ns_);
    ParkedPage(stripe, page, place.first, false);
    ++gone;
  }
  return gone;
}

// The page's content is at the place and nowhere else in memory.
void Shard::ParkedPage(Stripe& stripe, PageIndex page, uint32_t place, bool executable) {
  const FrameIndex index = stripe.Load(page).frame();
  const Pte pte = LeaveWorkingSet(index, stripe.Load(page));
  Frame& frame = frames_[index];
  frame.place = place;
  frame.set_executable(executable);
  StampParked(index);
  LeftUnused(page, pte);
  const Pte parked = pte.WithAhead(false);
  if (pte.state() == PageState::kActiveClean) {
    SetPte(stripe, page, parked.With(PageState::kStandby, index.value()));
    standby_.PushYoungest(frames_, index, PageHistory(pte.history()).on_trial());
  } else if (IsZero(platform_.Peek(ParkedAt(frame)))) {
    SetPte(stripe, page, parked.With(PageState::kDemandZero));
    discard_.PushYoungest(frames_, index);
    ++counters_.zero_pages_dropped;
    trace_.Add(TraceKind::kZerosDropped, PageRange(page, PageCount(1)), now_ns_);
  } else {
    SetPte(stripe, page, parked.With(PageState::kModified, index.value()));
    modified_.PushYoungest(frames_, index);
  }
}

void Shard::StampParked(FrameIndex frame) {
  const uint64_t unit = std::max<uint64_t>(ledger_.limit().value() / kParkedAtUnits, 1);
  frames_[frame].set_parked_at(
      static_cast<uint32_t>(++times_parked_ / unit % Frame::kParkedAtValues));
}

// By a unit of the stamps at least.
bool Shard::WasParkedBefore(FrameIndex one, FrameIndex other) const {
  const uint32_t later = (frames_[other].parked_at() - frames_[one].parked_at()) %
                         Frame::kParkedAtValues;
  return later != 0 && later < Frame::kParkedAtValues / 2;
}

// From the list that it is on: nothing is written from it now.
void Shard::RemoveParked(FrameIndex frame) {
  const FrameListId id = frames_[frame].list();
  switch (id) {
    case FrameListId::kModified: modified_.Remove(frames_, frame); return;
    case FrameListId::kStandby:
    case FrameListId::kTrial: standby_.Remove(frames_, frame); return;
    default: break;
  }
  const unsigned priority =
      static_cast<unsigned>(id) - static_cast<unsigned>(FrameListId::kOffered);
  USERPAGER_CHECK(priority < kOfferPriorities, "a page is not on a list of parked pages",
                  static_cast<unsigned>(id));
  offered_[priority].Remove(frames_, frame);
}

PageIndex Shard::ParkedAt(const Frame& frame) const {
  return parking_[frame.executable()].PageAt(frame.place);
}

// The parking area for pages of the kind, or nullptr where there is no address space for it.
ParkingArea* Shard::Parking(bool executable) {
  if (!parking_[executable].ready() && OpenParking(executable) != 0) return nullptr;
  return &parking_[executable];
}

// Registered for missing pages: a fault inside would mean that a parked page is gone, and OnFault
// stops the program then, where an unregistered area would silently give zeros.
Errno Shard::OpenParking(bool executable) {
  const PageCount space = ParkingArea::SpaceFor(options_.most_frames);
  PageIndex base;
  if (const Errno error = MapOwn(space, executable, &base); error != 0) return error;
  Errno error = platform_.Register(PageRange(base, space));
  if (error == 0) error = parking_[executable].Init(base, options_.most_frames);
  if (error == 0) parking_begin_[executable].store(base.value(), std::memory_order_relaxed);
  if (error != 0) (void)Unmap(PageRange(base, space));
  return error;
}

// Of the kind that the policy names, where there is one of it.
FrameIndex Shard::NextToDrop() {
  const bool on_trial = policy_->DropsTrial(unmapped_);
  const FrameIndex frame = standby_.oldest(on_trial);
  return frame != kNoFrame ? frame : standby_.oldest(!on_trial);
}

// Forgets the oldest pages of a list of offered ones; without one, standby pages, which the page
// file has, as the policy says. Whether there were any.
bool Shard::DropOldest(FrameList* offered, PageCount most) {
  FrameIndex dropped[kTransferPages];
  PageCount total;
  unsigned count = 0;
  PageRunTrace told(trace_, TraceKind::kDropped, now_ns_);
  do {
    count = 0;
    while (count < kTransferPages && total < most) {
      const FrameIndex index = offered != nullptr ? offered->oldest() : NextToDrop();
      if (index == kNoFrame) break;
      if (offered == nullptr) told.Add(frames_[index].page());
      DropParked(index);
      dropped[count++] = index;
      ++total;
    }
    FreeParked({dropped, count});
  } while (count == kTransferPages && total < most);
  return total.value() > 0;
}

// The page of a frame whose content is not needed in memory, or not at all, has none from now on.
void Shard::DropParked(FrameIndex index) {
  const PageIndex page = frames_[index].page();
  Stripe* stripe = stripes_.Find(page);
  USERPAGER_CHECK(stripe != nullptr, "a list of parked pages has a page of no stripe",
                  AddressOf(page));
  RemoveParked(index);
  const Pte pte = stripe->Load(page);
  LeftUnused(page, pte);
  if (pte.state() == PageState::kOffered) {
    SetPte(*stripe, page, pte.With(PageState::kDemandZero).WithGivenUp(true).WithAhead(false));
    return;
  }
  policy_->Dropped(PageHistory(pte.history()));
  if (!modified_.empty() && !WasParkedBefore(index, modified_.oldest())) {
    write_due_ = std::min(write_due_ + PageCount(1), kMostDue);
  }
  SetPte(*stripe, page,
         pte.With(PageState::kPagedOut, frames_[index].slot.value()).WithAhead(false));
  ++counters_.clean_pages_dropped;
  EarnParking(PageCount(1));
}

void Shard::EarnParking(PageCount dropped) {
  const PageCount most(kParkedForEachDropped * HighWatermark(ledger_.limit()).value());
  park_credit_ = std::min(park_credit_ + PageCount(kParkedForEachDropped * dropped.value()), most);
}

bool Shard::DropDiscarded() {
  FrameIndex dropped[kTransferPages];
  bool any = false;
  while (!discard_.empty()) {
    unsigned count = 0;
    while (count < kTransferPages && !discard_.empty()) {
      dropped[count] = discard_.oldest();
      discard_.Remove(frames_, dropped[count++]);
    }
    FreeParked({dropped, count});
    any = true;
  }
  return any;
}

// Gives the memory of parked frames that are on no list back to the kernel, neighbours by one call,
// then their charges.
void Shard::FreeParked(std::span<const FrameIndex> dropped) {
  PageRange ranges[kTransferPages];
  size_t count = 0;
  for (const FrameIndex index : dropped) {
    const PageIndex at = ParkedAt(frames_[index]);
    if (count > 0 && ranges[count - 1].end == at) {
      ++ranges[count - 1].end;
    } else {
      ranges[count++] = PageRange(at, PageCount(1));
    }
  }
  const Errno error = platform_.DiscardAll({ranges, count});
  USERPAGER_CHECK(error == 0, "parked pages could not be discarded", error);
  for (const FrameIndex index : dropped) {
    const Frame& frame = frames_[index];
    parking_[frame.executable()].Free(frame.place, PageCount(1));
    ReleaseFrame(index);
  }
}

}  // namespace userpager
