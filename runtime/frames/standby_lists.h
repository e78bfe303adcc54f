// StandbyLists: the parked frames whose content is also in the page file, in order of age; those on
// trial apart from the others, because the replacement policy says of which kind the next one is
// dropped.
//
// Locks: the shard's mutex.
#ifndef USERPAGER_FRAMES_STANDBY_LISTS_H_
#define USERPAGER_FRAMES_STANDBY_LISTS_H_

#include "runtime/frames/frame_table.h"

namespace userpager {

class StandbyLists {
 public:
  void PushYoungest(FrameTable& table, FrameIndex frame, bool on_trial) {
    (on_trial ? on_trial_ : others_).PushYoungest(table, frame);
  }
  void PushOldest(FrameTable& table, FrameIndex frame, bool on_trial) {
    (on_trial ? on_trial_ : others_).PushOldest(table, frame);
  }
  void Remove(FrameTable& table, FrameIndex frame) {
    (table[frame].list() == FrameListId::kTrial ? on_trial_ : others_).Remove(table, frame);
  }
  // kNoFrame: there is none of the kind.
  FrameIndex oldest(bool on_trial) const { return (on_trial ? on_trial_ : others_).oldest(); }
  PageCount count() const { return others_.count() + on_trial_.count(); }
  bool empty() const { return others_.empty() && on_trial_.empty(); }

 private:
  FrameList others_{FrameListId::kStandby};
  FrameList on_trial_{FrameListId::kTrial};
};

}  // namespace userpager

#endif  // USERPAGER_FRAMES_STANDBY_LISTS_H_
