#include "runtime/platform/helper_thread.h"

#include <sys/prctl.h>

#include "runtime/base/sync_point.h"
#include "runtime/platform/own_thread.h"
#include "runtime/platform/pause.h"

namespace userpager {
namespace {

constexpr unsigned kCountShift = 16;
constexpr unsigned kOfferShift = 32;
// Before the caller sleeps until the helper is done: about as long as a part takes.
constexpr unsigned kLooks = 1000;

unsigned NextOf(uint64_t offer) { return offer & 0xffff; }
unsigned CountOf(uint64_t offer) { return offer >> kCountShift & 0xffff; }
// Their bits.
uint64_t PartsBefore(unsigned end) { return end == 64 ? ~uint64_t{0} : (uint64_t{1} << end) - 1; }

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
  own_ = 0;
  do_part_ = do_part;
  work_ = work;
  done_.store(0);
  const uint32_t number = offers_.load() + 1;
  offer_.store(uint64_t{number} << kOfferShift | uint64_t{count} << kCountShift);
  offers_.store(number);
  offers_.notify_one();
  USERPAGER_SYNC_POINT("helper:offered", count);
}

// Where the helper has one of them, the caller takes a later part rather than wait.
void HelperThread::Finish(unsigned end) {
  if (count_ == 0) return;
  const uint64_t wanted = PartsBefore(end);
  while ((done_.load(std::memory_order_acquire) & wanted) != wanted && DoNextPart()) ++own_;
  AwaitHelper(wanted);
  if (end < count_) return;
  NoteWhetherItCame(own_ < count_);
  count_ = 0;
}

bool HelperThread::DoNextPart() {
  uint64_t offer = offer_.load();
  while (NextOf(offer) < CountOf(offer)) {
    if (!offer_.compare_exchange_weak(offer, offer + 1)) continue;
    do_part_(work_, NextOf(offer));
    done_.fetch_or(uint64_t{1} << NextOf(offer));
    return true;
  }
  return false;
}

void HelperThread::AwaitHelper(uint64_t parts) {
  uint64_t done = done_.load();
  for (unsigned i = 0; i < kLooks && (done & parts) != parts; ++i) {
    Pause();
    done = done_.load(std::memory_order_acquire);
  }
  for (; (done & parts) != parts; done = done_.load()) done_.wait(done);
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
    while (DoNextPart()) done_.notify_one();
    offers_.wait(seen);
  }
}

}  // namespace userpager
