#include "runtime/pager/shard.h"

#include <errno.h>

#include <algorithm>
#include <cstring>

#include "absl/base/attributes.h"
#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/process_end.h"

namespace userpager {
namespace {

// The longest run that a fault may take along: demand-zero pages are installed by one call (2 MiB
// at most), reads fit into one buffer, write protection is lifted from as many pages as one read
// brings.
constexpr PageCount kLongestZeroRun{512};
constexpr PageCount kLongestWriteRun{kTransferPages};
constexpr PageCount kLongestSoftRun{kTransferPages};

// Hints that wait at a time; more are not taken.
constexpr unsigned kMostPrefetches = 64;

// After so many turns without any progress, who waits for memory will wait for ever: five seconds
// at least, as a device may keep what it has pinned for long.
constexpr uint64_t kStuckTurns = 5'000;
// The same where nothing can end the wait but the program itself.
constexpr uint64_t kFullTurns = 1'000;
// A turn looks at some hundreds of the pages that are mapped: so all are looked at several times.
constexpr uint64_t kPagesEachFullTurn = 128;

}  // namespace

Shard::Shard(const ShardOptions& options, const ShardParts& parts)
    : options_(options),
      platform_(parts.platform),
      engine_(parts.engine),
      ledger_(parts.frames),
      page_file_(parts.page_file),
      cipher_(parts.cipher),
      helper_(parts.helper),
      installs_(parts.platform, parts.page_file),
      trace_(options.trace),
      traced_limit_(parts.frames.limit()),
      policy_(options.replacement, frames_),
      zero_streams_(kLongestZeroRun),
      write_streams_(kLongestWriteRun),
      soft_streams_(kLongestSoftRun),
      idle_(options.idle_ways),
      counters_(parts.counters == nullptr ? own_counters_ : *parts.counters) {}

Shard::~Shard() {
  LockHolder hold(mutex_);
  for (ParkingArea& area : parking_) {
    if (area.ready()) (void)Unmap(area.range());
  }
  ledger_.Return(buffer_pages_);
  while (requests_ != nullptr) FinishRequest(&requests_, ECANCELED);
}

Errno Shard::Init() {
  LockHolder hold(mutex_);
  for (const Errno error :
       {frames_.Init(options_.most_frames), transfers_.Init(kTransfers), buffers_.Init()}) {
    if (error != 0) return error;
  }
  if (cipher_ != nullptr) {
    if (const Errno error = sealed_.Init(); error != 0) return error;
  }
  FitBuffers();
  return OpenParking(false);
}

uint64_t Shard::Step(std::span<const FaultMessage> faults,
                     std::span<const IoCompletion> transfers) {
  LockHolder hold(mutex_);
  now_ns_ = NowNanoseconds();
  turn_asked_ = false;
  SendUnsent();
  EndTransfers(transfers);
  // Memory is freed while the helper installs what nobody waits for yet.
  const bool balances = installs_.part_count() > 1 && faults.empty();
  bool work_left = balances && KeepBalance(false);
  // Each read is booked while those after it are being installed.
  for (const ReadInstall::Read& read : installs_.reads()) (void)BookRead(read);
  // Frames of writes whose pages went another way: no later event need come to free them.
  if (!transfers.empty()) (void)DropDiscarded();
  for (size_t i = 0; i < faults.size(); ++i) {
    NoteFault();
    // One answer wakes every thread that waits on the page, so a second message about it needs
    // none.
    const auto same_page = [&](const FaultMessage& earlier) {
      return PageOf(earlier.address) == PageOf(faults[i].address) &&
             earlier.write_protect == faults[i].write_protect && earlier.write == faults[i].write;
    };
    if (std::any_of(faults.begin(), faults.begin() + static_cast<std::ptrdiff_t>(i), same_page)) {
      ++counters_.stale_messages;
      continue;
    }
    OnFault(faults[i]);
  }
  const bool requests_left = AdvanceRequests();
  if (!balances) work_left = KeepBalance(!faults.empty());
  work_left |= requests_left;
  RetryQueued();
  RefuseIfStuck();
  return Timeout(work_left);
}

void Shard::NoteFault() {
  const bool slept = idle_.way() == IdleWay::kSleep;
  idle_.OnFault(now_ns_);
  if (slept && idle_.way() == IdleWay::kSleep) return;
  wanted_idling_.Set(idle_.way());
}

void Shard::NoteSpinning(bool spins, bool taken) {
  spins_.store(spins, std::memory_order_relaxed);
  if (!taken) return;
  LockHolder hold(mutex_);
  idle_.OnCpuTaken();
}

// 0 while there is something to do at once; a short nap while somebody waits for memory that
// nothing under way will bring, or a write that failed is to be tried again; and where somebody
// waits for writes, until they count as stuck.
uint64_t Shard::Timeout(bool work_left) {
  if (work_left) return 0;
  const bool waits = HasWaiters();
  if (waits && writes_ > 0 && writes_ < kMostWrites) {
    const uint64_t passed_ns = now_ns_ - last_write_ns_;
    return std::max(kMillisecond, kStuckWriteNs - std::min(kStuckWriteNs, passed_ns));
  }
  if (transfers_.under_way() != 0) return IoEngine::kNoTimeout;
  const bool paused = now_ns_ < next_write_ns_ && balancing_;
  return waits || paused || IsOverLimit() ? kMillisecond : IoEngine::kNoTimeout;
}

// Others may have memory to give. Only for somebody who waits, and once in a millisecond: shards
// that all have nothing to give would otherwise wake each other without end.
void Shard::AskPeers() {
  if (options_.shard_count == 1 || !HasWaiters()) return;
  if (now_ns_ - asked_peers_ns_ < kMillisecond) return;
  asked_peers_ns_ = now_ns_;
  needs_peers_.store(true, std::memory_order_relaxed);
}

// The page file has no free slot and gets none, and in the last turn no page was met that somebody
// else has pinned. Slots that were lent may come back, and another shard may be writing.
bool Shard::IsFull() const {
  return options_.shard_count == 1 && !HasFreeSlots() &&
         page_file_.usable() >= page_file_.max_usable() && page_file_.lent().value() == 0 &&
         counters_.pinned_pages.value() == pins_met_;
}

// Everything in memory is locked or pinned, nothing is under way, and a thread waits: it would wait
// for ever. Requests to lock pages are refused; where a thread cannot be given its page, the
// program ends as the kernel would end it for want of memory, with a line. Counted in fruitless
// turns, and not by the clock, as a program that was stopped for a while is not stuck; but turns
// that others bring about within a millisecond, such as shards that ask each other, count as one.
// Above the limit somebody is lowering it, and takes the limit back where it is out of reach.
void Shard::RefuseIfStuck() {
  if (!HasWaiters() || transfers_.under_way() != 0 || IsOverLimit()) {
    stuck_turns_ = 0;
    full_turns_ = 0;
    return;
  }
  AskPeers();
  if (now_ns_ - stuck_turn_ns_ < kMillisecond) return;
  stuck_turn_ns_ = now_ns_;
  full_turns_ = IsFull() ? full_turns_ + 1 : 0;
  pins_met_ = counters_.pinned_pages.value();
  const uint64_t pages = policy_->count().value();
  if (++stuck_turns_ < kStuckTurns + pages &&
      full_turns_ < kFullTurns + pages / kPagesEachFullTurn) {
    return;
  }
  if (requests_ != nullptr) {
    stuck_turns_ = 0;
    full_turns_ = 0;
    FinishRequest(&requests_, EAGAIN);
    return;
  }
  LogLine line;
  line << "killed: no memory for the page at " << Hex{AddressOf(queue_.front().page)} << ": of "
       << ledger_.limit().value() << " pages of the memory limit " << ledger_.charged().value()
       << " are in use, all of them locked, pinned or without a free slot in the page file ("
       << page_file_.used().value() << " of " << page_file_.usable().value()
       << " slots used); raise the memory limit or page_file_max";
  line.Write();
  KillProcess();
}

void Shard::SetPte(Stripe& stripe, PageIndex page, Pte pte) {
  const Pte before = stripe.Load(page);
  const PageState from = before.state();
  USERPAGER_CHECK(IsAllowedMove(from, pte.state()),
                  "a page was to make a move that is not in the table (from state * 16 + to)",
                  static_cast<unsigned>(from) * 16 + static_cast<unsigned>(pte.state()));
  stripe.Store(page, pte);
  if (before.mapped() != pte.mapped()) {
    pte.mapped() ? ledger_.EnterMapped() : ledger_.LeaveMapped();
  }
  if (before.parked() != pte.parked()) {
    const PageHistory history(pte.parked() ? pte.history() : before.history());
    PageCount& count = history.on_trial() ? unmapped_.on_trial : unmapped_.others;
    if (pte.parked()) {
      ++count;
    } else {
      --count;
    }
  }
  if (from == PageState::kPagedOut) --unmapped_.out;
  if (pte.state() == PageState::kPagedOut) ++unmapped_.out;
  if (before.locked() != pte.locked()) {
    locked_.fetch_add(pte.locked() ? uint64_t{1} : ~uint64_t{0}, std::memory_order_relaxed);
  }
  if (before.stays() != pte.stays()) {
    staying_.fetch_add(pte.stays() ? uint64_t{1} : ~uint64_t{0}, std::memory_order_relaxed);
  }
}

void Shard::EnterWorkingSet(FrameIndex frame, Pte pte, Arrival arrival) {
  ++installed_;
  if (!pte.stays()) policy_->Enter(frame, arrival, PageHistory(pte.history()));
}

// Returns the page's PTE with what is to be remembered of the page.
Pte Shard::LeaveWorkingSet(FrameIndex frame, Pte pte) {
  if (frames_[frame].list() != FrameListId::kWorkingSet) return pte;
  return pte.WithHistory(policy_->Leave(frame).word());
}

// The frame's memory is gone already.
void Shard::ReleaseFrame(FrameIndex frame) {
  frames_.Free(frame);
  ledger_.Return(PageCount(1));
}

// One page for each shard stays out of ordinary faults' reach: with it a fault that nothing else
// can help is answered by a copy.
PageCount Shard::Charge(PageCount most, bool urgent) {
  return ledger_.ChargeUpTo(most, PageCount(urgent ? 0 : 2 * options_.shard_count));
}

void Shard::OnLimitChanged() {
  LockHolder hold(mutex_);
  FitBuffers();
  balancing_ = true;
  if (options_.index != 0 || traced_limit_ == ledger_.limit()) return;
  traced_limit_ = ledger_.limit();
  trace_.Add(TraceKind::kLimit, PageRange(PageIndex(traced_limit_.value()), PageCount(0)),
             NowNanoseconds());
}

void Shard::OnKick() {
  LockHolder hold(mutex_);
  balancing_ = true;
}

// All buffers are charged, as they may be resident. A change waits until none is in use. A window
// of readahead is a small part of what there is.
void Shard::FitBuffers() {
  const PageCount share(ledger_.limit().value() / options_.shard_count);
  read_streams_.set_most(share.value() / 32);
  FitPool(buffers_, BufferPool::PagesFor(share));
  if (cipher_ != nullptr) FitPool(sealed_, BufferPool::SealedPagesFor(share));
}

void Shard::FitPool(BufferPool& pool, PageCount pages) {
  if (pages == pool.pages() || !pool.all_free()) return;
  if (pages > pool.pages()) {
    const PageCount more = pages - pool.pages();
    const PageCount granted = ledger_.ChargeUpTo(more, PageCount(0));
    if (granted < more) {
      ledger_.Return(granted);
      return;
    }
  } else {
    const Errno error = platform_.Discard(pool.space());
    USERPAGER_CHECK(error == 0, "buffers could not be given back", error);
    ledger_.Return(pool.pages() - pages);
  }
  buffer_pages_ = buffer_pages_ + pages - pool.pages();
  pool.set_pages(pages);
}

// A page that is looked at in its own place is write-protected first, which the sanitizer cannot
// see.
ABSL_ATTRIBUTE_NO_SANITIZE_THREAD
bool Shard::IsZero(const void* page) {
  const uint64_t* words = static_cast<const uint64_t*>(page);
  for (size_t i = 0; i < kPageBytes / sizeof(uint64_t); i += 8) {
    uint64_t any = 0;
    for (size_t j = 0; j < 8; ++j) any |= words[i + j];
    if (any != 0) return false;
  }
  return true;
}

void Shard::CollectCounters(CounterTotals* totals) {
  LockHolder hold(mutex_);
  AddCounters(counters_, totals);
}

bool Shard::Post(BringInRequest* request) {
  LockHolder hold(mutex_);
  if (request->kind == BringInKind::kPrefetch) {
    if (prefetches_ == kMostPrefetches) return false;
    ++prefetches_;
  }
  request->next = requests_;
  requests_ = request;
  return true;
}

}  // namespace userpager
