// HotSet: keeps the pages that are used again and again, through scans of any length and without an
// accessed bit.
//
// A page is fresh when it comes, and becomes proven when it is seen used once more:
//
//     first touch, read --> fresh (mapped) --> fresh (parked) --> dropped, its stamp in its PTE
//                                                   | touched             | read again soon
//                                                   v                     v
//                           on trial (parked) <-- proven (mapped) <-------+
//                                |       ^           ^
//                                |       +--touched--+
//                                +--> dropped
//
// Of the fresh pages only the youngest are mapped: all others are parked, where a touch tells, for
// the price of one soft fault for each page that proves itself. Proven pages cost nothing until
// memory is wanted and few fresh pages are left; then the oldest are parked, on trial.
//
// Where parking tells nothing (SecondChance), a fresh page that is clean is dropped without being
// parked, but for the few by which that is seen to change.
//
// Pages that a stream has read and is past leave at once and before anything else (drop-behind),
// without being asked: so a scan keeps a small part of memory, and what was there before it stays;
// of a loop that does not fit, too. One in eight pages that leave meanwhile is one of the others
// all the same, or what is out of use would stay for ever. Where memory is not wanted, what a
// stream has left far behind is fresh again, and is asked.
//
// The idea of two queues and of a memory of those that left is 2Q's (T. Johnson, D. Shasha, VLDB
// 1994) and S3-FIFO's (J. Yang et al., SOSP 2023); that the time until a page comes back decides is
// LIRS' and CLOCK-Pro's (S. Jiang, F. Chen, X. Zhang, USENIX ATC 2005). Queues in order of arrival
// are all that a pager without accessed bits can have.
//
// How much the fresh pages may keep adapts: as long as trials are passed, the proven pages are
// worth their place; where they fail, the program has moved on and the newcomers are given more.
//
// A loop that does not fit in memory gives no page time to come back, so that any queue would keep
// nothing of it. Therefore the pages that happen to arrive in a small part of the time are taken
// for proven at once when they have been here before: a part of the loop stays and is found there
// in each round (the idea of bimodal insertion: M. Qureshi et al., ISCA 2007). They come in long
// stretches, so that what is read ahead of a sequential loop stays in one piece.
#ifndef USERPAGER_POLICY_HOT_SET_H_
#define USERPAGER_POLICY_HOT_SET_H_

#include "runtime/policy/replacement.h"
#include "runtime/policy/second_chance.h"

namespace userpager {

class HotSet final : public ReplacementPolicy {
 public:
  explicit HotSet(FrameTable& frames) : frames_(frames) {}

  void Enter(FrameIndex frame, Arrival arrival, PageHistory history) override;
  PageHistory Leave(FrameIndex frame) override;
  void LeftUnasked() override;
  FrameIndex Victim(const UnmappedPages& unmapped) override;
  void Spare(FrameIndex frame) override;
  void PassedBy(FrameIndex frame) override;
  bool LeavesWith(FrameIndex neighbour, FrameIndex victim) const override;
  PageCount ParkTarget(const UnmappedPages& unmapped) override;
  bool MustBeAsked(FrameIndex frame) const override { return &GenerationOf(frame) == &proven_; }
  bool LeavesUnasked(FrameIndex frame) const override;
  bool DropsVictim() const override;
  bool DropsTrial(const UnmappedPages& unmapped) override;
  void Dropped(PageHistory history) override;
  PageCount count() const override {
    return fresh_.list.count() + passed_.list.count() + proven_.list.count();
  }

  // Pages that may be fresh, mapped and parked, before proven ones go on trial.
  PageCount fresh_target() const;

 private:
  struct Generation {
    FrameList list{FrameListId::kWorkingSet};
    uint32_t arrivals = 0;  // a frame's age is how many came after it
  };

  Generation& GenerationOf(FrameIndex frame);
  const Generation& GenerationOf(FrameIndex frame) const;
  void Push(FrameIndex frame, Generation& generation, bool ahead);
  void LeftBehind();
  PageCount KeptBehind() const;
  bool HasManyBehind() const { return passed_.list.count() > KeptBehind(); }
  bool DropsFresh() const;
  bool SparesFresh() const;
  // Fresh pages, mapped and parked.
  PageCount Fresh(const UnmappedPages& unmapped) const {
    return fresh_.list.count() + passed_.list.count() + unmapped.others;
  }
  bool CameBackSoon(PageHistory history, uint64_t eighths) const;
  bool IsSample() const;
  uint64_t UnitsOf(uint64_t eighths) const;
  PageCount RecentlyLeft() const;
  void NoteMemory(const UnmappedPages& unmapped);
  bool WantsTrials(const UnmappedPages& unmapped) const;
  uint64_t now() const { return page_ins_ >> stamp_shift_; }

  FrameTable& frames_;
  Generation fresh_;
  Generation passed_;  // fresh as well, behind a stream
  Generation proven_;
  SecondChance second_chance_;
  UnmappedPages unmapped_;     // when page-out last asked
  PageCount memory_;           // in use then; 0: it never did
  uint64_t page_ins_ = 0;      // the clock: pages that came from outside of memory
  uint64_t spared_in_a_row_ = 0;  // since a page last left
  int64_t owed_ = 0;  // by the parked, to those that leave before them: how many of these left
  uint64_t left_behind_ = 0;    // of those that were passed by, since they were last looked at
  uint64_t missed_behind_ = 0;  // that came back soon, since then
  uint64_t keeps_until_ = 0;    // on the clock: none is dropped behind its stream before
  unsigned stamp_shift_ = 0;   // 2 to the power of it page-ins are one unit of the stamps
  PageCount fresh_target_;     // before it is kept between its bounds
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_HOT_SET_H_
