// LimitKeeper: a thread that changes the memory limit when somebody outside the process asks for it
// (userpager limit). A change waits for pages to leave, so the shards' threads, which page them
// out, cannot make it.
//
// Flow:  the thread sleeps on the word StatisticsPage::wake, and costs nothing. Who writes a
//        request into the announcement wakes it; it reads the request there, changes the limit and
//        answers in the page.
#ifndef USERPAGER_API_LIMIT_KEEPER_H_
#define USERPAGER_API_LIMIT_KEEPER_H_

#include "runtime/base/log_line.h"
#include "runtime/base/types.h"
#include "runtime/observe/statistics_page.h"
#include "runtime/platform/published_page.h"

namespace userpager {

class LimitKeeper {
 public:
  // What changes the limit: 0, or a userpager_error with a line in `error`.
  using Change = int (*)(uint64_t bytes, LogLine* error);

  // Starts the thread, which never ends, as `published` never does. An errno of pthread_create.
  Errno Start(PublishedPage& published, Change change);

 private:
  static void* ThreadMain(void* self);
  void Run();
  void AnswerRequest();

  StatisticsPage& page() { return *static_cast<StatisticsPage*>(published_->memory()); }

  PublishedPage* published_ = nullptr;
  Change change_ = nullptr;
};

}  // namespace userpager

#endif  // USERPAGER_API_LIMIT_KEEPER_H_
