// Libcrypto: the few functions of OpenSSL's libcrypto that encrypt slots.
//
// The library is loaded by Load and not before, so who does not encrypt pays nothing. What it
// allocates on our behalf, keys among it, comes from a small region that is locked in memory and
// left out of core files (CRYPTO_set_mem_functions): no key ever is in managed memory, in swap or
// in a file. It is the program's library too, if that has any use for it: what the program's own
// calls allocate goes to the program's malloc as ever, and its configuration is not touched. A copy
// of the library in a link namespace of its own would not do: its second C library has its own
// count of pthread keys, but the same slots for them in each thread.
#ifndef USERPAGER_PAGE_FILE_LIBCRYPTO_H_
#define USERPAGER_PAGE_FILE_LIBCRYPTO_H_

#include <cstddef>
#include <cstdint>

#include "runtime/base/log_line.h"
#include "runtime/base/types.h"

namespace userpager {

class Libcrypto {
 public:
  // The key of AES-256 in XTS mode is two of AES-256.
  static constexpr size_t kKeyBytes = 64;
  static constexpr size_t kTweakBytes = 16;

  // One direction of one key. Of one thread at a time.
  struct Context;

  // Loads the library, once a process. ELIBACC: it is not there or lacks a function, or the program
  // has used it before. ENOMEM: no memory, or none that may be locked. On failure `error` gets one
  // line. Thread-safe.
  static Errno Load(LogLine* error);
  // After Load. nullptr where there is no memory.
  static Context* NewContext(const unsigned char (&key)[kKeyBytes], bool encrypts);
  static void FreeContext(Context* context);
  // Transforms one page; `from` may be `to`. False: the library refused, which it has no reason to.
  static bool Transform(Context* context, const unsigned char (&tweak)[kTweakBytes],
                        const void* from, void* to);

  // In a forked child, which has the keys in a copy of the region that is not locked in memory.
  static Errno LockInChild(LogLine* error);

  // For tests: how often the library has asked for memory, and where the region of keys is.
  static uint64_t allocations();
  static const void* region();
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_LIBCRYPTO_H_
