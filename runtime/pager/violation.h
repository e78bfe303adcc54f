// Violation: what the pager has to say of an access that the kernel refused with SIGSEGV or SIGBUS.
// The kernel refuses more than the program's protections do: a guard page is refused until somebody
// has been told, and what a thread is refused another may have allowed a moment later.
#ifndef USERPAGER_PAGER_VIOLATION_H_
#define USERPAGER_PAGER_VIOLATION_H_

#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

enum class ViolationKind : uint8_t {
  kNotManaged,  // no business of the pager
  kForbidden,   // not committed, or against the page's protection
  kAllowed,     // by now: the access is to be repeated
  kGuardEnded,  // the page was a guard page; this very access has ended the guard
  kLost,        // the page file could not give the page back
};

struct Violation {
  ViolationKind kind = ViolationKind::kNotManaged;
  Errno reason = 0;  // of a lost page: why; EILSEQ where its checksum did not agree
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_VIOLATION_H_
