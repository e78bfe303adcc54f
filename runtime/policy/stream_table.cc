#include "runtime/policy/stream_table.h"

#include <algorithm>
#include <iterator>

namespace userpager {

StreamTable::Stream* StreamTable::Match(PageIndex page, bool* backward) {
  for (Stream& stream : streams_) {
    if (stream.run == 0) continue;
    const uint64_t at = page.value();
    const uint64_t begin = stream.given.begin.value();
    const uint64_t end = stream.given.end.value();
    if (at >= end && at < end + kSlack && (stream.run == 1 || !stream.backward)) {
      *backward = false;
      return &stream;
    }
    if (at < begin && at + kSlack >= begin && (stream.run == 1 || stream.backward)) {
      *backward = true;
      return &stream;
    }
  }
  return nullptr;
}

StreamTable::Stream* StreamTable::Oldest() {
  return &*std::min_element(std::begin(streams_), std::end(streams_),
                            [](const Stream& a, const Stream& b) {
                              return a.last_used < b.last_used;
                            });
}

StreamTable::Plan StreamTable::OnFault(PageIndex page, PageRange within) {
  bool backward = false;
  PageRange passed;
  Stream* stream = Match(page, &backward);
  if (stream != nullptr) {
    passed = stream->given;
    stream->run = std::min(stream->run * 2, most_.value());
  } else {
    stream = Oldest();
    stream->run = 1;
  }
  stream->backward = backward;
  stream->last_used = ++clock_;
  current_ = stream;
  const PageCount run(stream->run);
  PageRange range(page, run);
  if (backward) {
    const PageCount below = std::min(run - PageCount(1), page - within.begin);
    range = PageRange(page - below, page + PageCount(1));
  }
  range = range.Clip(within);
  stream->given = range;
  return {range, passed};
}

void StreamTable::OnDone(PageRange done) {
  current_->given = done;
}

}  // namespace userpager
