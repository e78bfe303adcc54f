#include "runtime/policy/age_order.h"

namespace userpager {

void AgeOrder::Enter(FrameIndex frame, Arrival, PageHistory) {
  frames_[frame].age_stamp = clock_++;
  list_.PushYoungest(frames_, frame);
}

PageHistory AgeOrder::Leave(FrameIndex frame) {
  list_.Remove(frames_, frame);
  return PageHistory();
}

void AgeOrder::Spare(FrameIndex frame) {
  list_.Remove(frames_, frame);
  frames_[frame].age_stamp = clock_++;
  list_.PushYoungest(frames_, frame);
}

// In the older half of what is there. Unsigned differences survive the clock's wrapping.
bool AgeOrder::LeavesWith(FrameIndex neighbour, FrameIndex) const {
  return clock_ - frames_[neighbour].age_stamp > list_.count().value() / 2;
}

PageCount AgeOrder::ParkTarget(const UnmappedPages& unmapped) {
  return PageCount((list_.count() + unmapped.parked()).value() * parked_percent_ / 100);
}

}  // namespace userpager
