#include "runtime/frames/frame_table.h"

#include <errno.h>

#include "runtime/base/check.h"

namespace userpager {

Errno FrameTable::Init(PageCount most) {
  frames_ = ArenaArray<Frame>(most.value() + 1);
  return frames_.ok() ? 0 : ENOMEM;
}

FrameIndex FrameTable::Allocate(PageIndex page) {
  FrameIndex frame = first_free_;
  if (frame != kNoFrame) {
    first_free_ = frames_[frame.value()].next;
  } else {
    USERPAGER_CHECK(end_.value() < frames_.size(), "more frames than the machine has pages",
                    end_.value());
    frame = end_;
    ++end_;
  }
  ++in_use_;
  frames_[frame.value()] = Frame{};
  frames_[frame.value()].set_page(page);
  return frame;
}

void FrameTable::Free(FrameIndex frame) {
  Frame& entry = frames_[frame.value()];
  USERPAGER_CHECK(entry.list() == FrameListId::kNone, "a frame was freed that is on a list",
                  entry.page().value());
  entry = Frame{};
  entry.next = first_free_;
  first_free_ = frame;
  --in_use_;
}

void FrameList::PushYoungest(FrameTable& table, FrameIndex frame) {
  Frame& entry = table[frame];
  USERPAGER_CHECK(entry.list() == FrameListId::kNone, "a frame was put on a second list",
                  entry.page().value());
  entry.set_list(id_);
  entry.prev = youngest_;
  entry.next = kNoFrame;
  if (youngest_ != kNoFrame) table[youngest_].next = frame;
  youngest_ = frame;
  if (oldest_ == kNoFrame) oldest_ = frame;
  ++count_;
}

void FrameList::PushOldest(FrameTable& table, FrameIndex frame) {
  Frame& entry = table[frame];
  USERPAGER_CHECK(entry.list() == FrameListId::kNone, "a frame was put on a second list",
                  entry.page().value());
  entry.set_list(id_);
  entry.next = oldest_;
  entry.prev = kNoFrame;
  if (oldest_ != kNoFrame) table[oldest_].prev = frame;
  oldest_ = frame;
  if (youngest_ == kNoFrame) youngest_ = frame;
  ++count_;
}

void FrameList::Remove(FrameTable& table, FrameIndex frame) {
  Frame& entry = table[frame];
  USERPAGER_CHECK(entry.list() == id_, "a frame was taken from a list that it is not on",
                  entry.page().value());
  (entry.prev == kNoFrame ? oldest_ : table[entry.prev].next) = entry.next;
  (entry.next == kNoFrame ? youngest_ : table[entry.next].prev) = entry.prev;
  entry.set_list(FrameListId::kNone);
  entry.next = kNoFrame;
  entry.prev = kNoFrame;
  --count_;
}

}  // namespace userpager
