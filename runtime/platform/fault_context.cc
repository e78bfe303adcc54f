#include "runtime/platform/fault_context.h"

#if defined(__aarch64__)
#include <asm/sigcontext.h>

#include <cstring>
#endif

namespace userpager {

#if defined(__x86_64__)

// The page fault's error code (arch/x86/include/asm/trap_pf.h): bit 1 a write, bit 4 a fetch.
AccessKind AccessOfFault(const ucontext_t& context) {
  const auto error = static_cast<uint64_t>(context.uc_mcontext.gregs[REG_ERR]);
  if ((error & 1u << 4) != 0) return AccessKind::kExecute;
  return (error & 1u << 1) != 0 ? AccessKind::kWrite : AccessKind::kRead;
}

// Bit 0: a page that was there.
bool WasPresent(const ucontext_t& context) {
  return (static_cast<uint64_t>(context.uc_mcontext.gregs[REG_ERR]) & 1u) != 0;
}

uint64_t InstructionOf(const ucontext_t& context) {
  return static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
}

#elif defined(__aarch64__)

namespace {

// The syndrome register stands in a record behind the registers (asm/sigcontext.h); 0 where there
// is none.
uint64_t SyndromeOf(const ucontext_t& context) {
  const auto* record = reinterpret_cast<const unsigned char*>(context.uc_mcontext.__reserved);
  const unsigned char* const end = record + sizeof context.uc_mcontext.__reserved;
  while (record + sizeof(_aarch64_ctx) <= end) {
    _aarch64_ctx head;
    memcpy(&head, record, sizeof head);
    if (head.magic == 0 || head.size < sizeof head) break;
    if (head.magic == ESR_MAGIC && record + sizeof(esr_context) <= end) {
      esr_context found;
      memcpy(&found, record, sizeof found);
      return found.esr;
    }
    record += head.size;
  }
  return 0;
}

}  // namespace

// The syndrome's class is in bits 26 to 31: 0x20 an instruction abort, 0x24 a data abort, of which
// bit 6 says that it wrote.
AccessKind AccessOfFault(const ucontext_t& context) {
  const uint64_t syndrome = SyndromeOf(context);
  const unsigned fault_class = static_cast<unsigned>(syndrome >> 26) & 0x3f;
  if (fault_class == 0x20) return AccessKind::kExecute;
  return fault_class == 0x24 && (syndrome & 1u << 6) != 0 ? AccessKind::kWrite : AccessKind::kRead;
}

// Of both aborts, bits 2 to 5 are 3 for a permission fault.
bool WasPresent(const ucontext_t& context) { return (SyndromeOf(context) >> 2 & 15) == 3; }

uint64_t InstructionOf(const ucontext_t& context) { return context.uc_mcontext.pc; }

#else
#error "userpager does not know this processor's signal contexts"
#endif

}  // namespace userpager
