// ReplacementPolicy: which page of the working set leaves memory next. The main header of the
// policy room: its classes decide and change nothing but their own bookkeeping.
//
// Cast:  ReplacementPolicy (who leaves), its forms AgeOrder (FIFO and CLOCK) and HotSet (adaptive),
//        ReplacementChoice (the one that was asked for), SecondChance (whether parking pays),
//        PageHistory (what is remembered of a page that is out), ReadStreams (readahead),
//        StreamTable (how many neighbours a fault concerns: for demand-zero runs and write
//        clustering).
// Sees:  no accessed bit: a page of the working set gives no sign of life. A policy learns from
//        arrivals alone: a page that comes back from the parked lists (soft fault) was used while
//        it was there; one that is read again soon after it left was missed.
// Flow:  the shard reports each page that enters or leaves the working set; page-out asks how many
//        pages should be parked, for victims, which of the victim's neighbours leave with it, and
//        which kind of parked page is dropped first.
// Cost:  each call takes constant time and no memory.
// Locks: the shard's mutex.
#ifndef USERPAGER_POLICY_REPLACEMENT_H_
#define USERPAGER_POLICY_REPLACEMENT_H_

#include "runtime/base/types.h"
#include "runtime/frames/frame_table.h"
#include "runtime/policy/page_history.h"

namespace userpager {

// Why a page enters the working set.
enum class Arrival : uint8_t {
  kDemandZero,
  kSoftFault,   // it was wanted again while it was parked: hot
  kHardFault,   // it was read because somebody wants it
  kReadAhead,   // it was read, and nobody asked for it yet
  kReturned,    // it never left memory: it was locked, or could not be written; says nothing
};

// The pages of the program that are not mapped now.
struct UnmappedPages {
  // Parked, in whatever state, by what their history says.
  PageCount others;
  PageCount on_trial;
  PageCount out;  // in the page file alone

  PageCount parked() const { return others + on_trial; }
};

class ReplacementPolicy {
 public:
  virtual ~ReplacementPolicy() = default;

  // The frame is mapped from now on and may be chosen. It is on no list. `history` is what the last
  // Leave of its page returned, or an empty one.
  virtual void Enter(FrameIndex frame, Arrival arrival, PageHistory history) = 0;
  // The frame leaves the working set, or may no longer be chosen (it was locked). Returns what is
  // to be remembered of the page.
  virtual PageHistory Leave(FrameIndex frame) = 0;
  // A frame that LeavesUnasked is on its way out, and has not been parked.
  virtual void LeftUnasked() = 0;
  // The frame that should leave next; it stays until Leave or Spare. kNoFrame: there is none.
  virtual FrameIndex Victim(const UnmappedPages& unmapped) = 0;
  // The victim could not leave (something pins it): another one is wanted.
  virtual void Spare(FrameIndex frame) = 0;
  // A stream, for which the frame's page was read ahead, has used it and is past it.
  virtual void PassedBy(FrameIndex frame) = 0;
  // Whether a neighbour of the victim may leave with it.
  virtual bool LeavesWith(FrameIndex neighbour, FrameIndex victim) const = 0;
  // How many pages should be parked while memory is short, those included that are on their way out
  // because memory is wanted now. What is parked can be asked whether it is used, and is still
  // there when it is.
  virtual PageCount ParkTarget(const UnmappedPages& unmapped) = 0;
  // Whether the frame may only be dropped after it was parked and nobody touched it, however many
  // others wait meanwhile.
  virtual bool MustBeAsked(FrameIndex frame) const = 0;
  // Whether the frame need not be parked before it is dropped, if it is clean.
  virtual bool LeavesUnasked(FrameIndex frame) const = 0;
  // Whether the next victim should be dropped, if it is clean, before anything that is parked: it
  // is behind a stream, or LeavesUnasked while as much is parked as tells of a change.
  virtual bool DropsVictim() const = 0;
  // Whether the next parked page to be dropped is one on trial.
  virtual bool DropsTrial(const UnmappedPages& unmapped) = 0;
  // A parked page was dropped: nobody touched it.
  virtual void Dropped(PageHistory history) = 0;
  // The frames that may be chosen.
  virtual PageCount count() const = 0;
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_REPLACEMENT_H_
