#include "runtime/policy/read_streams.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace userpager {
namespace {

int64_t StepBetween(PageIndex from, PageIndex to) {
  return static_cast<int64_t>(to.value() - from.value());
}

}  // namespace

// At the last touch (it is reported again while it cannot be served) or ahead of it, in step, and
// not far beyond what was planned.
bool ReadStreams::GoesOn(const Stream& stream, PageIndex page) const {
  const int64_t distance = StepBetween(stream.last, page);
  if (distance % stream.stride != 0) return false;
  const int64_t steps = distance / stream.stride;
  const int64_t planned = StepBetween(stream.last, stream.front) / stream.stride;
  return steps >= 0 && steps < planned + static_cast<int64_t>(kSlack);
}

ReadStreams::Stream* ReadStreams::FindRunning(uint32_t thread_id, PageIndex page) {
  for (Stream& stream : streams_) {
    if (stream.window != 0 && stream.thread_id == thread_id && GoesOn(stream, page)) return &stream;
  }
  return nullptr;
}

// The nearest touch of the thread that belongs to no stream yet.
ReadStreams::Stream* ReadStreams::FindStarting(uint32_t thread_id, PageIndex page) {
  Stream* nearest = nullptr;
  int64_t least = kLongestStride + 1;
  for (Stream& stream : streams_) {
    if (stream.last_used == 0 || stream.window != 0 || stream.thread_id != thread_id) continue;
    const int64_t distance = std::abs(StepBetween(stream.last, page));
    if (distance >= least) continue;
    least = distance;
    nearest = &stream;
  }
  return nearest;
}

// The one to forget. Touches that never make a stream are many and may not push out those that do,
// nor the other way round: each kind has half of the table.
ReadStreams::Stream* ReadStreams::Oldest() {
  const auto is_running = [](const Stream& stream) { return stream.window != 0; };
  const auto running = std::count_if(std::begin(streams_), std::end(streams_), is_running);
  const bool wanted = running > kStreams / 2;
  Stream* oldest = nullptr;
  for (Stream& stream : streams_) {
    if (is_running(stream) != wanted) continue;
    if (oldest == nullptr || stream.last_used < oldest->last_used) oldest = &stream;
  }
  return oldest;
}

// Whether the stream is one now.
bool ReadStreams::Start(Stream& stream, PageIndex page) {
  const int64_t step = StepBetween(stream.last, page);
  if (step == 0) return false;
  const bool close = std::abs(step) <= kClose;
  const bool again = step == stream.stride;
  stream.stride = close ? (step > 0 ? 1 : -1) : step;
  return close || again;
}

uint64_t ReadStreams::LongestWindow(const Stream& stream) const {
  const uint64_t longest = std::min(most_, longest_);
  return std::abs(stream.stride) == 1 ? longest : std::min(longest, kLongestStridedWindow);
}

// Planned and not passed yet.
bool ReadStreams::IsPlanned(const Stream& stream, PageIndex page) const {
  const int64_t step = StepBetween(stream.last, page) / stream.stride;
  return step > 0 && static_cast<uint64_t>(step) <= LeftOf(stream);
}

bool ReadStreams::IsAtFullLength(const Stream& stream) const {
  return std::abs(stream.stride) == 1 && stream.window == LongestWindow(stream);
}

// What has been planned and not passed yet.
uint64_t ReadStreams::LeftOf(const Stream& stream) const {
  return static_cast<uint64_t>(StepBetween(stream.last, stream.front) / stream.stride) - 1;
}

// The next window is planned where no more than this is left.
uint64_t ReadStreams::LeftToPlan(const Stream& stream, Touch touch) const {
  if (IsAtFullLength(stream)) return std::min(kWindowsLeft * stream.window, most_);
  return touch == Touch::kAwaits ? stream.window : stream.window / 2;
}

ReadStreams::Plan ReadStreams::OnTouch(uint32_t thread_id, PageIndex page, PageRange within,
                                       Touch touch) {
  Plan plan;
  touched_ = nullptr;
  current_ = nullptr;
  Stream* stream = FindRunning(thread_id, page);
  if (stream != nullptr) {
    plan.passed = {PageIndex(stream->last.value() + static_cast<uint64_t>(stream->stride)),
                   stream->stride,
                   static_cast<uint64_t>(StepBetween(stream->last, page) / stream->stride)};
  } else {
    stream = FindStarting(thread_id, page);
    const bool starts = stream != nullptr && Start(*stream, page);
    if (stream == nullptr) {
      stream = Oldest();
      *stream = Stream();
      stream->thread_id = thread_id;
    }
    if (!starts) {
      stream->last = page;
      stream->last_used = ++clock_;
      return plan;
    }
    stream->front = page;
  }
  touched_ = stream;
  stream->last = page;
  stream->last_used = ++clock_;
  const uint64_t stride = static_cast<uint64_t>(stream->stride);
  if (StepBetween(page, stream->front) / stream->stride <= 0) {
    stream->front = PageIndex(page.value() + stride);
  }
  if (LeftOf(*stream) <= LeftToPlan(*stream, touch)) {
    PlanNext(*stream, kLongestWindow, within, &plan);
  }
  return plan;
}

void ReadStreams::PlanNext(Stream& stream, uint64_t most, PageRange within, Plan* plan) {
  stream.window = std::min(std::max(2 * stream.window, kFirstWindow), LongestWindow(stream));
  planned_ = {stream.front, stream.stride, std::min(stream.window, most)};
  while (planned_.count > 0 && !within.Contains(planned_.At(planned_.count - 1))) --planned_.count;
  current_ = &stream;
  plan->ahead = planned_;
  plan->marker = IsAtFullLength(stream) ? MarkerOf(stream, planned_) : planned_.count / 2;
  OnBegun(planned_.count);
}

uint64_t ReadStreams::MarkerOf(const Stream& stream, const PageSeries& planned) {
  for (uint64_t i = 0; i < planned.count; ++i) {
    if (planned.At(i).value() % stream.window == stream.window / 2) return i;
  }
  return planned.count;
}

ReadStreams::Plan ReadStreams::OnArrived(PageIndex page, PageRange within) {
  Plan plan;
  current_ = nullptr;
  for (Stream& stream : streams_) {
    if (stream.window == 0 || !IsAtFullLength(stream) || !IsPlanned(stream, page)) continue;
    if (LeftOf(stream) <= LeftToPlan(stream, Touch::kSeen)) {
      PlanNext(stream, kArrivedWindow, within, &plan);
    }
    return plan;
  }
  return plan;
}

void ReadStreams::OnMarkerPassedOver() {
  if (touched_ == nullptr) return;
  touched_->window = 0;
  touched_->stride = 0;
  current_ = nullptr;
}

void ReadStreams::OnBegun(uint64_t count) {
  if (current_ != nullptr) current_->front = planned_.At(count);
}

void ReadStreams::OnUsed(uint64_t pages) {
  used_ += pages;
  if (used_ < kUsedToDouble) return;
  longest_ = std::min(2 * longest_, kLongestWindow);
  used_ = 0;
  wasted_ = 0;
}

// Halved where more than a third was wasted.
void ReadStreams::OnWasted(uint64_t pages) {
  wasted_ += pages;
  if (wasted_ < kWastedToHalve) return;
  if (2 * wasted_ > used_) longest_ = std::max(longest_ / 2, kFirstWindow);
  used_ = 0;
  wasted_ = 0;
}

}  // namespace userpager
