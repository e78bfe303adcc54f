// Shard: access violations. The page is made to fault in the kernel and the thread is sent to look
// again: it gets a real SIGSEGV at the real address, and a system call gets EFAULT.
#include <errno.h>

#include "runtime/base/check.h"
#include "runtime/pager/shard.h"

namespace userpager {
namespace {

KernelAccess AccessOf(Pte pte) {
  return pte.own_protection().AllowsExecute() ? KernelAccess::kReadWriteExecute
                                          : KernelAccess::kReadWrite;
}

}  // namespace

// Either the page is mapped and read-only, and was written: the kernel keeps its content and
// refuses stores. Or it is not mapped and allows no access at all (reserved, no-access, guard):
// there is nothing at the address that a guard could discard.
void Shard::Trap(Stripe& stripe, PageIndex page) {
  SetTrap(stripe, page);
  platform_.Wake(PageRange(page, PageCount(1)));
}

void Shard::SetTrap(Stripe& stripe, PageIndex page) {
  const Pte pte = stripe.Load(page);
  const PageRange one(page, PageCount(1));
  ++counters_.access_violations;
  trace_.Add(TraceKind::kViolation, one, now_ns_);
  if (!pte.trapped()) {
    Errno error = 0;
    if (pte.mapped()) {
      error = platform_.SetAccess(one, KernelAccess::kRead);
    } else {
      error = options_.features.guard ? platform_.InstallGuard(page) : EINVAL;
      // In memory that the program has locked (mlock) the kernel installs no guard.
      if (error == EINVAL) {
        error = platform_.SetAccess(one, KernelAccess::kNone);
        traps_by_access_ = true;
      }
    }
    USERPAGER_CHECK(error == 0, "an access violation could not be delivered (ENOMEM: too many"
                    " mappings; raise vm.max_map_count)", error);
    SetPte(stripe, page, pte.WithTrapped(true).WithQueued(false));
    const PageIndex oldest = traps_.Push(page);
    Stripe* owner = stripes_.Find(oldest);
    if (owner != nullptr && oldest != page) Untrap(*owner, oldest);
  }
}

// Undoes Trap, if the page has one. A page that was hidden in place (HideInPlace) stays hidden
// while its protection allows no access.
void Shard::Untrap(Stripe& stripe, PageIndex page) {
  const Pte pte = stripe.Load(page);
  const PageRange one(page, PageCount(1));
  if (!pte.trapped() || (pte.mapped() && !pte.protection().AllowsAccess())) return;
  const bool guarded = !pte.mapped() && options_.features.guard;
  Errno error = guarded ? platform_.RemoveGuard(page) : 0;
  if (error == 0 && (!guarded || traps_by_access_)) {
    error = platform_.SetAccess(one, AccessOf(pte));
  }
  USERPAGER_CHECK(error == 0, "a trap could not be removed (ENOMEM: too many mappings; raise"
                  " vm.max_map_count)", error);
  SetPte(stripe, page, pte.WithTrapped(false));
}

// A page that something pins cannot be moved out of sight: the kernel refuses every access to it.
// It is write-protected as well, so that stores are asked about while it opens again: what opens it
// may come before the protection that it opens for.
bool Shard::HideInPlace(Stripe& stripe, PageIndex page) {
  const Pte pte = stripe.Load(page);
  const PageRange one(page, PageCount(1));
  if (pte.trapped() && !pte.protection().AllowsAccess()) return true;
  if (platform_.WriteProtect(one) != 0) return false;
  if (platform_.SetAccess(one, KernelAccess::kNone) != 0) return false;
  SetPte(stripe, page, pte.WithTrapped(true));
  return true;
}

}  // namespace userpager
