// ReadStreams: readahead. It recognises threads of execution that go through memory in equal steps
// (forward, backward, strided, several at a time) and says which pages should be read before they
// are asked for. A window starts at a few pages, doubles each time that its stream goes on, and the
// next one is planned when the stream has passed the middle of the last: then it arrives before the
// stream does. Where it did not, because the stream is faster than the disk, the window behind it
// is planned at once: then two are under way. A stream of pages that follow one another, once its
// windows are as long as they become, has up to seven: each part that arrives makes room for the
// next, so that the disk reads while what it has read is installed. (What is under way at a time is
// bounded by the buffers. Where memory is small it has two: of more, some would leave again before
// the stream comes.) What leaves memory unused halves the longest window, what is used doubles it
// again.
//
// A touch of a page that is in memory cannot be seen. So the shard reports each touch of a page
// that was missing or still on its way, and keeps one page in the middle of each window, the
// marker, from being mapped, so that its touch shows how far the stream has come. Of a stream whose
// windows are as long as they become, markers are where they would be if one window followed the
// other, however small the parts are that it is read in.
#ifndef USERPAGER_POLICY_READ_STREAMS_H_
#define USERPAGER_POLICY_READ_STREAMS_H_

#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

// `count` pages from `first` on, each `stride` pages (not 0, may be negative) behind the last.
struct PageSeries {
  PageIndex first;
  int64_t stride = 1;
  uint64_t count = 0;

  PageIndex At(uint64_t i) const {
    return PageIndex(first.value() + static_cast<uint64_t>(stride) * i);
  }
};

class ReadStreams {
 public:
  // The longest window of pages that follow one another, and of pages that do not: those are read
  // one by one.
  static constexpr uint64_t kLongestWindow = 256;
  static constexpr uint64_t kLongestStridedWindow = 32;
  // What one arrival makes room for.
  static constexpr uint64_t kArrivedWindow = 64;

  struct Plan {
    PageSeries ahead;   // what to read now, in the order in which it will be wanted
    uint64_t marker = 0;  // which of them shows how far the stream is; ahead.count: none
    PageSeries passed;  // what was read ahead for the stream and has now been passed over: used
  };

  enum class Touch : uint8_t {
    kSeen,   // a page that was missing, or a marker
    kAwaits  // a page that is on its way: it was planned too late
  };

  // Nothing outside `within` is planned.
  Plan OnTouch(uint32_t thread_id, PageIndex page, PageRange within, Touch touch = Touch::kSeen);
  // The page was read for a stream and has come in.
  Plan OnArrived(PageIndex page, PageRange within);
  // The last touch has passed over a marker that nobody has touched: what looked like a stream was
  // chance, and ends. Its plan is void.
  void OnMarkerPassedOver();
  // How many pages of the last plan were begun with: the next plan starts behind them.
  void OnBegun(uint64_t count);
  void OnUsed(uint64_t pages);
  void OnWasted(uint64_t pages);
  // What memory allows: no window is longer, and no more is left where one more is planned.
  void set_most(uint64_t pages) { most_ = pages; }

 private:
  static constexpr unsigned kStreams = 64;
  static constexpr uint64_t kFirstWindow = 4;
  // Of full length, that may be left where one more is planned.
  static constexpr uint64_t kWindowsLeft = 6;
  // Touches so close to each other are a stream at the first step: some pages between may be in
  // memory already.
  static constexpr int64_t kClose = 3;
  // Pages of a stream that may be skipped in one step (they were in memory), and the longest step.
  static constexpr uint64_t kSlack = 16;
  static constexpr int64_t kLongestStride = 256;
  // How many pages are used, or wasted, before the longest window is changed.
  static constexpr uint64_t kUsedToDouble = 4096;
  static constexpr uint64_t kWastedToHalve = 256;

  struct Stream {
    uint32_t thread_id = 0;
    PageIndex last;        // the last touch
    int64_t stride = 0;    // 0: not known
    PageIndex front;       // the next page to plan
    uint64_t window = 0;   // the last planned one; 0: two touches do not make a stream yet
    uint64_t last_used = 0;  // 0: never
  };

  bool GoesOn(const Stream& stream, PageIndex page) const;
  Stream* FindRunning(uint32_t thread_id, PageIndex page);
  Stream* FindStarting(uint32_t thread_id, PageIndex page);
  Stream* Oldest();
  bool Start(Stream& stream, PageIndex page);
  uint64_t LongestWindow(const Stream& stream) const;
  bool IsAtFullLength(const Stream& stream) const;
  uint64_t LeftOf(const Stream& stream) const;
  bool IsPlanned(const Stream& stream, PageIndex page) const;
  uint64_t LeftToPlan(const Stream& stream, Touch touch) const;
  void PlanNext(Stream& stream, uint64_t most, PageRange within, Plan* plan);
  static uint64_t MarkerOf(const Stream& stream, const PageSeries& planned);

  Stream streams_[kStreams];
  Stream* touched_ = nullptr;  // of the last touch
  Stream* current_ = nullptr;  // of the last plan
  PageSeries planned_;
  uint64_t most_ = UINT64_MAX;
  uint64_t longest_ = kLongestWindow;  // as far as readahead has been of use
  uint64_t used_ = 0;                  // since longest_ was changed
  uint64_t wasted_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_READ_STREAMS_H_
