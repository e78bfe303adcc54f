#include "runtime/pager/pager.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/pager/for_each_stripe.h"
#include "runtime/pager/recording.h"
#include "runtime/pager/shard.h"
#include "runtime/pager/shard_thread.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/thread_place.h"

namespace userpager {
namespace {

constexpr uint64_t kStripesEachShard = 16;
constexpr uint64_t kSmallestShardPages = 32;
constexpr uint64_t kTurnoverPages = 256;
// How long a lower memory limit may go without any progress before it counts as out of reach.
constexpr uint64_t kLimitPatienceNs = 5'000'000'000;

PageCount MachinePages() {
  return PageCount(static_cast<uint64_t>(std::max(1L, sysconf(_SC_PHYS_PAGES))));
}

// Untouched pages are all alike, so only the others are looked at.
PageCount CountPages(const Vad& vad, PageRange range, auto counts) {
  PageCount touched;
  PageCount found;
  for (PageIndex page = vad.NextTouched(range.begin, range.end); page < range.end;
       page = vad.NextTouched(page + PageCount(1), range.end)) {
    ++touched;
    if (counts(vad.Load(page))) ++found;
  }
  return counts(vad.default_pte) ? found + (range.count() - touched) : found;
}

PageCount CountCommitted(const Vad& vad, PageRange range) {
  return CountPages(vad, range, [](Pte pte) { return pte.committed(); });
}

// Its stripes are the shards' for ever: whoever touches the addresses gets SIGSEGV, as if they were
// free.
void TellOfLeftSpace(const Vad& vad) {
  LogLine line;
  line << "the address space of the reservation at " << Hex{AddressOf(vad.range.begin)} << " ("
       << BytesOf(vad.range.count()) << " bytes) could not all be given back, as the process has as"
       << " many mappings as the kernel allows: its memory is free, its addresses stay taken; raise"
       << " vm.max_map_count";
  line.Write();
}

uint64_t SpanOf(PageIndex page) { return AddressOf(page) / kProtectionSpanBytes; }

}  // namespace

Pager::~Pager() { Stop(); }

PageCount Pager::SmallestMemoryLimit(unsigned shards) {
  return PageCount(kSmallestShardPages * shards);
}

Errno Pager::Start(const PagerOptions& options, LogLine* error) {
  options_ = options;
  options_.shards = std::clamp(options.shards, 1u, kMaxShards);
  if (options.memory_limit < SmallestMemoryLimit(options_.shards) ||
      options.memory_limit > MachinePages()) {
    *error << "the memory limit of " << BytesOf(options.memory_limit) << " bytes is not possible: "
           << "with " << options_.shards << " shard(s) the smallest is "
           << BytesOf(SmallestMemoryLimit(options_.shards)) << ", and the machine has "
           << BytesOf(MachinePages()) << "; give a limit between them";
    return EINVAL;
  }
  if (const Errno failed = ProbeFeatures(&features_, error); failed != 0) return failed;
  WithoutFeatures(options.without, &features_);
  if (options.faults == FaultDelivery::kSignals) {
    if (!features_.signal) {
      *error << "cannot answer faults inline: this kernel's userfaultfd has no signals; run Linux"
                " 4.14 or later, or choose faults:thread";
      return EOPNOTSUPP;
    }
    features_.kernel_faults = false;
  }
  const PageFileOptions file{options.page_file_path, options.page_file_max_bytes,
                             options.for_children, options.discard};
  if (const Errno failed = page_file_.Open(file, error); failed != 0) return failed;
  frames_.set_limit(options.memory_limit);
  if (options.record_to != nullptr) StartRecording();
  Errno failed = StartShards(error);
  if (failed == 0) {
    failed = StartWatchdog(nullptr, error);
  }
  if (failed != 0) Stop();
  return failed;
}

Errno Pager::StartWatchdog(void (*settled)(), LogLine* error) {
  return watchdog_.Start(std::span<ShardThread* const>(shards_, options_.shards), page_file_,
                         options_.watch_period_ns, settled, error);
}

void Pager::StartRecording() {
  LogLine line;
  recording_ = ArenaNew<Recording>(frames_, page_file_);
  if (recording_ == nullptr) {
    line << "cannot record: no memory for it";
  } else if (recording_->Start(options_.record_to, options_.shards, options_.record_callers,
                               &line) == 0) {
    wants_callers_ = options_.record_callers;
    return;
  }
  line << "; the program runs without a recording";
  line.Write();
  ArenaDelete(recording_);
  recording_ = nullptr;
}

void Pager::TellCallers(PageRange range, const CallStack& stack, uint32_t thread_id) {
  if (recording_ != nullptr) recording_->AddCallers(range, stack, thread_id);
}

void Pager::EndRecording() {
  if (recording_ != nullptr) recording_->Finish();
}

// A thread for which nobody waits, as faulting threads answer themselves, need not spin; one that
// would take the program's only CPU, or whose class gives way to none, must not.
unsigned Pager::CountIdleWays() const {
  if (!options_.polling) return 1;
  const int scheduling = sched_getscheduler(0);
  const bool may_spin = options_.faults == FaultDelivery::kMessages &&
                        options_.io == IoEngineKind::kUring &&
                        CountAllowedCpus() > options_.shards && scheduling != SCHED_FIFO &&
                        scheduling != SCHED_RR;
  return may_spin ? kIdleWays : kIdleWays - 1;
}

Errno Pager::StartShards(LogLine* error) {
  ShardOptions shard;
  shard.shard_count = options_.shards;
  shard.most_frames = MachinePages();
  shard.features = features_;
  shard.use_move = uses_move();
  shard.replacement = options_.replacement;
  shard.idle_ways = CountIdleWays();
  for (unsigned i = 0; i < options_.shards; ++i) {
    shard.index = i;
    Counters* counters = page_ == nullptr ? nullptr : &page_->shards[i].counters;
    shard.samples = page_ == nullptr ? nullptr : &page_->shards[i].samples;
    shard.trace = recording_ == nullptr ? nullptr : recording_->ring(i);
    shards_[i] = ArenaNew<ShardThread>(shard, options_, frames_, page_file_, poller_, counters,
                                       std::span<ShardThread* const>(shards_, kMaxShards));
    if (shards_[i] == nullptr) {
      *error << "cannot start: no memory for the pager's own structures";
      return ENOMEM;
    }
    if (const Errno failed = shards_[i]->Open(error); failed != 0) return failed;
  }
  return StartThreads(error);
}

Errno Pager::StartThreads(LogLine* error) {
  if (options_.polling) {
    if (const Errno failed = poller_.Start(); failed != 0) {
      *error << "cannot start: the threads that keep CPUs awake could not be made: "
             << ErrnoText{failed} << "; polling:off does without them";
      return failed;
    }
  }
  for (unsigned i = 0; i < options_.shards; ++i) {
    if (const Errno failed = shards_[i]->Start(error); failed != 0) return failed;
  }
  return 0;
}

void Pager::Stop() {
  watchdog_.Stop();
  // All threads first: each may wake any other.
  for (ShardThread* shard : shards_) {
    if (shard != nullptr) shard->Stop();
  }
  poller_.Stop();
  for (ShardThread*& shard : shards_) {
    ArenaDelete(shard);
    shard = nullptr;
  }
  ArenaDelete(recording_);
  recording_ = nullptr;
}

bool Pager::uses_move() const { return options_.use_move && features_.move; }

// A reservation is cut into stripes of 1 GiB, or more for very large ones, and neighbours in
// address space share a shard, so that the kernel can join their mappings.
Errno Pager::MakeStripes(Vad& vad) {
  const uint64_t pages = vad.range.count().value();
  const uint64_t most_stripes = kStripesEachShard * options_.shards;
  const uint64_t each =
      std::max(kStripePages, RoundUp((pages + most_stripes - 1) / most_stripes, kStripePages));
  const size_t count = (pages + each - 1) / each;
  vad.stripes = ArenaArray<Stripe>(count);
  if (!vad.stripes.ok()) return ENOMEM;
  vad.stripe_pages = PageCount(each);
  for (size_t i = 0; i < count; ++i) {
    Stripe& stripe = vad.stripes[i];
    const PageIndex begin = vad.range.begin + PageCount(i * each);
    stripe.range = PageRange(begin, std::min(begin + PageCount(each), vad.range.end));
    stripe.ptes = vad.ptes.data() + i * each;
    stripe.touched = vad.touched.data() + i * each / (kPteGroupPages * 64);
    stripe.default_pte = vad.default_pte;
    stripe.shard = static_cast<unsigned>((begin.value() / kStripePages) % options_.shards);
  }
  return 0;
}

// The range of the stripe, and of the last one the rest of the footprint.
PageRange Pager::SpaceOf(const Vad& vad, size_t stripe) const {
  const bool last = stripe + 1 == vad.stripes.size();
  const PageRange range = vad.stripes[stripe].range;
  return PageRange(range.begin, last ? vad.footprint().end : range.end);
}

// The whole of the footprint is registered, so that its mapping joins with its neighbours'. A page
// is installed and dropped in each stripe: then all later splits share one anon_vma, and join
// again.
Errno Pager::RegisterStripes(Vad& vad) {
  for (size_t i = 0; i < vad.stripes.size(); ++i) {
    Stripe& stripe = vad.stripes[i];
    ShardThread& shard = *shards_[stripe.shard];
    if (const Errno error = shard.platform().Register(SpaceOf(vad, i)); error != 0) return error;
    if (frames_.ChargeUpTo(PageCount(1), PageCount(0)).value() == 1) {
      const RunResult copied = shard.platform().CopyZeros(
          stripe.range.begin, PageCount(1), InstallMode::kWritable, WakeMode::kNoWake);
      if (copied.done.value() == 1) {
        const Errno error = shard.platform().Discard(PageRange(stripe.range.begin, PageCount(1)));
        USERPAGER_CHECK(error == 0, "a fresh page could not be discarded", error);
      }
      frames_.Return(PageCount(1));
    }
  }
  return 0;
}

Errno Pager::BuildVad(PageIndex at, PageCount pages, Protection protection, bool commit, Vad& vad) {
  vad.range = PageRange(at, pages);
  PageIndex mapped;
  if (const Errno error = MapReservation(at, vad.footprint().count(), &mapped); error != 0) {
    vad.range = PageRange();
    return error;
  }
  vad.range = PageRange(mapped, pages);
  return BuildPages(protection, commit, vad);
}

// Everything of a paged reservation but its address space.
Errno Pager::BuildPages(Protection protection, bool commit, Vad& vad) {
  const PageCount pages = vad.range.count();
  vad.allocation_protection = protection;
  vad.default_pte =
      commit ? Pte(PageState::kDemandZero, protection) : Pte(PageState::kReserved, Protection{});
  vad.ptes = ArenaArray<PteWord>(pages.value());
  const uint64_t groups = (pages.value() + kPteGroupPages - 1) / kPteGroupPages;
  const uint64_t spans = SpanOf(vad.range.end - PageCount(1)) - SpanOf(vad.range.begin) + 1;
  if (!vad.ptes.ok() || !vad.touched.Reset((groups + 63) / 64) ||
      !vad.opened.Reset((spans + 63) / 64)) {
    return ENOMEM;
  }
  if (const Errno error = MakeStripes(vad); error != 0) return error;
  if (commit) vad.committed = pages;
  return RegisterStripes(vad);
}

Errno Pager::Reserve(PageIndex at, PageCount pages, Protection protection, bool commit, Vad** vad) {
  Vad* made = ArenaNew<Vad>();
  if (made == nullptr) return ENOMEM;
  Errno error = BuildVad(at, pages, protection, commit, *made);
  size_t added = 0;
  if (error == 0) error = OpenStripes(*made, &added);
  if (error == 0) {
    *vad = made;
    return 0;
  }
  bool all_gone = true;
  for (size_t i = 0; i < added; ++i) {
    Stripe& stripe = made->stripes[i];
    all_gone &= shards_[stripe.shard]->shard().RemoveStripe(&stripe, stripe.range,
                                                            SpaceAfter::kUnmapped);
  }
  // Nobody has seen the range. What RemoveStripe has unmapped may be somebody else's by now.
  if (!made->range.empty()) {
    const PageIndex rest =
        added == 0 ? made->footprint().begin : made->stripes[added - 1].range.end;
    (void)Unmap(PageRange(rest, made->footprint().end));
  }
  all_gone ? ArenaDelete(made) : TellOfLeftSpace(*made);
  return error;
}

// The kernel allows access last: whoever touches pages that have no owner yet gets its SIGSEGV, and
// every fault is of a page that a shard knows.
Errno Pager::OpenStripes(Vad& vad, size_t* added) {
  for (*added = 0; *added < vad.stripes.size(); ++*added) {
    Stripe& stripe = vad.stripes[*added];
    const Errno error = shards_[stripe.shard]->shard().AddStripe(&stripe);
    if (error != 0) return error;
  }
  if (!vad.default_pte.committed()) return 0;
  return PrepareAccess(vad, vad.range, vad.default_pte.protection());
}

void Pager::Release(Vad* vad) {
  bool all_gone = true;
  for (size_t i = 0; i < vad->stripes.size(); ++i) {
    Stripe& stripe = vad->stripes[i];
    all_gone &= shards_[stripe.shard]->shard().RemoveStripe(&stripe, SpaceOf(*vad, i),
                                                            SpaceAfter::kUnmapped);
  }
  if (!all_gone) {
    TellOfLeftSpace(*vad);
    return;
  }
  if (vad->kind != VadKind::kPaged) ReleaseSpace(*vad);
  if (vad->kind == VadKind::kLargePages) ReturnUnpagedFrames(vad->range.count());
  ArenaDelete(vad);
}

// Of a Vad that no shard knows.
void Pager::ReleaseSpace(const Vad& vad) {
  const Errno error = Unmap(vad.footprint());
  USERPAGER_CHECK(error == 0, "a reservation could not be unmapped (ENOMEM: too many mappings;"
                  " raise vm.max_map_count)", error);
}

// Lets the kernel allow what the pages of the range are to allow: writing, over whole spans, so
// that mappings stay few; and executing, for exactly these pages.
Errno Pager::PrepareAccess(Vad& vad, PageRange range, Protection protection) {
  if (const Errno error = OpenSpans(vad, range); error != 0) return error;
  PagePlatform& platform = shards_[0]->platform();
  if (protection.AllowsExecute()) {
    return platform.SetAccess(range, KernelAccess::kReadWriteExecute);
  }
  return CloseExecutable(vad, range);
}

Errno Pager::OpenSpans(Vad& vad, PageRange range) {
  const uint64_t base = SpanOf(vad.range.begin);
  const uint64_t end = SpanOf(range.end - PageCount(1)) - base + 1;
  uint64_t span = SpanOf(range.begin) - base;
  const auto is_open = [&](uint64_t s) { return (vad.opened[s / 64] >> (s % 64) & 1) != 0; };
  while (span < end) {
    if (is_open(span)) {
      ++span;
      continue;
    }
    uint64_t stop = span;
    while (stop < end && !is_open(stop)) ++stop;
    constexpr uint64_t kSpanPages = kProtectionSpanBytes / kPageBytes;
    const PageRange opened = PageRange(PageIndex((base + span) * kSpanPages),
                                       PageIndex((base + stop) * kSpanPages))
                                 .Clip(vad.range);
    const Errno error = shards_[0]->platform().SetAccess(opened, KernelAccess::kReadWrite);
    if (error != 0) return error;
    for (; span < stop; ++span) vad.opened[span / 64] |= uint64_t{1} << (span % 64);
  }
  return 0;
}

// Pages of the range that may be executed until now no longer may.
Errno Pager::CloseExecutable(Vad& vad, PageRange range) {
  PageIndex page = vad.default_pte.protection().AllowsExecute()
                       ? range.begin
                       : vad.NextTouched(range.begin, range.end);
  while (page < range.end) {
    PageIndex end = page;
    while (end < range.end && vad.Load(end).own_protection().AllowsExecute()) ++end;
    if (end > page) {
      const Errno error =
          shards_[0]->platform().SetAccess(PageRange(page, end), KernelAccess::kReadWrite);
      if (error != 0) return error;
      page = end;
    } else {
      ++page;
    }
    if (!vad.default_pte.protection().AllowsExecute()) page = vad.NextTouched(page, range.end);
  }
  return 0;
}

Errno Pager::HideAll(Vad& vad, PageRange range) {
  const Errno error = ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    return shard.HidePages(stripe, part);
  });
  if (error == 0) return 0;
  (void)ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.UnhidePages(stripe, part);
    return 0;
  });
  return error;
}

// What may fail comes first and changes nothing that can be seen; what changes pages cannot fail.
Errno Pager::ChangeProtection(Vad& vad, PageRange range, Protection protection, bool commit) {
  if (!protection.AllowsAccess()) {
    const Errno error = HideAll(vad, range);
    if (error != 0) return error;
  }
  if (const Errno error = PrepareAccess(vad, range, protection); error != 0) return error;
  return ForEachStripe(vad, range, [&](Shard& shard, Stripe& stripe, PageRange part) {
    shard.SetProtection(stripe, part, protection, commit);
    return 0;
  });
}

Errno Pager::Commit(Vad& vad, PageRange range, Protection protection) {
  const PageCount fresh = range.count() - CountCommitted(vad, range);
  const Errno error = ChangeProtection(vad, range, protection, true);
  if (error == 0) vad.committed += fresh;
  return error;
}

Errno Pager::Protect(Vad& vad, PageRange range, Protection protection) {
  return ChangeProtection(vad, range, protection, false);
}

void Pager::Decommit(Vad& vad, PageRange range) {
  const PageCount gone = CountCommitted(vad, range);
  // A refusal leaves the kernel's protection wider than it need be, which the pages' own gates.
  (void)CloseExecutable(vad, range);
  (void)ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.DecommitPages(stripe, part);
    return 0;
  });
  vad.committed -= gone;
}

// Half of what is beyond the smallest limit: the rest is for pages that come and go.
PageCount Pager::LockablePages() const {
  const PageCount limit = frames_.limit();
  const PageCount smallest = SmallestMemoryLimit(options_.shards);
  return limit > smallest ? PageCount((limit - smallest).value() / 2) : PageCount(0);
}

PageCount Pager::StayingPages() const {
  PageCount staying = frames_.unpaged();
  for (unsigned i = 0; i < options_.shards; ++i) staying += shards_[i]->shard().staying_pages();
  return staying;
}

PageCount Pager::LockableNow() const {
  const PageCount most = LockablePages();
  const PageCount staying = StayingPages();
  return most > staying ? most - staying : PageCount(0);
}

bool Pager::IsParkingPlace(PageIndex page) const {
  for (unsigned i = 0; i < options_.shards; ++i) {
    if (shards_[i]->shard().IsParkingPlace(page)) return true;
  }
  return false;
}

bool Pager::MayStay(const Vad& vad, PageRange range) const {
  const PageCount staying = CountPages(vad, range, [](Pte pte) { return pte.stays(); });
  return StayingPages() + range.count() - staying <= LockablePages();
}

Errno Pager::LockPages(Vad& vad, PageRange range) {
  if (!MayStay(vad, range)) return EAGAIN;
  PageCount locked = range.count() - CountPages(vad, range, [](Pte pte) { return pte.locked(); });
  for (unsigned i = 0; i < options_.shards; ++i) locked += shards_[i]->shard().locked_pages();
  if (locked > PageCount(lock_quota_.load(std::memory_order_relaxed))) return EAGAIN;
  return ForEachStripe(vad, range, [](Shard& shard, Stripe& stripe, PageRange part) {
    shard.LockPages(stripe, part);
    return 0;
  });
}

void Pager::UnlockPages(Vad& vad, PageRange range, bool* all_locked) {
  *all_locked = true;
  (void)ForEachStripe(vad, range, [&](Shard& shard, Stripe& stripe, PageRange part) {
    *all_locked = *all_locked && shard.AllLocked(stripe, part);
    return 0;
  });
  (void)ForEachStripe(vad, range, [&](Shard& shard, Stripe& stripe, PageRange part) {
    if (*all_locked) {
      shard.UnlockPages(stripe, part);
    } else {
      shard.TrimPages(stripe, part);
    }
    return 0;
  });
}

Errno Pager::BringIn(PageRange range) {
  Errno error = 0;
  for (unsigned i = 0; i < options_.shards && error == 0; ++i) {
    BringInRequest* request = ArenaNew<BringInRequest>();
    if (request == nullptr) return ENOMEM;
    request->range = range;
    (void)shards_[i]->shard().Post(request);
    shards_[i]->Kick();
    while (request->done.load(std::memory_order_acquire) == 0) {
      syscall(SYS_futex, &request->done, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
    error = request->error;
    ArenaDelete(request);
  }
  return error;
}

Errno Pager::SetMemoryLimit(PageCount limit) {
  const PageCount smallest = SmallestMemoryLimit(options_.shards);
  if (limit < smallest || limit > MachinePages()) return EINVAL;
  // Locked pages leave room for what the smallest limit is for, or a fault could wait for ever.
  if (StayingPages() + smallest > limit) return EBUSY;
  const PageCount before = frames_.limit();
  frames_.set_limit(limit);
  KickAll();
  PageCount lowest = frames_.charged();
  uint64_t progress_ns = NowNanoseconds();
  while (frames_.charged() > limit) {
    const timespec nap{0, 500'000};
    nanosleep(&nap, nullptr);
    KickAll();
    // What the device has may still leave, however long it takes.
    if (frames_.charged() < lowest || HasTransfers()) {
      lowest = std::min(lowest, frames_.charged());
      progress_ns = NowNanoseconds();
    } else if (NowNanoseconds() - progress_ns > kLimitPatienceNs) {
      frames_.set_limit(before);
      KickAll();
      return EBUSY;
    }
  }
  return 0;
}

bool Pager::HasTransfers() {
  for (unsigned i = 0; i < options_.shards; ++i) {
    if (shards_[i]->shard().has_transfers()) return true;
  }
  return false;
}

// The shards look at the limit again: buffers and watermarks follow it.
void Pager::KickAll() {
  for (unsigned i = 0; i < options_.shards; ++i) {
    shards_[i]->shard().OnLimitChanged();
    shards_[i]->Kick();
  }
}

Errno Pager::GrowPageFile(PageCount pages) { return page_file_.Grow(pages); }

// Memory that is never promised: buffers, what a shard keeps to go on, and some pages that can
// always turn over when every slot is taken.
PageCount Pager::HeldBack(PageCount memory_limit, unsigned shards, bool encrypts) {
  const PageCount share(memory_limit.value() / shards);
  const PageCount sealed = encrypts ? BufferPool::SealedPagesFor(share) : PageCount(0);
  const uint64_t each = BufferPool::PagesFor(share).value() + sealed.value() + 8 +
                        std::min(share.value() / 16, kTurnoverPages);
  return PageCount(each * shards);
}

PageCount Pager::CommitLimitNow() const {
  // While nothing can be written, the page file is good for what it has already.
  const PageCount slots = page_file_.refuses() ? page_file_.used() : page_file_.usable();
  return frames_.limit() - HeldBack() + (slots - std::min(slots, page_file_.lent()));
}

PageCount Pager::CommitLimitMost() const {
  return frames_.limit() - HeldBack() + page_file_.max_usable();
}

void Pager::CollectCounters(CounterTotals* totals) const {
  for (unsigned i = 0; i < options_.shards; ++i) {
    shards_[i]->shard().CollectCounters(totals);
  }
}

bool Pager::CheckConsistency() {
  for (unsigned i = 0; i < options_.shards; ++i) {
    if (!shards_[i]->shard().CheckConsistency()) return false;
  }
  return true;
}

}  // namespace userpager
