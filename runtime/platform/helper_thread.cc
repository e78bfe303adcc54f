#include "runtime/platform/helper_thread.h"

#include <sys/prctl.h>

#include "runtime/base/sync_point.h"
#include "runtime/platform/own_thread.h"
#include "runtime/platform/pause.h"

namespace userpager {
namespace {

constexpr unsigned kCountShift = 16;
constexpr unsigned kCountMask = 0xffff;
constexpr unsigned kOfferShift = 32;
// Before the caller sleeps until the helper is done: about as long as a part takes.
constexpr unsigned kLooks = 1000;

unsigned NextOf(uint64_t offer) { return offer & kCountMask; }
unsigned CountOf(uint64_t offer) { return offer >> kCountShift & kCountMask; }

}  // namespace

Errno HelperThread::Start() {
  stopping_.store(false);
  const Errno failed = StartOwnThread(ThreadMain, this, &thread_);
  started_ = failed == 0;
  return failed;
}

void HelperThread::Stop() {
  if (!started_) return;
  stopping_.store(true);
  offers_.fetch_add(1);
  offers_.notify_one();
  pthread_join(thread_, nullptr);
  started_ = false;
}

void HelperThread::ForgetInChild() {
  started_ = false;
  count_ = missed_ = unasked_ = 0;
}

void HelperThread::Begin(DoPart do_part, void* work, unsigned count) {
  const bool offers = started_ && count > 1;
  if (!offers || unasked_ > 0) {
    if (offers) --unasked_;
    for (unsigned i = 0; i < count; ++i) do_part(work, i);
    return;
  }
  count_ = count;
  own_ = known_ = 0;
  do_part_ = do_part;
  work_ = work;
  for (unsigned i = 0; i < count; ++i) done_[i].store(false, std::memory_order_relaxed);
  const uint32_t number = offers_.load() + 1;
  offer_.store(uint64_t{number} << kOfferShift | uint64_t{count} << kCountShift);
  offers_.store(number);
  offers_.notify_one();
  USERPAGER_SYNC_POINT("helper:offered", count);
}

// Where the helper has one of them, the caller takes a later part rather than wait.
void HelperThread::Finish(unsigned end) {
  if (count_ == 0) return;
  while (!AreDone(end) && DoNextPart()) ++own_;
  AwaitHelper(end);
  if (end < count_) return;
  NoteWhetherItCame(own_ < count_);
  count_ = 0;
}

bool HelperThread::DoNextPart() {
  uint64_t offer = offer_.load();
  while (NextOf(offer) < CountOf(offer)) {
    if (!offer_.compare_exchange_weak(offer, offer + 1)) continue;
    do_part_(work_, NextOf(offer));
    done_[NextOf(offer)].store(true, std::memory_order_release);
    ends_.fetch_add(1);
    return true;
  }
  return false;
}

bool HelperThread::AreDone(unsigned end) {
  while (known_ < end && done_[known_].load(std::memory_order_acquire)) ++known_;
  return known_ >= end;
}

void HelperThread::AwaitHelper(unsigned end) {
  for (unsigned i = 0; i < kLooks && !AreDone(end); ++i) Pause();
  for (uint32_t ends = ends_.load(); !AreDone(end); ends = ends_.load()) ends_.wait(ends);
}

void HelperThread::NoteWhetherItCame(bool came) {
  missed_ = came ? 0 : missed_ + 1;
  if (missed_ < kMostMissed) return;
  missed_ = 0;
  unasked_ = kCallsUnasked;
}

void* HelperThread::ThreadMain(void* self) {
  prctl(PR_SET_NAME, "userpager-help");
  static_cast<HelperThread*>(self)->Help();
  return nullptr;
}

void HelperThread::Help() {
  while (!stopping_.load()) {
    const uint32_t seen = offers_.load();
    USERPAGER_SYNC_POINT("helper:awake", seen);
    while (DoNextPart()) ends_.notify_one();
    offers_.wait(seen);
  }
}

}  // namespace userpager
