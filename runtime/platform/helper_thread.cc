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

unsigned NextOf(uint64_t offer) { return offer & HelperThread::kMostParts; }
unsigned CountOf(uint64_t offer) { return offer >> kCountShift & HelperThread::kMostParts; }

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
  missed_ = unasked_ = 0;
}

void HelperThread::Run(DoPart do_part, void* work, unsigned count) {
  if (!started_ || count < 2 || unasked_ > 0) {
    unasked_ -= unasked_ > 0 ? 1 : 0;
    for (unsigned i = 0; i < count; ++i) do_part(work, i);
    return;
  }
  do_part_ = do_part;
  work_ = work;
  done_.store(0);
  const uint32_t number = offers_.load() + 1;
  offer_.store(uint64_t{number} << kOfferShift | uint64_t{count} << kCountShift);
  offers_.store(number);
  offers_.notify_one();
  USERPAGER_SYNC_POINT("helper:offered", count);
  const unsigned own = WorkOff();
  NoteWhetherItCame(own < count);
  AwaitHelper(count);
}

unsigned HelperThread::WorkOff() {
  unsigned worked = 0;
  uint64_t offer = offer_.load();
  while (NextOf(offer) < CountOf(offer)) {
    if (!offer_.compare_exchange_weak(offer, offer + 1)) continue;
    do_part_(work_, NextOf(offer));
    ++worked;
    done_.fetch_add(1);
    offer = offer_.load();
  }
  return worked;
}

void HelperThread::AwaitHelper(unsigned count) {
  for (unsigned i = 0; i < kLooks && done_.load(std::memory_order_acquire) < count; ++i) Pause();
  for (uint32_t done = done_.load(); done < count; done = done_.load()) done_.wait(done);
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
    if (WorkOff() > 0) done_.notify_one();
    offers_.wait(seen);
  }
}

}  // namespace userpager
