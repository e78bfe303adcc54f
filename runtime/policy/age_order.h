// AgeOrder: pages leave in the order in which they came; one that is touched while it is parked
// comes back as the youngest. The share of memory that is kept parked makes two known policies of
// it. With none it is FIFO: what is parked is on its way out. With a large share it is the clock
// with two hands: leaving the working set clears what CLOCK calls the reference bit, a soft fault
// sets it, and the distance between the hands is the time that a page has to be touched (S. Leffler
// et al., "The Design and Implementation of the 4.3BSD UNIX Operating System", 1989, chapter 5).
#ifndef USERPAGER_POLICY_AGE_ORDER_H_
#define USERPAGER_POLICY_AGE_ORDER_H_

#include "runtime/policy/replacement.h"

namespace userpager {

class AgeOrder final : public ReplacementPolicy {
 public:
  // `parked_percent` of the memory in use is kept parked; 0 to 99.
  AgeOrder(FrameTable& frames, unsigned parked_percent)
      : frames_(frames), parked_percent_(parked_percent) {}

  void Enter(FrameIndex frame, Arrival arrival, PageHistory history) override;
  PageHistory Leave(FrameIndex frame) override;
  void LeftUnasked() override {}
  FrameIndex Victim(const UnmappedPages&) override { return list_.oldest(); }
  void Spare(FrameIndex frame) override;
  void PassedBy(FrameIndex) override {}
  bool LeavesWith(FrameIndex neighbour, FrameIndex victim) const override;
  PageCount ParkTarget(const UnmappedPages& unmapped) override;
  // That is what makes CLOCK of FIFO.
  bool MustBeAsked(FrameIndex) const override { return parked_percent_ > 0; }
  bool LeavesUnasked(FrameIndex) const override { return false; }
  bool DropsVictim() const override { return false; }
  bool DropsTrial(const UnmappedPages&) override { return false; }
  void Dropped(PageHistory) override {}
  PageCount count() const override { return list_.count(); }

 private:
  FrameTable& frames_;
  const unsigned parked_percent_;
  FrameList list_{FrameListId::kWorkingSet};
  uint32_t clock_ = 0;  // counts arrivals; a frame's age is how many came after it
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_AGE_ORDER_H_
