#include "runtime/policy/hot_set.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace userpager {
namespace {

// Frame::age_stamp: four flags, and the arrival's number in its generation.
constexpr uint32_t kProven = 1u << 31;
constexpr uint32_t kAhead = 1u << 30;
constexpr uint32_t kPassed = 1u << 29;
constexpr uint32_t kSoon = 1u << 28;  // read ahead soon after it left: proven, if it is used
constexpr uint32_t kNumber = kSoon - 1;

// The constants are shares of the memory in use. bench/replacement_sim shows what they do; none of
// them is sharp.

// Fresh pages that stay mapped: what is used several times just after it came, or was read ahead,
// should cost no soft fault.
constexpr uint64_t kMappedFreshShare = 24;
// Of what fresh pages may keep, what streams keep behind them: others would starve otherwise, where
// most of memory is proven.
constexpr uint64_t kBehindShare = 4;
// Of the pages that leave while a stream passes, one in one more than that is another; and how far
// either may be ahead of its turn.
constexpr int64_t kPassedForEachOther = 7;
constexpr int64_t kMostOwed = 64 * kPassedForEachOther;
// Where one in so many of them is read again soon, and how many are looked at for that.
constexpr uint64_t kMissedShare = 8;
constexpr uint64_t kLookedAt = 256;
// Bounds of what fresh pages may keep.
constexpr uint64_t kLeastFreshShare = 32;
constexpr uint64_t kMostFreshShare = 2;
// Fresh pages beyond their target at which trials begin nevertheless: memory is freed in batches.
constexpr uint64_t kSlackShare = 64;
// Where fresh pages are not asked, those that are parked all the same.
constexpr uint64_t kAskedShare = 32;
// Pages on trial at a time: the longer the list, the longer a trial.
constexpr uint64_t kTrialShare = 6;
// A page that is read again before so much of memory was replaced has come back soon: two eighths
// would forget hot pages whose turn comes late, four would take every second cold page for hot.
constexpr uint64_t kSoonEighths = 3;
// The same of a page that a stream reads again: what a loop reads fits in memory then.
constexpr uint64_t kStreamSoonEighths = 5;
constexpr uint64_t kMemoryEighths = 8;
// A trial that is passed says that the proven pages are well chosen; it weighs more than one that
// is failed, because what is on trial is the oldest of them.
constexpr PageCount kPassedWeight{3};
constexpr PageCount kFailedWeight{1};
// One in so many stretches of page-ins is kept; and the length of a stretch.
constexpr uint64_t kSampleStretches = 32;
constexpr uint64_t kLongestStretch = 512;
// Units of the stamps in memory's size: as few as still tell soon from late, so that stamps go far.
constexpr uint64_t kFewestUnits = 8;
constexpr uint64_t kMostUnits = 64;
constexpr uint64_t kChosenUnits = 16;
// The youngest of a generation stay while the other has more.
constexpr PageCount kYoungest{8};

}  // namespace

HotSet::Generation& HotSet::GenerationOf(FrameIndex frame) {
  const uint32_t stamp = frames_[frame].age_stamp;
  return (stamp & kProven) != 0 ? proven_ : (stamp & kPassed) != 0 ? passed_ : fresh_;
}

const HotSet::Generation& HotSet::GenerationOf(FrameIndex frame) const {
  return const_cast<HotSet*>(this)->GenerationOf(frame);
}

void HotSet::Push(FrameIndex frame, Generation& generation, bool ahead) {
  frames_[frame].age_stamp = (generation.arrivals++ & kNumber) |
                             (&generation == &proven_ ? kProven : 0u) |
                             (&generation == &passed_ ? kPassed : 0u) | (ahead ? kAhead : 0u);
  generation.list.PushYoungest(frames_, frame);
}

void HotSet::Enter(FrameIndex frame, Arrival arrival, PageHistory history) {
  bool proven = false;
  switch (arrival) {
    case Arrival::kSoftFault:
      if (!history.on_trial()) second_chance_.OnRescue();
      // The first use of a page that was read ahead is no second one.
      proven = !history.ahead();
      if (history.on_trial()) {
        fresh_target_ = fresh_target() - std::min(fresh_target(), kPassedWeight);
      }
      break;
    case Arrival::kHardFault:
      second_chance_.OnRead(unmapped_.others, unmapped_.out, memory_, RecentlyLeft(),
                            history.has_stamp() && CameBackSoon(history, kSoonEighths));
      [[fallthrough]];
    case Arrival::kDemandZero:
      ++page_ins_;
      proven = history.has_stamp() && (CameBackSoon(history, kSoonEighths) || IsSample());
      break;
    case Arrival::kReadAhead:
      ++page_ins_;
      proven = history.has_stamp() && IsSample();
      break;
    case Arrival::kReturned:
      break;
  }
  missed_behind_ += arrival != Arrival::kReturned && history.passed() &&
                    CameBackSoon(history, kMemoryEighths);
  const bool ahead = arrival == Arrival::kReadAhead;
  Push(frame, proven ? proven_ : fresh_, ahead);
  if (ahead && history.has_stamp() && CameBackSoon(history, kStreamSoonEighths)) {
    frames_[frame].age_stamp |= kSoon;
  }
}

PageHistory HotSet::Leave(FrameIndex frame) {
  const uint32_t stamp = frames_[frame].age_stamp;
  GenerationOf(frame).list.Remove(frames_, frame);
  spared_in_a_row_ = 0;
  auto kind = PageHistory::Kind::kPlain;
  if ((stamp & kPassed) != 0) {
    kind = PageHistory::Kind::kPassed;
    LeftBehind();
  } else if ((stamp & kProven) != 0) {
    kind = PageHistory::Kind::kOnTrial;
  } else if ((stamp & kAhead) != 0) {
    kind = PageHistory::Kind::kAhead;
  }
  return PageHistory(now(), kind);
}

// Where streams come back soon, what is behind them is worth no less than what else is fresh: for
// as long as half of memory takes to be replaced.
void HotSet::LeftBehind() {
  LeftUnasked();
  if (++left_behind_ < kLookedAt) return;
  if (missed_behind_ > kLookedAt / kMissedShare) keeps_until_ = page_ins_ + memory_.value() / 2;
  left_behind_ = 0;
  missed_behind_ = 0;
}

void HotSet::LeftUnasked() { owed_ = std::min(owed_ + 1, kMostOwed); }

// Out of the way of the fresh ones, which are asked first.
void HotSet::Spare(FrameIndex frame) {
  const bool ahead = (frames_[frame].age_stamp & kAhead) != 0;
  GenerationOf(frame).list.Remove(frames_, frame);
  ++spared_in_a_row_;
  Push(frame, proven_, ahead);
}

void HotSet::PassedBy(FrameIndex frame) {
  if (&GenerationOf(frame) != &fresh_) return;
  const uint32_t stamp = frames_[frame].age_stamp;
  const bool proven = (stamp & kSoon) != 0;
  if (!proven && page_ins_ < keeps_until_) return;
  fresh_.list.Remove(frames_, frame);
  Push(frame, proven ? proven_ : passed_, (stamp & kAhead) != 0);
  // Nobody has wanted the memory of the oldest in so long a time.
  if (passed_.list.count() > KeptBehind() + KeptBehind() + kYoungest) {
    const FrameIndex oldest = passed_.list.oldest();
    passed_.list.Remove(frames_, oldest);
    frames_[oldest].set_streamed(false);
    Push(oldest, fresh_, false);
  }
}

bool HotSet::CameBackSoon(PageHistory history, uint64_t eighths) const {
  return history.Elapsed(now()) <= UnitsOf(eighths);
}

// So much of memory, in units of the stamps.
uint64_t HotSet::UnitsOf(uint64_t eighths) const {
  return (memory_.value() * eighths / 8) >> stamp_shift_;
}

// The pages that left memory since CameBackSoon says so of them: one for each that came.
PageCount HotSet::RecentlyLeft() const {
  const uint64_t since = now() - std::min(now(), UnitsOf(kSoonEighths));
  return PageCount(page_ins_ - (since << stamp_shift_));
}

bool HotSet::IsSample() const {
  const uint64_t stretch =
      std::clamp<uint64_t>(memory_.value() / kSampleStretches, 1, kLongestStretch);
  return page_ins_ / stretch % kSampleStretches == 0;
}

// The unit of the stamps follows memory's size. Stamps that were given in another unit say
// something wrong then, once, so it changes seldom.
void HotSet::NoteMemory(const UnmappedPages& unmapped) {
  unmapped_ = unmapped;
  memory_ = count() + unmapped.parked();
  const uint64_t units = memory_.value() >> stamp_shift_;
  if (units >= kFewestUnits && units <= kMostUnits) return;
  stamp_shift_ = static_cast<unsigned>(std::bit_width(memory_.value() / kChosenUnits));
}

// Between its bounds, which move with memory's size.
PageCount HotSet::fresh_target() const {
  return std::clamp(fresh_target_, PageCount(memory_.value() / kLeastFreshShare),
                    PageCount(memory_.value() / kMostFreshShare));
}

// Whether proven pages should be parked although fresh ones are in memory.
bool HotSet::WantsTrials(const UnmappedPages& unmapped) const {
  return Fresh(unmapped) <= fresh_target() + PageCount(memory_.value() / kSlackShare);
}

// Whether more fresh pages are mapped than should stay so.
bool HotSet::SparesFresh() const {
  return fresh_.list.count() + passed_.list.count() >
         PageCount(memory_.value() / kMappedFreshShare);
}

FrameIndex HotSet::Victim(const UnmappedPages& unmapped) {
  NoteMemory(unmapped);
  if (HasManyBehind() && owed_ < kMostOwed) return passed_.list.oldest();
  // To be asked themselves comes first for the fresh ones, where they are asked.
  const bool proven = (!SparesFresh() || DropsFresh()) && WantsTrials(unmapped);
  const bool from_fresh = fresh_.list.count() > kYoungest || passed_.list.empty();
  const Generation* fresh = from_fresh ? &fresh_ : &passed_;
  const Generation* chosen = proven ? &proven_ : fresh;
  const Generation* other = proven ? fresh : &proven_;
  if (chosen->list.count() <= kYoungest && other->list.count() > kYoungest) {
    std::swap(chosen, other);
  }
  // Where no page of the one can leave, the other's turn comes, so that all are asked.
  const uint64_t rounds = spared_in_a_row_ / std::max<uint64_t>(count().value(), 1);
  if (rounds % 2 == 1) std::swap(chosen, other);
  const FrameIndex victim = chosen->list.oldest();
  return victim != kNoFrame ? victim : other->list.oldest();
}

// In the older half of the victim's generation.
bool HotSet::LeavesWith(FrameIndex neighbour, FrameIndex victim) const {
  const Generation& generation = GenerationOf(victim);
  if (&GenerationOf(neighbour) != &generation) return false;
  const uint32_t age = (generation.arrivals - frames_[neighbour].age_stamp) & kNumber;
  return age > generation.list.count().value() / 2;
}

PageCount HotSet::ParkTarget(const UnmappedPages& unmapped) {
  NoteMemory(unmapped);
  const PageCount mapped_fresh(memory_.value() / kMappedFreshShare);
  const PageCount fresh = fresh_.list.count() + unmapped.others;
  PageCount target = fresh > mapped_fresh ? fresh - mapped_fresh : PageCount(0);
  if (!second_chance_.pays()) {
    target = std::min(target, PageCount(memory_.value() / kAskedShare));
  }
  PageCount trials = unmapped.on_trial;
  if (WantsTrials(unmapped)) {
    trials = std::max(trials, PageCount(memory_.value() / kTrialShare));
    trials = std::min(trials, unmapped.on_trial + proven_.list.count());
  }
  return target + trials;
}

PageCount HotSet::KeptBehind() const { return PageCount(fresh_target().value() / kBehindShare); }

// Fresh pages are not asked now.
bool HotSet::DropsFresh() const {
  return !second_chance_.pays() && unmapped_.others >= PageCount(memory_.value() / kAskedShare);
}

bool HotSet::LeavesUnasked(FrameIndex frame) const { return !MustBeAsked(frame) && DropsFresh(); }

bool HotSet::DropsVictim() const {
  if (owed_ >= kMostOwed) return false;
  if (HasManyBehind()) return true;
  const bool few_parked = unmapped_.others < PageCount(2 * memory_.value() / kAskedShare);
  return DropsFresh() && few_parked && SparesFresh() && !WantsTrials(unmapped_);
}

bool HotSet::DropsTrial(const UnmappedPages& unmapped) {
  NoteMemory(unmapped);
  const uint64_t memory = memory_.value();
  const PageCount fresh = Fresh(unmapped);
  if (fresh > fresh_target() || unmapped.on_trial.value() == 0) return false;
  // A trial must not be cut short while there are fresh pages to drop.
  const bool short_list = unmapped.on_trial < PageCount(memory / kTrialShare / 2) &&
                          proven_.list.count().value() > 0;
  return !short_list || fresh <= PageCount(memory / kLeastFreshShare);
}

void HotSet::Dropped(PageHistory history) {
  if (!history.passed()) owed_ = std::max(owed_ - kPassedForEachOther, -kMostOwed);
  if (history.on_trial()) fresh_target_ = fresh_target() + kFailedWeight;
}

}  // namespace userpager
