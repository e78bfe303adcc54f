#include "runtime/api/allocation_flags.h"

#include <bit>
#include <iterator>

namespace userpager {
namespace {

constexpr DWORD kKnownTypes = MEM_COMMIT | MEM_RESERVE | MEM_TOP_DOWN | MEM_LARGE_PAGES |
                              MEM_WRITE_WATCH | MEM_RESET | MEM_RESET_UNDO | MEM_PHYSICAL;

// By the value of BaseProtection.
constexpr DWORD kBaseWords[] = {PAGE_NOACCESS, PAGE_READONLY,     PAGE_READWRITE,
                                PAGE_EXECUTE,  PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE};
constexpr DWORD kModifiers = PAGE_GUARD | PAGE_NOCACHE | PAGE_WRITECOMBINE;

}  // namespace

DWORD CheckAllocationType(DWORD type) {
  const auto has = [type](DWORD flag) { return (type & flag) != 0; };
  if ((type & ~kKnownTypes) != 0) return ERROR_INVALID_PARAMETER;
  if (has(MEM_RESET) || has(MEM_RESET_UNDO)) {
    return std::has_single_bit(type) ? ERROR_SUCCESS : ERROR_INVALID_PARAMETER;
  }
  const bool reserve = has(MEM_RESERVE);
  const bool commit = has(MEM_COMMIT);
  if (!reserve && !commit) return ERROR_INVALID_PARAMETER;
  if (has(MEM_WRITE_WATCH) && !reserve) return ERROR_INVALID_PARAMETER;
  if (has(MEM_PHYSICAL) && (!reserve || commit)) return ERROR_INVALID_PARAMETER;
  if (has(MEM_LARGE_PAGES) && (!(reserve && commit) || has(MEM_WRITE_WATCH))) {
    return ERROR_INVALID_PARAMETER;
  }
  return ERROR_SUCCESS;
}

DWORD CheckAllocationType2(DWORD type) {
  constexpr DWORD kWithPlaceholder = MEM_RESERVE | MEM_RESERVE_PLACEHOLDER | MEM_TOP_DOWN;
  constexpr DWORD kAsReplacement =
      MEM_RESERVE | MEM_COMMIT | MEM_REPLACE_PLACEHOLDER | MEM_TOP_DOWN | MEM_WRITE_WATCH;
  const DWORD placeholder = type & (MEM_RESERVE_PLACEHOLDER | MEM_REPLACE_PLACEHOLDER);
  if (placeholder == 0) return CheckAllocationType(type);
  const DWORD allowed = placeholder == MEM_RESERVE_PLACEHOLDER ? kWithPlaceholder : kAsReplacement;
  if ((type & MEM_RESERVE) == 0 || (type & ~allowed) != 0) return ERROR_INVALID_PARAMETER;
  return CheckAllocationType(type & ~placeholder);
}

DWORD CheckAllocationProtection(DWORD type, DWORD protect) {
  if (!DecodeProtection(protect).has_value()) return ERROR_INVALID_PARAMETER;
  const bool read_write_only = (type & (MEM_PHYSICAL | MEM_LARGE_PAGES)) != 0;
  if (read_write_only && protect != PAGE_READWRITE) return ERROR_INVALID_PARAMETER;
  const bool placeholder = (type & MEM_RESERVE_PLACEHOLDER) != 0;
  if (placeholder && protect != PAGE_NOACCESS) return ERROR_INVALID_PARAMETER;
  return ERROR_SUCCESS;
}

DWORD CheckFreeType(DWORD type) {
  switch (type) {
    case MEM_DECOMMIT:
    case MEM_RELEASE:
    case MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER:
    case MEM_RELEASE | MEM_COALESCE_PLACEHOLDERS:
      return ERROR_SUCCESS;
    default:
      return ERROR_INVALID_PARAMETER;
  }
}

std::optional<Protection> DecodeProtection(DWORD protect) {
  const DWORD modifiers = protect & kModifiers;
  const DWORD base_word = protect & ~kModifiers;
  if (modifiers != 0 && (!std::has_single_bit(modifiers) || base_word == PAGE_NOACCESS)) {
    return std::nullopt;
  }
  for (unsigned base = 0; base < std::size(kBaseWords); ++base) {
    if (kBaseWords[base] != base_word) continue;
    return Protection{static_cast<BaseProtection>(base), modifiers == PAGE_GUARD,
                      modifiers == PAGE_NOCACHE, modifiers == PAGE_WRITECOMBINE};
  }
  return std::nullopt;
}

DWORD EncodeProtection(Protection protection) {
  return kBaseWords[static_cast<unsigned>(protection.base)] |
         (protection.guard ? PAGE_GUARD : 0u) | (protection.no_cache ? PAGE_NOCACHE : 0u) |
         (protection.write_combine ? PAGE_WRITECOMBINE : 0u);
}

Protection ShownProtection(Protection page, Protection allocation) {
  const bool shows_caching = page.AllowsAccess();
  return {page.base, page.guard, shows_caching && allocation.no_cache,
          shows_caching && allocation.write_combine};
}

}  // namespace userpager
