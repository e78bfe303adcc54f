#include "runtime/api/limit_keeper.h"

#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>

#include <algorithm>

#include "runtime/api/machine_memory.h"
#include "runtime/base/clock.h"
#include "runtime/platform/own_thread.h"

namespace userpager {
namespace {

constexpr int kMillisecondsBetweenLooks = 1000;
constexpr uint64_t kLookNs = 1'000'000'000;

}  // namespace

Errno LimitKeeper::Start(PublishedPage& published, Change change, uint64_t smallest_bytes) {
  published_ = &published;
  change_ = change;
  follows_ = smallest_bytes != 0;
  advisor_ = LimitAdvisor(smallest_bytes);
  own_limit_bytes_ = LimitBytes();
  pthread_t thread;
  const Errno failed = StartOwnThread(&ThreadMain, this, &thread);
  if (failed == 0) pthread_detach(thread);
  return failed;
}

void* LimitKeeper::ThreadMain(void* self) {
  static_cast<LimitKeeper*>(self)->Run();
  return nullptr;
}

void LimitKeeper::Run() {
  prctl(PR_SET_NAME, "userpager-limit");
  for (;;) {
    PublishedPage::AwaitWake(page().wake, follows_ ? kMillisecondsBetweenLooks : -1);
    AnswerRequest();
    if (follows_) FollowMachine();
  }
}

// Anything that the owner of the process may have written can be in the request: a limit that does
// not do is refused as it is refused to a caller of userpager_set_memory_limit.
void LimitKeeper::AnswerRequest() {
  Announcement found;
  if (!published_->ReadAnnouncement(&found) || found.limit_request == 0) return;
  LimitAnswer& answer = page().limit_answer;
  if (found.limit_request == answer.answered.load(std::memory_order_relaxed)) return;
  answer.begun.store(found.limit_request);
  // Who withdraws a request looks at `begun` afterwards: either that look finds this, or this look
  // finds that it was withdrawn.
  Announcement still;
  if (!published_->ReadAnnouncement(&still) || still.limit_request != found.limit_request) return;
  LogLine error;
  const int result = change_(found.limit_bytes, &error);
  const size_t length = std::min(error.text().size(), LimitAnswer::kTextBytes - 1);
  memcpy(answer.text, error.text().data(), length);
  answer.text[length] = '\0';
  answer.result.store(result, std::memory_order_relaxed);
  answer.answered.store(found.limit_request, std::memory_order_release);
}

void LimitKeeper::FollowMachine() {
  // A wake for another reason makes no second.
  const uint64_t now_ns = NowNanoseconds();
  if (now_ns - last_look_ns_ < kLookNs / 2) return;
  last_look_ns_ = now_ns;
  if (LimitBytes() != own_limit_bytes_) {
    follows_ = false;
    LogLine line;
    line << "memory:auto: a memory limit of " << (LimitBytes() >> 20)
         << " MiB was set; it no longer follows the machine";
    line.Write();
    return;
  }
  const MachineLook machine = LookAtMachine("");
  const uint64_t resident = page().frames.charged.load(std::memory_order_relaxed) << kPageShift;
  const LimitAdvisor::Advice advice =
      advisor_.Look(machine, now_ns / 1000, own_limit_bytes_, resident);
  if (advice.reason != LimitAdvisor::Reason::kNone) Follow(advice, machine);
}

void LimitKeeper::Follow(const LimitAdvisor::Advice& advice, const MachineLook& machine) {
  LogLine line;
  line << "memory:auto: the memory limit goes from " << (own_limit_bytes_ >> 20) << " to "
       << (advice.limit_bytes >> 20) << " MiB: ";
  switch (advice.reason) {
    case LimitAdvisor::Reason::kAllowed:
      line << "the machine or the process's cgroup allows " << (machine.allowed_bytes >> 20)
           << " MiB";
      break;
    case LimitAdvisor::Reason::kPressure:
      line << "programs waited for memory for " << advice.stall_percent << "% of the last second";
      break;
    case LimitAdvisor::Reason::kCalm:
      line << "no program waits for memory, and " << (machine.available_bytes >> 20)
           << " MiB are available";
      break;
    case LimitAdvisor::Reason::kNone: return;
  }
  LogLine error;
  if (change_(advice.limit_bytes, &error) == 0) {
    own_limit_bytes_ = LimitBytes();
    was_refused_ = false;
    line.Write();
  } else if (!was_refused_) {
    // Tried again each second, and told once.
    was_refused_ = true;
    line << "; that could not be done: " << error.text();
    line.Write();
  }
}

}  // namespace userpager
