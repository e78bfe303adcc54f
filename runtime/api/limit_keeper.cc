#include "runtime/api/limit_keeper.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include <algorithm>

namespace userpager {
namespace {

constexpr size_t kStackBytes = 256 * 1024;

}  // namespace

Errno LimitKeeper::Start(PublishedPage& published, Change change) {
  published_ = &published;
  change_ = change;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // The thread inherits a mask that blocks everything: the program's signals are not for it.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const Errno failed = pthread_create(&thread, &attributes, &ThreadMain, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return failed;
}

void* LimitKeeper::ThreadMain(void* self) {
  static_cast<LimitKeeper*>(self)->Run();
  return nullptr;
}

void LimitKeeper::Run() {
  prctl(PR_SET_NAME, "userpager-limit");
  for (;;) {
    PublishedPage::AwaitWake(page().wake, -1);
    AnswerRequest();
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

}  // namespace userpager
