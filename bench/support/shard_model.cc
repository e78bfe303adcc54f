#include "bench/support/shard_model.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace userpager::bench {
namespace {

// As in runtime/pager/page_out.cc.
constexpr uint64_t kLongestTrimRun = 64;
constexpr uint64_t kLeastWorkingSet = 8;
constexpr uint64_t kParkedForEachDropped = 16;

}  // namespace

ShardModel::ShardModel(ReplacementKind kind, const AccessTrace& trace, uint32_t memory)
    : trace_(trace),
      memory_(memory),
      low_(std::clamp<uint64_t>(memory / 128, 4, 1024)),
      high_(2 * low_),
      policy_(kind, frames_),
      pages_(trace.page_count) {
  const Errno error = frames_.Init(PageCount(memory));
  USERPAGER_CHECK(error == 0, "no memory for the model's frames", error);
}

TraceCost ShardModel::Run() {
  TraceCost cost;
  for (size_t i = 0; i < trace_.pages.size(); ++i) {
    const uint32_t number = trace_.pages[i];
    const bool counts = i >= trace_.counted_from;
    switch (pages_[number].state) {
      case State::kMapped:
        break;
      case State::kParked:
        cost.soft_faults += counts;
        Rescue(number);
        break;
      case State::kOut:
        cost.misses += counts;
        BringIn(number);
        break;
    }
  }
  return cost;
}

void ShardModel::Rescue(uint32_t number) {
  Page& page = pages_[number];
  standby_.Remove(frames_, page.frame);
  --(page.history.on_trial() ? unmapped_.on_trial : unmapped_.others);
  page.state = State::kMapped;
  policy_->Enter(page.frame, Arrival::kSoftFault, page.history);
}

void ShardModel::BringIn(uint32_t number) {
  Page& page = pages_[number];
  if (page.was_in_memory) --unmapped_.out;
  page.frame = frames_.Allocate(PageIndex(number));
  page.state = State::kMapped;
  policy_->Enter(page.frame, page.was_in_memory ? Arrival::kHardFault : Arrival::kDemandZero,
                 page.history);
  page.was_in_memory = true;
  if (memory_ - frames_.in_use().value() < low_) Balance();
}

uint64_t ShardModel::Wanted() const {
  const uint64_t free = memory_ - frames_.in_use().value();
  return free < high_ ? high_ - free : 0;
}

uint64_t ShardModel::ToBeParked() {
  const uint64_t parked = standby_.count().value();
  const uint64_t target =
      std::max(Wanted(), std::min(policy_->ParkTarget(unmapped_).value(), parked + park_credit_));
  return target > parked ? target - parked : 0;
}

void ShardModel::Balance() {
  bool progress = true;
  while (progress && (Wanted() > 0 || ToBeParked() > 0)) {
    progress = policy_->DropsVictim() && Trim(Wanted(), Victims::kDroppedFirst);
    while (Wanted() > 0 && !standby_.empty()) {
      Drop();
      progress = true;
    }
    progress |= Trim(ToBeParked(), Victims::kAll);
  }
}

void ShardModel::Drop() {
  const bool on_trial = policy_->DropsTrial(unmapped_);
  FrameIndex frame = standby_.oldest(on_trial);
  if (frame == kNoFrame) frame = standby_.oldest(!on_trial);
  Page& page = pages_[frames_[frame].page().value()];
  standby_.Remove(frames_, frame);
  policy_->Dropped(page.history);
  --(page.history.on_trial() ? unmapped_.on_trial : unmapped_.others);
  page.state = State::kOut;
  ++unmapped_.out;
  frames_.Free(frame);
  EarnParking(1);
}

void ShardModel::EarnParking(uint64_t dropped) {
  park_credit_ = std::min(park_credit_ + kParkedForEachDropped * dropped,
                          kParkedForEachDropped * high_);
}

bool ShardModel::Trim(uint64_t goal, Victims victims) {
  uint64_t parked = 0;
  uint64_t dropped = 0;
  while (parked + dropped < goal && policy_->count().value() > kLeastWorkingSet) {
    const FrameIndex victim = policy_->Victim(unmapped_);
    const bool at_once = policy_->LeavesUnasked(victim);
    if (victims == Victims::kDroppedFirst && !(at_once && policy_->DropsVictim())) break;
    if (at_once && Wanted() == 0) break;
    const auto number = static_cast<uint32_t>(frames_[victim].page().value());
    uint32_t first = number;
    uint32_t end = number + 1;
    while (end < pages_.size() && end - first < kLongestTrimRun && LeavesWith(end, victim)) ++end;
    while (first > 0 && end - first < kLongestTrimRun && LeavesWith(first - 1, victim)) --first;
    if (at_once) {
      DropRun(first, end);
      dropped += end - first;
    } else {
      ParkRun(first, end);
      parked += end - first;
    }
  }
  park_credit_ -= std::min(park_credit_, parked);
  if (victims == Victims::kDroppedFirst) EarnParking(dropped);
  return parked + dropped > 0;
}

bool ShardModel::LeavesWith(uint32_t neighbour, FrameIndex victim) const {
  const Page& page = pages_[neighbour];
  return page.state == State::kMapped && policy_->LeavesWith(page.frame, victim);
}

void ShardModel::ParkRun(uint32_t first, uint32_t end) {
  for (uint32_t number = first; number < end; ++number) {
    Page& page = pages_[number];
    page.history = policy_->Leave(page.frame);
    page.state = State::kParked;
    const bool on_trial = page.history.on_trial();
    ++(on_trial ? unmapped_.on_trial : unmapped_.others);
    standby_.PushYoungest(frames_, page.frame, on_trial);
  }
}

// Without having been parked.
void ShardModel::DropRun(uint32_t first, uint32_t end) {
  for (uint32_t number = first; number < end; ++number) {
    Page& page = pages_[number];
    policy_->LeftUnasked();
    page.history = policy_->Leave(page.frame);
    page.state = State::kOut;
    ++unmapped_.out;
    frames_.Free(page.frame);
  }
}

}  // namespace userpager::bench
