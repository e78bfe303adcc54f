#include "runtime/api/discard_thread.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

#include "runtime/api/reservations.h"
#include "runtime/base/log_line.h"
#include "runtime/platform/own_thread.h"

namespace userpager {
namespace {

constexpr timespec kPeriod{1, 0};
// Of 4 MiB each at most.
constexpr unsigned kRunsEachPeriod = 64;

}  // namespace

void DiscardThread::Start(Reservations& reservations) {
  pthread_t thread;
  const Errno failed = StartOwnThread(&ThreadMain, &reservations, &thread);
  if (failed == 0) {
    pthread_detach(thread);
    return;
  }
  LogLine line;
  line << "discard:on: the thread that gives disk space back could not be made: "
       << ErrnoText{failed} << "; none is given back";
  line.Write();
}

void* DiscardThread::ThreadMain(void* reservations) {
  prctl(PR_SET_NAME, "userpager-space");
  for (;;) {
    nanosleep(&kPeriod, nullptr);
    for (unsigned i = 0; i < kRunsEachPeriod; ++i) {
      if (!static_cast<Reservations*>(reservations)->GiveBackSpace()) break;
    }
  }
}

}  // namespace userpager
