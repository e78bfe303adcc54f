// Placeholders: made, replaced, put back, split and joined. Only their Vads change when they are
// split and joined; their address space stays mapped as it is. And what MEM_PHYSICAL reserves: it
// is address space as well, and can only be released.
#include <errno.h>

#include <optional>

#include "runtime/api/reservations.h"
#include "runtime/base/check.h"

namespace userpager {
namespace {

bool IsPlaceholder(const Vad& vad) {
  return vad.kind == VadKind::kPlaceholder && vad.from_placeholder;
}

// A placeholder of its own for a part of one, with the same address space.
Vad* NewPiece(const Vad& whole, PageRange range, bool exact_end) {
  Vad* piece = ArenaNew<Vad>();
  if (piece == nullptr) return nullptr;
  piece->kind = VadKind::kPlaceholder;
  piece->from_placeholder = true;
  piece->default_pte = whole.default_pte;
  piece->range = range;
  piece->exact_end = exact_end;
  return piece;
}

}  // namespace

Reservations::Allocated Reservations::HoldAddresses(PageIndex at, PageCount pages, DWORD type,
                                                    Protection protection) {
  LockHolder hold(lock_);
  Vad* vad = nullptr;
  // Footprints of others are mapped, so the kernel refuses what overlaps one.
  const Errno refused = pager_.ReservePlaceholder(at, pages, &vad);
  if (refused == EEXIST) return {ERROR_INVALID_ADDRESS};
  if (refused != 0) return {ERROR_NOT_ENOUGH_MEMORY};
  if ((type & MEM_PHYSICAL) != 0) {
    vad->from_placeholder = false;
    vad->allocation_protection = protection;
  }
  const uint64_t address = AddressOf(vad->range.begin);
  if (tree_.Insert(vad) != 0) {
    pager_.Release(vad);
    return {ERROR_NOT_ENOUGH_MEMORY};
  }
  return {0, address};
}

Reservations::Attempt Reservations::TryReplace(PageRange range, DWORD type,
                                               Protection protection) {
  const bool commit = (type & MEM_COMMIT) != 0;
  LockHolder hold(lock_);
  Vad* vad = tree_.Find(range.begin);
  if (vad == nullptr || !IsPlaceholder(*vad) || vad->range != range) {
    return {{ERROR_INVALID_ADDRESS}, {}};
  }
  PageCount slots_needed;
  CommitCharge::Token token = Charge(commit ? range.count() : PageCount(0), &slots_needed);
  if (!token.granted()) return {{}, slots_needed};
  if (pager_.ReplacePlaceholder(*vad, protection, commit) != 0) {
    return {{ERROR_NOT_ENOUGH_MEMORY}, {}};
  }
  if ((type & MEM_WRITE_WATCH) != 0) pager_.WatchWrites(*vad);
  token.Keep();
  return {{0, AddressOf(range.begin)}, {}};
}

DWORD Reservations::PreservePlaceholder(uint64_t address, uint64_t bytes) {
  const std::optional<PageRange> range = PagesOfRange(address, bytes);
  if (!range.has_value()) return ERROR_INVALID_PARAMETER;
  LockHolder hold(lock_);
  Vad* vad = tree_.Find(range->begin);
  if (vad == nullptr || !vad->from_placeholder || !vad->range.Contains(*range)) {
    return ERROR_INVALID_ADDRESS;
  }
  // A placeholder is split, what has replaced one is put back whole.
  const bool whole = vad->range == *range;
  const bool unused = IsPlaceholder(*vad);
  if (whole == unused) return ERROR_INVALID_ADDRESS;
  if (unused) return SplitPlaceholder(vad, *range);
  const PageCount committed = vad->committed;
  pager_.MakePlaceholder(*vad);
  charge_.Return(committed);
  return ERROR_SUCCESS;
}

DWORD Reservations::SplitPlaceholder(Vad* vad, PageRange part) {
  const PageRange whole = vad->range;
  const bool exact_end = vad->exact_end;
  // What lies above the lowest piece, which stays in `vad`.
  PageRange upper[2];
  unsigned count = 0;
  if (part.begin > whole.begin) upper[count++] = part;
  if (part.end < whole.end) upper[count++] = PageRange(part.end, whole.end);
  Vad* made[2] = {};
  for (unsigned i = 0; i < count; ++i) {
    const bool last = upper[i].end == whole.end;
    made[i] = NewPiece(*vad, upper[i], last ? exact_end : true);
  }
  bool ok = made[0] != nullptr && (count == 1 || made[1] != nullptr);
  unsigned inserted = 0;
  ok = ok && tree_.Resize(vad, upper[0].begin, true);
  while (ok && inserted < count) {
    ok = tree_.Insert(made[inserted]) == 0;
    if (ok) ++inserted;
  }
  if (ok) return ERROR_SUCCESS;
  while (inserted > 0) tree_.Erase(made[--inserted]);
  const bool restored = tree_.Resize(vad, whole.end, exact_end);
  USERPAGER_CHECK(restored, "a placeholder could not be joined again", AddressOf(whole.begin));
  for (Vad* piece : made) ArenaDelete(piece);
  return ERROR_NOT_ENOUGH_MEMORY;
}

DWORD Reservations::CoalescePlaceholders(uint64_t address, uint64_t bytes) {
  const std::optional<PageRange> range = PagesOfRange(address, bytes);
  if (!range.has_value()) return ERROR_INVALID_PARAMETER;
  LockHolder hold(lock_);
  Vad* const first = tree_.Find(range->begin);
  if (first == nullptr || first->range.begin != range->begin) return ERROR_INVALID_ADDRESS;
  // All of them are looked at before the first changes.
  unsigned pieces = 0;
  const Vad* last = nullptr;
  PageIndex expected = range->begin;
  for (const Vad* vad = first; expected < range->end; vad = tree_.Next(*vad)) {
    if (vad == nullptr || !IsPlaceholder(*vad) || vad->range.begin != expected) {
      return ERROR_INVALID_ADDRESS;
    }
    expected = vad->range.end;
    last = vad;
    ++pieces;
  }
  if (expected != range->end || pieces < 2) return ERROR_INVALID_ADDRESS;
  const bool exact_end = last->exact_end;
  while (first->range.end < range->end) {
    Vad* next = tree_.Next(*first);
    const PageIndex end = next->range.end;
    tree_.Erase(next);
    ArenaDelete(next);
    const bool joined = tree_.Resize(first, end, end == range->end ? exact_end : true);
    USERPAGER_CHECK(joined, "neighbouring placeholders could not be joined", AddressOf(end));
  }
  return ERROR_SUCCESS;
}

}  // namespace userpager
