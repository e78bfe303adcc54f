// Libcrypto: the few functions of OpenSSL's libcrypto that encrypt slots, from a copy of the
// library that nobody else in the process uses.
//
// The copy is loaded into a link namespace of its own (dlmopen), with a C library of its own: what
// it allocates comes from a small region that is locked in memory and left out of core files, so
// that no key ever is in managed memory, in swap or in a file, and the program's own OpenSSL, if it
// has one, is not touched. Nothing is loaded before Load, so who does not encrypt pays nothing.
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

  // Loads the library, once a process. ELIBACC: it is not there or lacks a function. ENOMEM: no
  // memory, or none that may be locked. On failure `error` gets one line. Thread-safe.
  static Errno Load(LogLine* error);
  // After Load. nullptr where there is no memory.
  static Context* NewContext(const unsigned char (&key)[kKeyBytes], bool encrypts);
  static void FreeContext(Context* context);
  // Transforms one page; `from` may be `to`. False: the library refused, which it has no reason to.
  static bool Transform(Context* context, const unsigned char (&tweak)[kTweakBytes],
                        const void* from, void* to);

  // Of the region that keys are in: what was taken of it so far, and where it is. For tests.
  static size_t region_bytes_taken();
  static const void* region();
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_LIBCRYPTO_H_
