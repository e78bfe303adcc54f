#include "runtime/pager/watchdog.h"

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <utility>

#include "runtime/page_file/page_file.h"
#include "runtime/pager/shard_thread.h"
#include "runtime/platform/own_thread.h"

namespace userpager {

Errno Watchdog::Start(std::span<ShardThread* const> shards, PageFile& page_file,
                      uint64_t period_ns, void (*settled)(), LogLine* error) {
  shards_ = shards;
  page_file_ = &page_file;
  settled_ = settled;
  period_ns_ = period_ns;
  stopping_.store(0);
  const Errno failed = StartOwnThread(ThreadMain, this, &thread_);
  started_ = failed == 0;
  if (failed != 0) {
    *error << "cannot start: the watchdog's thread could not be made: " << ErrnoText{failed};
  }
  return failed;
}

void Watchdog::Stop() {
  if (!started_) return;
  stopping_.store(1);
  syscall(SYS_futex, &stopping_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  pthread_join(thread_, nullptr);
  started_ = false;
}

void* Watchdog::ThreadMain(void* self) {
  static_cast<Watchdog*>(self)->Run();
  return nullptr;
}

void Watchdog::Run() {
  prctl(PR_SET_NAME, "userpager-watch");
  const timespec period{static_cast<time_t>(period_ns_ / 1'000'000'000),
                        static_cast<long>(period_ns_ % 1'000'000'000)};
  for (;;) {
    syscall(SYS_futex, &stopping_, FUTEX_WAIT_PRIVATE, 0, &period, nullptr, 0);
    if (stopping_.load() != 0) return;
    for (ShardThread* shard : shards_) shard->Watch();
    page_file_->EndLoans();
    if (auto* const settled = std::exchange(settled_, nullptr); settled != nullptr) settled();
  }
}

}  // namespace userpager
