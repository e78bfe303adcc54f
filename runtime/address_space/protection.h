// A page's protection as VirtualAlloc and VirtualProtect know it, in one byte: one of six base
// protections and the modifiers.
#ifndef USERPAGER_ADDRESS_SPACE_PROTECTION_H_
#define USERPAGER_ADDRESS_SPACE_PROTECTION_H_

#include <cstdint>

#include "runtime/base/access_kind.h"

namespace userpager {

enum class BaseProtection : uint8_t {
  kNoAccess = 0,
  kReadOnly,
  kReadWrite,
  kExecute,
  kExecuteRead,
  kExecuteReadWrite,
};

struct Protection {
  BaseProtection base = BaseProtection::kNoAccess;
  bool guard = false;          // the next access of any kind is refused once
  bool no_cache = false;       // kept and reported, without effect on Linux
  bool write_combine = false;  // kept and reported, without effect on Linux

  // Six bits: base in bits 0 to 2, guard, no_cache and write_combine in bits 3 to 5.
  static constexpr unsigned kBits = 6;
  constexpr uint8_t Pack() const {
    return static_cast<uint8_t>(static_cast<unsigned>(base) | (guard ? 8u : 0u) |
                                (no_cache ? 16u : 0u) | (write_combine ? 32u : 0u));
  }
  static constexpr Protection Unpack(unsigned bits) {
    return {static_cast<BaseProtection>(bits & 7), (bits & 8) != 0, (bits & 16) != 0,
            (bits & 32) != 0};
  }

  // Whether a page may be mapped at all: a page that may not is never in the working set.
  constexpr bool AllowsAccess() const { return base != BaseProtection::kNoAccess && !guard; }
  constexpr bool AllowsWrite() const {
    return !guard &&
           (base == BaseProtection::kReadWrite || base == BaseProtection::kExecuteReadWrite);
  }
  // Readable are all that may be accessed: the kernel's spans make no difference there.
  constexpr bool Allows(AccessKind access) const {
    switch (access) {
      case AccessKind::kRead: return AllowsAccess();
      case AccessKind::kWrite: return AllowsWrite();
      case AccessKind::kExecute: return AllowsAccess() && AllowsExecute();
    }
    return false;
  }
  constexpr bool AllowsExecute() const { return base >= BaseProtection::kExecute; }

  friend constexpr bool operator==(const Protection&, const Protection&) = default;
};

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_PROTECTION_H_
