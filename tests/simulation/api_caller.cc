#include "tests/simulation/api_caller.h"

#include <errno.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/pager/pager.h"

namespace userpager::simulation {
namespace {

constexpr uint64_t kLimitPatienceNs = 5'000'000'000;
// Longer than Pager's: a call that gives up in the end does so after fewer of them.
constexpr uint64_t kNapNs = 5'000'000;
constexpr size_t kMostRequests = 3;
// Slots that a failing store may take out of service behind the back of the commit limit.
constexpr uint64_t kSlotsForFailures = 32;

constexpr Protection kReadWrite{BaseProtection::kReadWrite};
constexpr Protection kReadOnly{BaseProtection::kReadOnly};
constexpr Protection kNoAccess{BaseProtection::kNoAccess};
constexpr Protection kGuarded{BaseProtection::kReadWrite, true};
constexpr Protection kExecuteRead{BaseProtection::kExecuteRead};
constexpr Protection kExecuteReadWrite{BaseProtection::kExecuteReadWrite};

bool All(Reservation& reservation, PageRange range, auto condition) {
  for (PageIndex page = range.begin; page < range.end; ++page) {
    if (!condition(reservation.At(page))) return false;
  }
  return true;
}

}  // namespace

// As Pager::ForEachStripe.
Errno ApiCaller::ForEachStripe(Reservation& reservation, PageRange range, auto function) {
  for (Stripe& stripe : reservation.stripes()) {
    const PageRange part = stripe.range.Clip(range);
    if (part.empty()) continue;
    const Errno error = function(machine_.shard(stripe.shard), stripe, part);
    if (error != 0) return error;
  }
  return 0;
}

PageCount ApiCaller::SmallestLimit() const {
  return Pager::SmallestMemoryLimit(machine_.scenario.shards);
}

PageCount ApiCaller::LockedPages() const {
  PageCount locked;
  for (unsigned i = 0; i < machine_.scenario.shards; ++i) {
    locked += machine_.shard(i).locked_pages();
  }
  return locked;
}

bool ApiCaller::HasTransfers() {
  for (unsigned i = 0; i < machine_.scenario.shards; ++i) {
    if (machine_.shard(i).has_transfers()) return true;
  }
  return false;
}

bool ApiCaller::waits() const {
  return std::any_of(requests_.begin(), requests_.end(),
                     [](const Request& r) { return r.request->done.load() == 0; });
}

std::string ApiCaller::Describe() const {
  std::string text;
  if (machine_.change.has_value()) absl::StrAppend(&text, "; a protection is being changed");
  for (const Request& request : requests_) {
    absl::StrAppend(&text, "; pages from ", absl::Hex(request.request->range.begin.value()),
                    " to ", absl::Hex(request.range.end.value()),
                    " are to be brought in, by shard ", request.shard);
  }
  if (lowering_) {
    absl::StrAppend(&text, "; the limit is to be ", machine_.ledger.limit().value(), ", and ",
                    machine_.ledger.charged().value(), " pages are charged");
  }
  return text;
}

void ApiCaller::Step() {
  EndRequests();
  if (machine_.change.has_value()) return GoOnWithChange();
  if (lowering_ && machine_.dice.OneIn(2)) return GoOnWithLimit();
  unsigned total = 0;
  for (const unsigned weight : machine_.scenario.call_weights) total += weight;
  if (total == 0) return;
  uint64_t drawn = machine_.dice.Below(total);
  for (unsigned i = 0; i < kCallKinds; ++i) {
    const unsigned weight = machine_.scenario.call_weights[i];
    if (drawn < weight) return Begin(static_cast<Call>(i));
    drawn -= weight;
  }
}

void ApiCaller::Finish() {
  EndRequests();
  if (machine_.change.has_value()) GoOnWithChange();
  if (lowering_) GoOnWithLimit();
}

void ApiCaller::Begin(Call call) {
  switch (call) {
    case Call::kReserve: return Reserve();
    case Call::kRelease: return Release(machine_.dice.Below(machine_.scenario.reservations));
    case Call::kCommit: return Change(true);
    case Call::kDecommit: return Decommit();
    case Call::kProtect: return Change(false);
    case Call::kLock: return Lock();
    case Call::kUnlock: return Unlock();
    case Call::kTrim: return Trim();
    case Call::kBringIn:
      if (const Reservation* reservation = Any(); reservation != nullptr) {
        BringIn(AnyRange(*reservation), false, false);
      }
      return;
    case Call::kLimit: return BeginLimit();
    case Call::kGrow:
      (void)machine_.page_file.Grow(machine_.page_file.usable() + PageCount(1));
      return;
    case Call::kGiveBack: return GiveBackSpace();
  }
}

Reservation* ApiCaller::Any() {
  return machine_.reservations[machine_.dice.Below(machine_.scenario.reservations)].get();
}

PageRange ApiCaller::AnyRange(const Reservation& reservation) {
  Dice& dice = machine_.dice;
  const PageRange all = reservation.range();
  if (dice.OneIn(8)) return all;
  const PageIndex begin = all.begin + PageCount(dice.Below(all.count().value()));
  const uint64_t longest = dice.OneIn(3) ? 64 : 8;
  const uint64_t most = std::min((all.end - begin).value(), longest);
  return PageRange(begin, PageCount(dice.Between(1, most)));
}

Protection ApiCaller::AnyProtection() {
  Dice& dice = machine_.dice;
  if (machine_.scenario.executable && dice.OneIn(3)) {
    return dice.OneIn(2) ? kExecuteRead : kExecuteReadWrite;
  }
  switch (dice.Below(8)) {
    case 0: return kReadOnly;
    case 1: return kNoAccess;
    case 2: return kGuarded;
    default: return kReadWrite;
  }
}

// As Pager::CommitLimitNow.
uint64_t ApiCaller::CommitLimit(uint64_t memory_limit) const {
  const uint64_t held_back =
      Pager::HeldBack(PageCount(memory_limit), machine_.scenario.shards,
                      machine_.scenario.encrypt)
          .value();
  const uint64_t kept = machine_.scenario.most_bad_writes > 0 ? kSlotsForFailures : 0;
  const uint64_t slots = machine_.page_file.usable().value();
  const uint64_t lent = std::min(slots, machine_.page_file.lent().value());
  const uint64_t most = memory_limit - held_back + (slots - lent);
  return most > kept ? most - kept : 0;
}

bool ApiCaller::KeepPromises(PageCount more) {
  uint64_t limit = machine_.ledger.limit().value();
  if (lowering_) limit = std::min(limit, limit_before_.value());
  const uint64_t wanted = machine_.CountCommitted() + more.value();
  const uint64_t possible = CommitLimit(limit);
  if (wanted <= possible) return true;
  PageFile& file = machine_.page_file;
  return file.Grow(file.usable() + PageCount(wanted - possible)) == 0 &&
         wanted <= CommitLimit(limit);
}

void ApiCaller::BecomeChild() {
  // The shards have given back what they had of them.
  for (Request& request : requests_) (void)request.request.release();
  requests_.clear();
  lowering_ = false;
}

// As Reservations::GiveBackSpace, but that nothing more than what is promised keeps its space.
void ApiCaller::GiveBackSpace() {
  uint64_t limit = machine_.ledger.limit().value();
  if (lowering_) limit = std::min(limit, limit_before_.value());
  uint64_t promised = machine_.CountCommitted();
  if (machine_.scenario.forks) promised += machine_.page_file.used().value();
  const uint64_t possible = CommitLimit(limit);
  const uint64_t spare = possible > promised ? possible - promised : 0;
  SlotRun given;
  (void)machine_.page_file.GiveBackSpace([&](SlotMap& slots) {
    given = slots.Discard(PageCount(std::min(spare, machine_.dice.Between(64, 512))));
    return given;
  });
  for (uint64_t i = 0; i < given.count.value(); ++i) {
    machine_.store.Forget(given.first + PageCount(machine_.store.base() + i));
  }
}

bool ApiCaller::MayCommit(uint64_t pages) {
  uint64_t limit = machine_.ledger.limit().value();
  if (lowering_) limit = std::min(limit, limit_before_.value());
  const uint64_t wanted = machine_.CountCommitted() + pages;
  if (wanted > CommitLimit(limit)) {
    (void)machine_.page_file.Grow(machine_.page_file.usable() + PageCount(pages));
  }
  return wanted <= CommitLimit(limit);
}

void ApiCaller::ReserveFirst() {
  for (unsigned i = 0; i < machine_.scenario.reservations; ++i) Reserve();
}

// As Pager::Reserve.
void ApiCaller::Reserve() {
  Dice& dice = machine_.dice;
  size_t index = 0;
  while (index < machine_.scenario.reservations && machine_.reservations[index] != nullptr) ++index;
  if (index == machine_.scenario.reservations) return;
  const uint64_t most = machine_.scenario.reservation_pages;
  const PageCount pages(dice.OneIn(4) ? dice.Between(1, most) : most);
  const PageRange range(PageIndex(kFirstReservation + index * kReservationStep), pages);
  const bool commit = dice.Below(4) != 0 && MayCommit(pages.value());
  const Protection protection = dice.OneIn(8) ? AnyProtection() : kReadWrite;
  const Cut cut{PageCount(machine_.scenario.stripe_pages), machine_.scenario.shards,
                static_cast<unsigned>(index) % machine_.scenario.shards};
  auto made = std::make_unique<Reservation>(range, protection, commit, cut);
  for (const Stripe& stripe : made->stripes()) {
    (void)machine_.userfaultfd(stripe.shard).Register(stripe.range);
  }
  const Errno error = ForEachStripe(*made, range, [](Shard& shard, Stripe& stripe, PageRange) {
    return shard.AddStripe(&stripe);
  });
  if (error != 0) machine_.verdict.Fail("AddStripe");
  if (commit) Prepare(*made, range, protection);
  machine_.reservations[index] = std::move(made);
}

// As Pager::Release.
void ApiCaller::Release(size_t index) {
  std::unique_ptr<Reservation>& reservation = machine_.reservations[index];
  if (reservation == nullptr) return;
  (void)ForEachStripe(*reservation, reservation->range(),
                      [&](Shard& shard, Stripe& stripe, PageRange part) {
                        (void)shard.RemoveStripe(&stripe, part, SpaceAfter::kUnmapped);
                        machine_.platform.Forget(part);
                        return 0;
                      });
  reservation = nullptr;
}

void ApiCaller::ReleaseAll() {
  for (size_t i = 0; i < machine_.scenario.reservations; ++i) Release(i);
}

// As Pager::PrepareAccess, where all of a reservation is one span.
void ApiCaller::Prepare(Reservation& reservation, PageRange range, Protection protection) {
  SimulatedPlatform& platform = machine_.platform;
  if (!reservation.opened) {
    (void)platform.SetAccess(reservation.range(), KernelAccess::kReadWrite);
  }
  reservation.opened = true;
  if (protection.AllowsExecute()) {
    (void)platform.SetAccess(range, KernelAccess::kReadWriteExecute);
  } else {
    CloseExecutable(reservation, range);
  }
}

void ApiCaller::CloseExecutable(Reservation& reservation, PageRange range) {
  for (PageIndex page = range.begin; page < range.end; ++page) {
    if (!reservation.Load(page).protection().AllowsExecute()) continue;
    (void)machine_.platform.SetAccess(PageRange(page, PageCount(1)), KernelAccess::kReadWrite);
  }
}

// Pager::Commit and Pager::Protect, of which Pager::ChangeProtection is the common part.
void ApiCaller::Change(bool commit) {
  Reservation* reservation = Any();
  if (reservation == nullptr) return;
  const PageRange range = AnyRange(*reservation);
  const uint64_t committed = reservation->CountCommitted(range);
  if (commit ? !MayCommit(range.count().value() - committed)
             : committed < range.count().value()) {
    return;
  }
  machine_.change = ProtectionChange{range, AnyProtection()};
  commits_ = commit;
  change_step_ = 0;
  GoOnWithChange();
}

// As Pager::ChangeProtection: what may fail comes first.
void ApiCaller::GoOnWithChange() {
  const auto [range, protection] = *machine_.change;
  Reservation& reservation = *machine_.Find(range.begin);
  if (change_step_ == 0) {
    changed_to_ = range.begin;
    if (!protection.AllowsAccess() && !Hide(reservation, range)) return machine_.change.reset();
  }
  if (change_step_ == 1) Prepare(reservation, range, protection);
  if (change_step_++ < 2) return;
  Stripe& stripe = reservation.StripeOf(changed_to_);
  const PageRange part = stripe.range.Clip(range);
  machine_.shard(stripe.shard).SetProtection(stripe, part, protection, commits_);
  for (PageIndex page = part.begin; page < part.end; ++page) {
    ModelPage& model = reservation.At(page);
    model.committed = true;
    model.protection = protection;
    if (!protection.AllowsAccess()) model.locked = false;
  }
  changed_to_ = part.end;
  if (changed_to_ == range.end) machine_.change.reset();
}

// As Pager::HideAll.
bool ApiCaller::Hide(Reservation& reservation, PageRange range) {
  machine_.platform.set_may_refuse_to_hide(true);
  const Errno error =
      ForEachStripe(reservation, range, [](Shard& shard, Stripe& stripe, PageRange part) {
        return shard.HidePages(stripe, part);
      });
  machine_.platform.set_may_refuse_to_hide(false);
  if (error == 0) return true;
  (void)ForEachStripe(reservation, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.UnhidePages(stripe, part);
    return 0;
  });
  return false;
}

void ApiCaller::Decommit() {
  Reservation* reservation = Any();
  if (reservation == nullptr) return;
  const PageRange range = AnyRange(*reservation);
  CloseExecutable(*reservation, range);
  (void)ForEachStripe(*reservation, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.DecommitPages(stripe, part);
    return 0;
  });
  for (PageIndex page = range.begin; page < range.end; ++page) {
    reservation->At(page) = ModelPage{};
  }
}

// As Pager::LockPages and Reservations::LockPages.
void ApiCaller::Lock() {
  Reservation* reservation = Any();
  if (reservation == nullptr || requests_.size() == kMostRequests) return;
  const PageRange range = AnyRange(*reservation);
  if (!All(*reservation, range, [](const ModelPage& page) { return page.AllowsAccess(); })) return;
  const PageCount limit = machine_.ledger.limit();
  uint64_t locked = LockedPages().value();
  bool had_locks = false;
  for (PageIndex page = range.begin; page < range.end; ++page) {
    had_locks |= reservation->At(page).locked;
    locked += !reservation->At(page).locked;
  }
  if (limit < SmallestLimit() || locked > (limit - SmallestLimit()).value() / 2) return;
  (void)ForEachStripe(*reservation, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.LockPages(stripe, part);
    return 0;
  });
  for (PageIndex page = range.begin; page < range.end; ++page) reservation->At(page).locked = true;
  BringIn(range, true, had_locks);
}

void ApiCaller::Unlock() {
  Reservation* reservation = Any();
  if (reservation == nullptr) return;
  const PageRange range = AnyRange(*reservation);
  const bool all_locked =
      All(*reservation, range, [](const ModelPage& page) { return page.locked; });
  bool found_locked = true;
  (void)ForEachStripe(*reservation, range, [&](Shard& shard, Stripe& stripe, PageRange part) {
    found_locked = found_locked && shard.AllLocked(stripe, part);
    return 0;
  });
  if (found_locked != all_locked) {
    return machine_.verdict.Fail("the shards do not know which pages are locked");
  }
  (void)ForEachStripe(*reservation, range, [&](Shard& shard, Stripe& stripe, PageRange part) {
    all_locked ? shard.UnlockPages(stripe, part) : shard.TrimPages(stripe, part);
    return 0;
  });
  if (!all_locked) return;
  for (PageIndex page = range.begin; page < range.end; ++page) reservation->At(page).locked = false;
}

void ApiCaller::Trim() {
  Reservation* reservation = Any();
  if (reservation == nullptr) return;
  (void)ForEachStripe(*reservation, AnyRange(*reservation),
                      [](Shard& shard, Stripe& stripe, PageRange part) {
                        shard.TrimPages(stripe, part);
                        return 0;
                      });
}

// As Pager::BringIn: one shard after the other.
void ApiCaller::BringIn(PageRange range, bool lock, bool had_locks) {
  if (requests_.size() == kMostRequests) return;
  requests_.push_back({OwnedRequest(ArenaNew<BringInRequest>()), range, 0, lock, had_locks});
  Post(requests_.back());
}

void ApiCaller::Post(Request& request) {
  request.request->range = request.range;
  (void)machine_.shard(request.shard).Post(request.request.get());
  machine_.Kick(request.shard);
}

void ApiCaller::EndRequests() {
  for (size_t i = 0; i < requests_.size();) {
    Request& request = requests_[i];
    if (request.request->done.load() == 0) {
      ++i;
      continue;
    }
    if (request.request->error == 0 && request.shard + 1 < machine_.scenario.shards) {
      request.request.reset(ArenaNew<BringInRequest>());
      ++request.shard;
      Post(request);
      ++i;
      continue;
    }
    EndRequest(request);
    requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// Others may have changed the pages since the request was made.
void ApiCaller::EndRequest(const Request& ended) {
  const Errno error = ended.request->error;
  if (error != 0 && error != EIO && error != EAGAIN) {
    machine_.verdict.Fail(absl::StrCat("pages were not brought in: error ", error));
  }
  Reservation* reservation = machine_.Find(ended.range.begin);
  if (!ended.lock || ended.had_locks || error == 0 || reservation == nullptr) return;
  const PageRange range = ended.range.Clip(reservation->range());
  (void)ForEachStripe(*reservation, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.UnlockPages(stripe, part);
    return 0;
  });
  for (PageIndex page = range.begin; page < range.end; ++page) reservation->At(page).locked = false;
}

// As Pager::KickAll.
void ApiCaller::TellOfLimit() {
  for (unsigned i = 0; i < machine_.scenario.shards; ++i) machine_.shard(i).OnLimitChanged();
  machine_.KickAll();
}

// As Pager::SetMemoryLimit.
void ApiCaller::BeginLimit() {
  if (lowering_) return;
  Dice& dice = machine_.dice;
  const uint64_t most = std::min<uint64_t>(2 * machine_.scenario.limit_pages, kMostFrames);
  const PageCount limit(dice.Between(SmallestLimit().value(), most));
  if (LockedPages() + SmallestLimit() > limit) return;
  if (machine_.CountCommitted() > CommitLimit(limit.value())) return;
  limit_before_ = machine_.ledger.limit();
  machine_.ledger.set_limit(limit);
  lowest_ = machine_.ledger.charged();
  progress_ns_ = machine_.now_ns();
  lowering_ = true;
  GoOnWithLimit();
}

void ApiCaller::GoOnWithLimit() {
  FrameLedger& ledger = machine_.ledger;
  TellOfLimit();
  if (ledger.charged() <= ledger.limit()) {
    lowering_ = false;
    return;
  }
  machine_.PassTime(kNapNs);
  if (ledger.charged() < lowest_ || HasTransfers()) {
    lowest_ = std::min(lowest_, ledger.charged());
    progress_ns_ = machine_.now_ns();
  } else if (machine_.now_ns() - progress_ns_ > kLimitPatienceNs) {
    ledger.set_limit(limit_before_);
    lowering_ = false;
    TellOfLimit();
  }
}

}  // namespace userpager::simulation
