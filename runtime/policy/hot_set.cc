#include "runtime/policy/hot_set.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace userpager {
namespace {

// Frame::age_stamp: two flags, and the arrival's number in its generation.
constexpr uint32_t kProven = 1u << 31;
constexpr uint32_t kAhead = 1u << 30;
constexpr uint32_t kNumber = kAhead - 1;

// The constants are shares of the memory in use. bench/replacement_sim shows what they do; none of
// them is sharp.

// Fresh pages that stay mapped: what is used several times just after it came, or was read ahead,
// should cost no soft fault.
constexpr uint64_t kMappedFreshShare = 24;
// Bounds of what fresh pages may keep.
constexpr uint64_t kLeastFreshShare = 32;
constexpr uint64_t kMostFreshShare = 2;
// Fresh pages beyond their target at which trials begin nevertheless: memory is freed in batches.
constexpr uint64_t kSlackShare = 64;
// Pages on trial at a time: the longer the list, the longer a trial.
constexpr uint64_t kTrialShare = 6;
// A page that is read again before so much of memory was replaced has come back soon: two eighths
// would forget hot pages whose turn comes late, four would take every second cold page for hot.
constexpr uint64_t kSoonEighths = 3;
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
  return (frames_[frame].age_stamp & kProven) != 0 ? proven_ : fresh_;
}

const HotSet::Generation& HotSet::GenerationOf(FrameIndex frame) const {
  return (frames_[frame].age_stamp & kProven) != 0 ? proven_ : fresh_;
}

void HotSet::Push(FrameIndex frame, bool proven, bool ahead) {
  Generation& generation = proven ? proven_ : fresh_;
  frames_[frame].age_stamp = (generation.arrivals++ & kNumber) | (proven ? kProven : 0u) |
                             (ahead ? kAhead : 0u);
  generation.list.PushYoungest(frames_, frame);
}

void HotSet::Enter(FrameIndex frame, Arrival arrival, PageHistory history) {
  bool proven = false;
  switch (arrival) {
    case Arrival::kSoftFault:
      // The first use of a page that was read ahead is no second one.
      proven = !history.ahead();
      if (history.on_trial()) {
        fresh_target_ = fresh_target() - std::min(fresh_target(), kPassedWeight);
      }
      break;
    case Arrival::kDemandZero:
    case Arrival::kHardFault:
      ++page_ins_;
      proven = history.has_stamp() && (CameBackSoon(history) || IsSample());
      break;
    case Arrival::kReadAhead:
      ++page_ins_;
      proven = history.has_stamp() && IsSample();
      break;
    case Arrival::kReturned:
      break;
  }
  Push(frame, proven, arrival == Arrival::kReadAhead);
}

PageHistory HotSet::Leave(FrameIndex frame) {
  const uint32_t stamp = frames_[frame].age_stamp;
  GenerationOf(frame).list.Remove(frames_, frame);
  spared_in_a_row_ = 0;
  return PageHistory(now(), (stamp & kProven) != 0, (stamp & kAhead) != 0);
}

// Out of the way of the fresh ones, which are asked first.
void HotSet::Spare(FrameIndex frame) {
  const bool ahead = (frames_[frame].age_stamp & kAhead) != 0;
  GenerationOf(frame).list.Remove(frames_, frame);
  ++spared_in_a_row_;
  Push(frame, true, ahead);
}

bool HotSet::CameBackSoon(PageHistory history) const {
  return history.Elapsed(now()) <= (memory_.value() * kSoonEighths / 8) >> stamp_shift_;
}

bool HotSet::IsSample() const {
  const uint64_t stretch =
      std::clamp<uint64_t>(memory_.value() / kSampleStretches, 1, kLongestStretch);
  return page_ins_ / stretch % kSampleStretches == 0;
}

// The unit of the stamps follows memory's size. Stamps that were given in another unit say
// something wrong then, once, so it changes seldom.
void HotSet::NoteMemory(const ParkedPages& parked) {
  memory_ = count() + parked.all();
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
bool HotSet::WantsTrials(const ParkedPages& parked) const {
  return fresh_.list.count() + parked.others <=
         fresh_target() + PageCount(memory_.value() / kSlackShare);
}

FrameIndex HotSet::Victim(const ParkedPages& parked) {
  NoteMemory(parked);
  const bool spare_fresh = fresh_.list.count() > PageCount(memory_.value() / kMappedFreshShare);
  const bool proven = !spare_fresh && WantsTrials(parked);
  const Generation* chosen = proven ? &proven_ : &fresh_;
  const Generation* other = proven ? &fresh_ : &proven_;
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

PageCount HotSet::ParkTarget(const ParkedPages& parked) {
  NoteMemory(parked);
  const PageCount mapped_fresh(memory_.value() / kMappedFreshShare);
  const PageCount fresh = fresh_.list.count() + parked.others;
  const PageCount target = fresh > mapped_fresh ? fresh - mapped_fresh : PageCount(0);
  PageCount trials = parked.on_trial;
  if (WantsTrials(parked)) {
    trials = std::max(trials, PageCount(memory_.value() / kTrialShare));
    trials = std::min(trials, parked.on_trial + proven_.list.count());
  }
  return target + trials;
}

bool HotSet::DropsTrial(const ParkedPages& parked) {
  NoteMemory(parked);
  const uint64_t memory = memory_.value();
  const PageCount fresh = fresh_.list.count() + parked.others;
  if (fresh > fresh_target() || parked.on_trial.value() == 0) return false;
  // A trial must not be cut short while there are fresh pages to drop.
  const bool short_list = parked.on_trial < PageCount(memory / kTrialShare / 2) &&
                          proven_.list.count().value() > 0;
  return !short_list || fresh <= PageCount(memory / kLeastFreshShare);
}

void HotSet::Dropped(PageHistory history) {
  if (history.on_trial()) fresh_target_ = fresh_target() + kFailedWeight;
}

}  // namespace userpager
