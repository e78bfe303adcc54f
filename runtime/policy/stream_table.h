// StreamTable: recognises threads of accesses that go through memory page after page, forward or
// backward, several at a time, and says how many neighbours the next fault of each should take
// along. The number starts at one page, so that scattered faults cost nothing extra, doubles each
// time that a stream goes on where it was expected, and is lost with the stream.
#ifndef USERPAGER_POLICY_STREAM_TABLE_H_
#define USERPAGER_POLICY_STREAM_TABLE_H_

#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

class StreamTable {
 public:
  // What a fault should cover. It contains the faulting page.
  struct Plan {
    PageRange range;
    // What the stream was given before and has now passed over: it was used.
    PageRange passed;
  };

  // `most`: the longest run, in pages.
  explicit StreamTable(PageCount most) : most_(most) {}

  // A fault on `page`; nothing outside `within` is planned.
  Plan OnFault(PageIndex page, PageRange within);
  // After OnFault: the part of its plan that was really done. The stream is expected to go on at
  // the border of that.
  void OnDone(PageRange done);

 private:
  // Pages that a stream may skip at the border of what it was given (they were resident).
  static constexpr uint64_t kSlack = 16;
  static constexpr unsigned kStreams = 64;

  struct Stream {
    PageRange given;        // the last run
    uint64_t run = 0;       // its planned length; 0: no stream yet
    bool backward = false;
    uint64_t last_used = 0;
  };

  Stream* Match(PageIndex page, bool* backward);
  Stream* Oldest();

  const PageCount most_;
  Stream streams_[kStreams];
  Stream* current_ = nullptr;  // of the last OnFault
  uint64_t clock_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_STREAM_TABLE_H_
