#include "tests/support/failing_engine.h"

#include <errno.h>

#include <algorithm>

#include "runtime/base/check.h"

namespace userpager {
namespace {

uint64_t BytesOf(std::span<const iovec> parts) {
  uint64_t bytes = 0;
  for (const iovec& part : parts) bytes += part.iov_len;
  return bytes;
}

// The first `bytes` of the parts.
std::vector<iovec> Cut(std::span<const iovec> parts, uint64_t bytes) {
  std::vector<iovec> cut;
  for (const iovec& part : parts) {
    if (bytes == 0) break;
    const uint64_t taken = std::min<uint64_t>(part.iov_len, bytes);
    cut.push_back({part.iov_base, taken});
    bytes -= taken;
  }
  return cut;
}

// Half of a transfer, in units that direct I/O takes.
uint64_t HalfOf(uint64_t bytes) { return RoundDown(bytes / 2, 512); }

// Takes one of a count that may be 0.
bool TakeOne(std::atomic<unsigned>* count) {
  unsigned left = count->load();
  while (left > 0 && !count->compare_exchange_weak(left, left - 1)) {
  }
  return left > 0;
}

}  // namespace

FailingEngine::FailingEngine(IoEngine* inner, const FailurePlan& plan, uint64_t seed)
    : inner_(inner), plan_(plan), random_(seed) {}

Errno FailingEngine::Open() { return inner_->Open(); }

bool FailingEngine::Happens(double probability) {
  // No draw for what never happens: a plan keeps its faults when another kind is added at 0.
  return probability > 0 && std::uniform_real_distribution<>(0, 1)(random_) < probability;
}

FailingEngine::Fate FailingEngine::DrawFate(IoDirection direction) {
  if (direction == IoDirection::kRead) {
    if (TakeOne(&reads_to_fail_) || Happens(plan_.fail_read)) return Fate::kFail;
    if (TakeOne(&reads_to_corrupt_) || Happens(plan_.corrupt_read)) return Fate::kCorrupt;
  } else {
    if (TakeOne(&writes_to_fail_) || Happens(plan_.fail_write)) return Fate::kFail;
    if (Happens(plan_.drop_write)) return Fate::kDrop;
    if (Happens(plan_.tear_write)) return Fate::kTear;
    if (Happens(plan_.misdirect_write)) return Fate::kMisdirect;
  }
  return Happens(plan_.shorten) ? Fate::kShorten : Fate::kGood;
}

size_t FailingEngine::TakePending() {
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (!pending_[i].in_use) return i;
  }
  pending_.emplace_back();
  return pending_.size() - 1;
}

void FailingEngine::Submit(const IoRequest& request) {
  const size_t index = TakePending();
  Pending& pending = pending_[index];
  pending = {true, false, DrawFate(request.direction), request.tag, request.parts, {},
             BytesOf(request.parts)};
  if (pending.fate != Fate::kGood) ++faults_;
  IoRequest inner = request;
  inner.tag = index;
  switch (pending.fate) {
    case Fate::kFail:
    case Fate::kDrop:
      ready_.push_back({request.tag, pending.fate == Fate::kFail
                                         ? int64_t{-EIO}
                                         : static_cast<int64_t>(pending.bytes)});
      pending.in_use = false;
      return;
    case Fate::kShorten:
    case Fate::kTear:
      pending.cut = Cut(request.parts, HalfOf(pending.bytes));
      inner.parts = pending.cut;
      break;
    case Fate::kMisdirect:
      inner.offset_bytes ^= kPageBytes;
      break;
    case Fate::kGood:
    case Fate::kCorrupt:
      break;
  }
  inner_->Submit(inner);
}

void FailingEngine::SubmitMessageRead(int descriptor, void* buffer, uint32_t buffer_bytes,
                                      uint64_t tag) {
  const size_t index = TakePending();
  pending_[index] = {true, true, Fate::kGood, tag, {}, {}, 0};
  inner_->SubmitMessageRead(descriptor, buffer, buffer_bytes, index);
}

void FailingEngine::FlipBit(const Pending& pending, uint64_t bytes) {
  uint64_t bit = std::uniform_int_distribution<uint64_t>(0, bytes * 8 - 1)(random_);
  for (const iovec& part : pending.parts) {
    if (bit < part.iov_len * 8) {
      auto* byte = static_cast<unsigned char*>(part.iov_base) + bit / 8;
      *byte = static_cast<unsigned char>(*byte ^ (1u << (bit % 8)));
      return;
    }
    bit -= part.iov_len * 8;
  }
}

int64_t FailingEngine::Outcome(Pending* pending, int64_t result) {
  if (pending->fate == Fate::kCorrupt && result > 0) {
    FlipBit(*pending, static_cast<uint64_t>(result));
  }
  if (pending->fate == Fate::kTear && result >= 0) return static_cast<int64_t>(pending->bytes);
  return result;
}

void FailingEngine::CollectInner(uint64_t timeout_ns) {
  IoCompletion done[64];
  const size_t count = inner_->Wait(done, timeout_ns);
  for (size_t i = 0; i < count; ++i) {
    Pending& pending = pending_[done[i].tag];
    USERPAGER_CHECK(pending.in_use, "an engine completes a request twice", done[i].tag);
    const IoCompletion completion = {pending.tag, Outcome(&pending, done[i].result)};
    pending.in_use = false;
    if (!pending.message && Happens(plan_.hold_back)) {
      held_.push_back({completion, std::uniform_int_distribution<unsigned>(
                                       1, std::max(1u, plan_.hold_back_waits))(random_)});
    } else {
      ready_.push_back(completion);
    }
  }
}

void FailingEngine::Age() {
  for (Held& held : held_) --held.waits_left;
  const auto over = std::stable_partition(held_.begin(), held_.end(),
                                          [](const Held& held) { return held.waits_left > 0; });
  for (auto held = over; held != held_.end(); ++held) ready_.push_back(held->completion);
  held_.erase(over, held_.end());
}

size_t FailingEngine::Wait(std::span<IoCompletion> completions, uint64_t timeout_ns) {
  Age();
  CollectInner(ready_.empty() && held_.empty() ? timeout_ns : 0);
  // Nothing but what is held back, and time left: time passes for them until one is there. Each
  // round brings all of them nearer, so it ends.
  while (ready_.empty() && !held_.empty() && timeout_ns != 0) Age();
  if (plan_.reorder) std::shuffle(ready_.begin(), ready_.end(), random_);
  const size_t count = std::min(completions.size(), ready_.size());
  std::copy_n(ready_.begin(), count, completions.begin());
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}

}  // namespace userpager
