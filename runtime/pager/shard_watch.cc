// ShardThread and Shard under the watchdog's eyes (watchdog.h).
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/pager/shard.h"
#include "runtime/pager/shard_thread.h"
#include "runtime/platform/thread_file.h"

namespace userpager {
namespace {

// Looks in a row at which threads wait before the shard's thread is asked about them.
constexpr unsigned kLooksBeforeAudit = 2;
// Looks in a row without a turn of the shard's thread, while threads wait, before a line tells it.
constexpr unsigned kLooksBeforeTold = 10;
// Audits in a row that found transfers under way, which may be what threads wait for or not, before
// all of them are sent to look again.
constexpr unsigned kAuditsBeforeWake = 8;

}  // namespace

// By the watchdog's thread.
void ShardThread::Watch() {
  // No signal is sent: the call only looks for the thread.
  const bool lives = syscall(SYS_tgkill, getpid(), thread_id_, 0) == 0 || errno != ESRCH;
  USERPAGER_CHECK(lives, "the pager's thread has ended: no page fault would be answered any more",
                  thread_id_);
  FaultCounts waiting;
  USERPAGER_CHECK(platform_.CountWaiters(&waiting),
                  "the userfaultfd was closed: somebody closed a descriptor of the runtime",
                  platform_.descriptor());
  const uint64_t turns = turns_.load(std::memory_order_relaxed);
  const bool has_stalled = waiting.all > 0 && turns == watched_turns_;
  watched_turns_ = turns;
  looks_waiting_ = waiting.all > 0 ? looks_waiting_ + 1 : 0;
  looks_stalled_ = has_stalled ? looks_stalled_ + 1 : 0;
  if (has_stalled) LookAtStall(waiting);
  if (looks_waiting_ >= kLooksBeforeAudit) {
    audit_asked_.store(true, std::memory_order_relaxed);
    Kick();
  }
}

// The shard's thread has not gone round since the last look, although threads wait.
void ShardThread::LookAtStall(const FaultCounts& waiting) {
  const ThreadFile place(thread_id_, "wchan");
  if (place.text() == kSleepsInFault) StopForOwnFault();
  // One that does not sleep waits for nothing but a processor.
  if (place.text().empty() || place.text() == "0") looks_stalled_ = 0;
  // Ever more seldom.
  const bool is_told = looks_stalled_ > 0 && looks_stalled_ % kLooksBeforeTold == 0 &&
                       std::has_single_bit(looks_stalled_ / kLooksBeforeTold);
  if (!is_told || shard_->is_frozen()) return;
  LogLine line;
  line << waiting.all << " thread(s) wait for pages of shard " << options_.index
       << ", whose thread has not gone on for " << looks_stalled_
       << " looks of the watchdog; it sleeps in the kernel's " << place.text()
       << " (a disk or a file system that does not answer, a stopped thread, or a lock that is not"
          " given back)";
  line.Write();
}

// The page that it waits for is named by a message that nobody has read.
void ShardThread::StopForOwnFault() {
  uffd_msg messages[kMessages];
  uint64_t address = 0;
  const ssize_t bytes = read(platform_.descriptor(), messages, sizeof messages);
  for (ssize_t i = 0; i < bytes / static_cast<ssize_t>(sizeof(uffd_msg)); ++i) {
    FaultMessage fault;
    if (!LinuxPagePlatform::Decode(messages[i], &fault)) continue;
    CheckParkingPlace(fault);
    if (fault.thread_id == thread_id_) address = fault.address;
  }
  USERPAGER_CHECK(false, "the pager's thread waits for a page that it would have to bring itself",
                  address);
}

// Whoever looks at a parked page holds its shard's mutex: so before that is taken.
void ShardThread::CheckParkingPlace(const FaultMessage& fault) const {
  USERPAGER_CHECK(!shard_->IsParkingPlace(PageOf(fault.address)), "a parked page is missing",
                  fault.address);
}

void ShardThread::TakeOverReads() {
  if (delivery_ != FaultDelivery::kSignals) return;
  uint32_t ended = 0;
  const unsigned taken = shard_->TakeOverReads(&ended);
  if (taken == 0) return;
  LogLine line;
  line << "thread " << ended << " has ended while it read a page of shard " << options_.index
       << " for itself (faults:inline), which others may wait for; the pager reads it instead ("
       << taken << " read(s))";
  line.Write();
}

// At the end of a turn: whether the watchdog asked, and threads wait for nothing. A message that
// came to the ring after it was last looked at is not known to the shard yet: so the answer counts
// only if the next look, at once, finds none.
bool ShardThread::SuspectsForgotten() {
  if (!audit_asked_.load(std::memory_order_relaxed)) return false;
  audit_asked_.store(false, std::memory_order_relaxed);
  suspected_ = 0;
  TakeOverReads();
  if (shard_->is_idle()) {
    busy_audits_ = 0;
    suspected_ = shard_->ForgottenWaiters();
  } else if (++busy_audits_ == kAuditsBeforeWake) {
    // Which of them a transfer will answer cannot be told: they ask again, at the cost of a fault.
    busy_audits_ = 0;
    platform_.WakeAll();
  }
  return suspected_ > 0;
}

void ShardThread::WakeForgotten(bool found_messages) {
  if (suspected_ == 0) return;
  const uint64_t forgotten = std::exchange(suspected_, 0);
  if (found_messages) return;
  platform_.WakeAll();
  if (!std::has_single_bit(++times_forgotten_)) return;
  LogLine line;
  line << forgotten << " thread(s) waited for pages of shard " << options_.index
       << " with nothing under way that would have answered them; they were sent to look again ("
       << times_forgotten_ << " time(s) so far). The shard: ";
  shard_->Describe(&line);
  line.Write();
}

bool Shard::is_idle() {
  LockHolder hold(mutex_);
  return transfers_.under_way() == 0 && queue_.empty();
}

uint64_t Shard::ForgottenWaiters() {
  LockHolder hold(mutex_);
  return transfers_.under_way() == 0 && queue_.empty() ? platform_.UnansweredWaiters() : 0;
}

void Shard::Describe(LogLine* line) {
  LockHolder hold(mutex_);
  *line << policy_->count().value() << " pages in the working set, " << modified_.count().value()
        << " modified, " << standby_.count().value() << " standby, " << transfers_.under_way()
        << " transfers under way, " << queue_.count() << " faults that wait for memory, "
        << (requests_ == nullptr ? "no" : "some") << " requests; " << ledger_.charged().value()
        << " of " << ledger_.limit().value() << " pages charged, " << page_file_.used().value()
        << " of " << page_file_.usable().value() << " slots used";
}

}  // namespace userpager
