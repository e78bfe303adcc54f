// LimitKeeper: a thread that changes the memory limit when somebody outside the process asks for it
// (userpager limit), or, with memory:auto, when the machine does. A change waits for pages to
// leave, so the shards' threads, which page them out, cannot make it.
//
// Flow:  the thread sleeps on the word StatisticsPage::wake, and costs nothing. Who writes a
//        request into the announcement wakes it; it reads the request there, changes the limit and
//        answers in the page. With memory:auto it also wakes once a second, looks at the machine,
//        and does what the LimitAdvisor says, until somebody else has set a limit.
#ifndef USERPAGER_API_LIMIT_KEEPER_H_
#define USERPAGER_API_LIMIT_KEEPER_H_

#include "runtime/base/log_line.h"
#include "runtime/base/types.h"
#include "runtime/observe/statistics_page.h"
#include "runtime/platform/published_page.h"
#include "runtime/policy/limit_advisor.h"

namespace userpager {

class LimitKeeper {
 public:
  // What changes the limit: 0, or a userpager_error with a line in `error`.
  using Change = int (*)(uint64_t bytes, LogLine* error);

  // Starts the thread, which never ends, as `published` never does. An errno of pthread_create.
  // `smallest_bytes`: the smallest limit that works, where the thread is to follow the machine;
  // else 0.
  Errno Start(PublishedPage& published, Change change, uint64_t smallest_bytes);

 private:
  static void* ThreadMain(void* self);
  void Run();
  void AnswerRequest();
  void FollowMachine();
  void Follow(const LimitAdvisor::Advice& advice, const MachineLook& machine);
  uint64_t LimitBytes() {
    return page().frames.limit.load(std::memory_order_relaxed) << kPageShift;
  }

  StatisticsPage& page() { return *static_cast<StatisticsPage*>(published_->memory()); }

  PublishedPage* published_ = nullptr;
  Change change_ = nullptr;
  // From here on the thread's alone.
  bool follows_ = false;
  LimitAdvisor advisor_;
  uint64_t last_look_ns_ = 0;
  uint64_t own_limit_bytes_ = 0;  // that it has set, or found at the start
  bool was_refused_ = false;      // the last change
};

}  // namespace userpager

#endif  // USERPAGER_API_LIMIT_KEEPER_H_
