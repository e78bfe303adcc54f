// Judging accesses that the kernel refused, in the thread that made them: guards end here.
#include "runtime/base/check.h"
#include "runtime/pager/pager.h"
#include "runtime/pager/shard.h"
#include "runtime/pager/shard_thread.h"
#include "runtime/pager/violation.h"
#include "runtime/platform/guard_notice.h"

namespace userpager {
namespace {

// So many messages in a row about guard pages, of one thread that was not seen to wait.
constexpr unsigned kUnsettledMessages = 16;

}  // namespace

Violation Pager::Judge(PageIndex page, AccessKind access) {
  for (unsigned i = 0; i < options_.shards; ++i) {
    const Violation violation = shards_[i]->shard().Judge(page, access);
    if (violation.kind != ViolationKind::kNotManaged) return violation;
  }
  return {};
}

Violation Shard::Judge(PageIndex page, AccessKind access) {
  LockHolder hold(mutex_);
  Stripe* stripe = stripes_.Find(page);
  if (stripe == nullptr) return {};
  const Pte pte = stripe->Load(page);
  if (!pte.committed()) return {ViolationKind::kForbidden};
  if (pte.protection().guard) {
    EndGuard(*stripe, page);
    return {ViolationKind::kGuardEnded};
  }
  if (!pte.protection().Allows(access)) return {ViolationKind::kForbidden};
  if (pte.state() == PageState::kLost) return {ViolationKind::kLost, pte.lost_reason()};
  Untrap(*stripe, page);
  return {ViolationKind::kAllowed};
}

// A thread ends the guard itself, in the handler of its SIGSEGV. A system call gets EFAULT and no
// signal, so it is sent one. That takes a thread that is seen to wait: the others are woken, and
// ask again if they are still there at all. A thread that asks again and again without ever waiting
// is in a system call, with a signal pending: the kernel does not let it sleep then. Who answers
// its own fault is in the program; of its system calls the pager hears nothing.
void Shard::MeetGuard(Stripe& stripe, const Fault& fault) {
  const FaultPlace place =
      answering_inline_ != nullptr ? FaultPlace::kProgram : PlaceOfFault(fault.thread_id);
  const bool unsettled = place == FaultPlace::kUnsettled;
  unsettled_count_ = !unsettled                             ? 0
                     : fault.thread_id == unsettled_thread_ ? unsettled_count_ + 1
                                                            : 1;
  unsettled_thread_ = fault.thread_id;
  if (place == FaultPlace::kGone || (unsettled && unsettled_count_ < kUnsettledMessages)) {
    WakeStale(stripe, fault.page);
    return;
  }
  SetTrap(stripe, fault.page);
  if (place != FaultPlace::kProgram) SendGuardNotice(fault.thread_id, AddressOf(fault.page));
  platform_.Wake(PageRange(fault.page, PageCount(1)));
}

// A page that could not be moved out of sight is mapped behind its trap: it is made read-only, if
// it is to be, before the trap goes.
void Shard::EndGuard(Stripe& stripe, PageIndex page) {
  const Pte pte = stripe.Load(page);
  Protection plain = pte.protection();
  plain.guard = false;
  if (pte.mapped() && !plain.AllowsWrite()) {
    const Errno error = platform_.WriteProtect(PageRange(page, PageCount(1)));
    USERPAGER_CHECK(error == 0, "a page could not be write-protected", error);
  }
  ProtectPage(stripe, page, plain);
}

}  // namespace userpager
