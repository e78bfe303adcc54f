// Faults that the faulting thread answers itself, in its SIGBUS handler. What Shard::Service does
// is the same as for the shard's thread; what differs is that such a thread may not use the I/O
// engine (it is the shard's thread's alone) and does not wait in the kernel. So:
//   - the read that it needs it does itself, with the mutex released; the transfer owns what it
//     always owns, and the thread ends it as the shard's thread would have;
//   - reads ahead are left in unsent_, and the shard's thread is woken to send them;
//   - where there is no memory, the fault goes to the queue like any other, and the shard's thread
//     answers it; where a page is on its way already, its transfer answers it. Either way the
//     thread waits for the wake that these end with (PagePlatform::AwaitWake), and looks again;
//   - where free memory runs low, the shard's thread is woken to page out.
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/sync_point.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/pager/shard_thread.h"

namespace userpager {
namespace {

// The raw call: the C library's is a cancellation point.
int64_t ReadNow(int descriptor, const InlineRead& read) {
  const long got =
      syscall(SYS_pread64, descriptor, read.memory, read.bytes, read.offset_bytes);
  return got < 0 ? -errno : got;
}

}  // namespace

InlineNext Shard::BeginInline(InlineFault* fault) {
  const PageIndex page = PageOf(fault->message.address);
  LockHolder hold(mutex_);
  Stripe* stripe = stripes_.Find(page);
  if (stripe == nullptr) return InlineNext::kNotManaged;
  const Pte pte = stripe->Load(page);
  if (pte.state() == PageState::kLost && pte.protection().AllowsAccess()) return InlineNext::kLost;
  const Fault served{page,
                     fault->message.write,
                     fault->message.write_protect,
                     fault->message.thread_id,
                     fault->seen_ns,
                     false};
  now_ns_ = fault->seen_ns;
  NoteFault();
  trace_.FaultBegan(page, fault->message.thread_id, fault->message.write);
  answering_inline_ = fault;
  const Answer answer = Service(*stripe, served);
  answering_inline_ = nullptr;
  if (answer == Answer::kNoMemory) Queue(*stripe, served);
  const bool runs_low = !balancing_ && ledger_.free() < LowMark();
  balancing_ |= runs_low;
  AskForTurn(fault, runs_low || answer == Answer::kNoMemory);
  if (answer == Answer::kDone) return InlineNext::kRepeat;
  if (fault->read.transfer != 0) return InlineNext::kRead;
  // The queue was full.
  if (answer == Answer::kNoMemory && !stripe->Load(page).queued()) return InlineNext::kRepeat;
  fault->ticket = platform_.JoinWaiters(page);
  return InlineNext::kWait;
}

InlineNext Shard::EndInlineRead(InlineFault* fault, int64_t result) {
  LockHolder hold(mutex_);
  const uint32_t index = fault->read.transfer;
  answering_inline_ = fault;
  // A page that came back wrong is read once more.
  const bool again = OnReadDone(index, result);
  answering_inline_ = nullptr;
  // Whoever waits in the queue, or for a request, may wait for what this read has just given back.
  AskForTurn(fault, !queue_.empty() || requests_ != nullptr ||
                        (balancing_ && transfers_.under_way() == 0));
  return again ? InlineNext::kRead : InlineNext::kRepeat;
}

void Shard::AskForTurn(InlineFault* fault, bool needed) {
  needed |= unsent_count_ != 0;
  fault->wants_turn = needed && !turn_asked_;
  turn_asked_ |= needed;
}

// The thread that answers inline keeps the read that it waits for to itself.
void Shard::KeepOrLeave(uint32_t index) {
  const Transfer& transfer = transfers_[index];
  if (transfer.demand_page == PageIndex(0)) {
    USERPAGER_CHECK(unsent_count_ < kTransfers, "more reads are to be sent than there can be",
                    unsent_count_);
    unsent_[unsent_count_++] = index;
    return;
  }
  transfers_[index].reader = answering_inline_->message.thread_id;
  answering_inline_->read = {index, transfer.parts[0].iov_base, transfer.parts[0].iov_len,
                             page_file_.OffsetOf(transfer.first_slot)};
}

// A thread that a seccomp filter kills, say, does not come back from its read: whoever else waits
// for the page would wait for ever. A thread that has its number since then is taken for it, and
// the read is taken over when that one has ended too.
unsigned Shard::TakeOverReads(uint32_t* ended) {
  LockHolder hold(mutex_);
  unsigned taken = 0;
  for (uint32_t index = 1; index <= transfers_.most(); ++index) {
    Transfer& transfer = transfers_[index];
    if (transfer.kind != TransferKind::kRead || transfer.reader == 0) continue;
    // No signal is sent: the call only looks for the thread.
    if (syscall(SYS_tgkill, getpid(), transfer.reader, 0) == 0 || errno != ESRCH) continue;
    *ended = transfer.reader;
    transfer.reader = 0;
    SendRead(index);
    ++taken;
  }
  return taken;
}

void Shard::SendUnsent() {
  for (unsigned i = 0; i < unsent_count_; ++i) SendRead(unsent_[i]);
  unsent_count_ = 0;
}

bool Shard::IsParkingPlace(PageIndex page) const {
  for (const std::atomic<uint64_t>& begin : parking_begin_) {
    const PageIndex base(begin.load(std::memory_order_relaxed));
    if (base == PageIndex(0)) continue;
    if (PageRange(base, ParkingArea::SpaceFor(options_.most_frames)).Contains(page)) return true;
  }
  return false;
}

InlineNext ShardThread::AnswerInline(const FaultMessage& message) {
  InlineFault fault;
  fault.message = message;
  fault.seen_ns = NowNanoseconds();
  InlineNext next = shard_->BeginInline(&fault);
  if (fault.wants_turn) Kick();
  KeepAwake();
  while (next == InlineNext::kRead) {
    USERPAGER_SYNC_POINT("inline:before_read", message.address);
    const int64_t result = ReadNow(page_file_.descriptor(), fault.read);
    next = shard_->EndInlineRead(&fault, result);
    if (fault.wants_turn) Kick();
  }
  if (next != InlineNext::kWait) return next;
  platform_.AwaitWake(fault.ticket);
  return InlineNext::kRepeat;
}

uint64_t Pager::CountReleases() const {
  uint64_t releases = 0;
  for (unsigned i = 0; i < options_.shards; ++i) releases += shards_[i]->shard().releases();
  return releases;
}

InlineNext Pager::AnswerInline(const FaultMessage& message) {
  USERPAGER_SYNC_POINT("inline:before_look", message.address);
  const PageIndex page = PageOf(message.address);
  for (unsigned i = 0; i < options_.shards; ++i) {
    // Whoever looks at a parked page holds its shard's mutex, which would be waited for below.
    USERPAGER_CHECK(!shards_[i]->shard().IsParkingPlace(page), "a parked page is missing",
                    message.address);
  }
  // A stripe begins in the part of address space that names its shard, and may go on into others.
  const uint64_t part = page.value() / kStripePages;
  for (unsigned i = 0; i < options_.shards; ++i) {
    const uint64_t index = (part + options_.shards - i) % options_.shards;
    const InlineNext next = shards_[index]->AnswerInline(message);
    if (next != InlineNext::kNotManaged) return next;
  }
  return InlineNext::kNotManaged;
}

}  // namespace userpager
