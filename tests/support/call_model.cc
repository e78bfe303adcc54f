#include "tests/support/call_model.h"

#include <algorithm>
#include <cstring>

namespace userpager_tests {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kUnitPages = 16;

bool IsProtection(DWORD protect) {
  const DWORD base = protect & ~DWORD{PAGE_GUARD};
  if (base == PAGE_NOACCESS) return protect == base;
  return base == PAGE_READONLY || base == PAGE_READWRITE;
}

}  // namespace

CallModel::CallModel(std::byte* base, size_t pages)
    : base_(base), pages_(pages), reservations_(pages), content_(pages * kPage) {}

std::byte* CallModel::content(size_t page) { return content_.data() + page * kPage; }

ModelRange CallModel::PagesOf(size_t offset, size_t bytes) {
  return {offset / kPage, (offset + bytes + kPage - 1) / kPage};
}

bool CallModel::IsInOne(ModelRange range) const {
  const size_t owner = pages_[range.begin].owner;
  return owner != 0 && std::all_of(pages_.begin() + static_cast<ptrdiff_t>(range.begin),
                                   pages_.begin() + static_cast<ptrdiff_t>(range.end),
                                   [=](const ModelPage& page) { return page.owner == owner; });
}

bool CallModel::IsUsable(ModelRange range) const {
  return IsInOne(range) && !is_placeholder(range.begin);
}

bool CallModel::IsCommitted(ModelRange range) const {
  return IsUsable(range) && std::all_of(pages_.begin() + static_cast<ptrdiff_t>(range.begin),
                                       pages_.begin() + static_cast<ptrdiff_t>(range.end),
                                       [](const ModelPage& page) { return page.committed; });
}

DWORD CallModel::Alloc(size_t offset, size_t bytes, DWORD type, DWORD protect) {
  const bool reserves = (type & MEM_RESERVE) != 0;
  const bool commits = (type & MEM_COMMIT) != 0;
  const DWORD others = type & ~DWORD{MEM_RESERVE | MEM_COMMIT};
  const bool valid = (type == MEM_RESET) || ((reserves || commits) && others == 0) ||
                     (reserves && others == MEM_WRITE_WATCH);
  if (!valid || !IsProtection(protect) || bytes == 0) return ERROR_INVALID_PARAMETER;
  if (reserves) return Reserve(offset, bytes, type, protect);
  const ModelRange range = PagesOf(offset, bytes);
  if (!IsUsable(range)) return ERROR_INVALID_ADDRESS;
  if (commits) return Commit(range, protect);
  for (size_t i = range.begin; i < range.end; ++i) pages_[i].maybe_zero |= pages_[i].committed;
  return ERROR_SUCCESS;
}

DWORD CallModel::Take(ModelRange range, Reservation reservation) {
  const size_t taken = (range.end + kUnitPages - 1) / kUnitPages * kUnitPages;
  for (size_t i = range.begin; i < taken; ++i) {
    if (pages_[i].taken) return ERROR_INVALID_ADDRESS;
  }
  for (size_t i = range.begin; i < taken; ++i) pages_[i].taken = true;
  Own(range, reservation);
  return ERROR_SUCCESS;
}

void CallModel::Own(ModelRange range, Reservation reservation) {
  reservation.pages = range.end - range.begin;
  reservations_[range.begin] = reservation;
  for (size_t i = range.begin; i < range.end; ++i) pages_[i].owner = range.begin + 1;
}

DWORD CallModel::Reserve(size_t offset, size_t bytes, DWORD type, DWORD protect) {
  const size_t first = offset / kPage / kUnitPages * kUnitPages;
  const ModelRange range = {first, PagesOf(offset, bytes).end};
  const bool watched = (type & MEM_WRITE_WATCH) != 0;
  const DWORD error = Take(range, {.protect = protect, .watched = watched});
  if (error != ERROR_SUCCESS || (type & MEM_COMMIT) == 0) return error;
  return Commit(range, protect);
}

DWORD CallModel::Commit(ModelRange range, DWORD protect) {
  for (size_t i = range.begin; i < range.end; ++i) {
    pages_[i].committed = true;
    pages_[i].protect = protect;
    // What takes the access away ends the lock.
    if (!pages_[i].readable()) pages_[i].locked = false;
  }
  return ERROR_SUCCESS;
}

DWORD CallModel::Free(size_t offset, size_t bytes, DWORD type) {
  if (type != MEM_RELEASE && type != MEM_DECOMMIT) return ERROR_INVALID_PARAMETER;
  if (type == MEM_RELEASE && bytes != 0) return ERROR_INVALID_PARAMETER;
  const size_t page = offset / kPage;
  const size_t owner = pages_[page].owner;
  if (owner == 0 || (bytes == 0 && page != owner - 1)) return ERROR_INVALID_ADDRESS;
  const size_t first = owner - 1;
  if (type == MEM_RELEASE) {
    Release(first);
    return ERROR_SUCCESS;
  }
  if (is_placeholder(page)) return ERROR_INVALID_ADDRESS;
  const ModelRange range =
      bytes == 0 ? ModelRange{first, first + reservations_[first].pages} : PagesOf(offset, bytes);
  if (!IsInOne(range)) return ERROR_INVALID_PARAMETER;
  Decommit(range);
  return ERROR_SUCCESS;
}

void CallModel::Release(size_t first) {
  const size_t end = first + reservations_[first].pages;
  Decommit({first, end});
  const size_t rounded = (end + kUnitPages - 1) / kUnitPages * kUnitPages;
  const size_t taken = reservations_[first].exact_end ? end : rounded;
  for (size_t i = first; i < taken; ++i) pages_[i] = ModelPage{};
}

void CallModel::Decommit(ModelRange range) {
  for (size_t i = range.begin; i < range.end; ++i) {
    const size_t owner = pages_[i].owner;
    pages_[i] = ModelPage{};
    pages_[i].owner = owner;
    pages_[i].taken = true;
    std::memset(content(i), 0, kPage);
  }
}

DWORD CallModel::Protect(size_t offset, size_t bytes, DWORD protect, DWORD* old) {
  if (!IsProtection(protect) || bytes == 0) return ERROR_INVALID_PARAMETER;
  const ModelRange range = PagesOf(offset, bytes);
  *old = PAGE_NOACCESS;
  if (!IsCommitted(range)) return ERROR_INVALID_ADDRESS;
  *old = pages_[range.begin].protect;
  return Commit(range, protect);
}

DWORD CallModel::Lock(size_t offset, size_t bytes) {
  if (bytes == 0) return ERROR_INVALID_PARAMETER;
  const ModelRange range = PagesOf(offset, bytes);
  if (!IsCommitted(range)) return ERROR_INVALID_ADDRESS;
  for (size_t i = range.begin; i < range.end; ++i) {
    if (pages_[i].protect == PAGE_NOACCESS) return ERROR_NOACCESS;
    if (!pages_[i].guarded()) continue;
    pages_[i].protect &= ~DWORD{PAGE_GUARD};
    return STATUS_GUARD_PAGE_VIOLATION;
  }
  for (size_t i = range.begin; i < range.end; ++i) pages_[i].locked = true;
  return ERROR_SUCCESS;
}

DWORD CallModel::Unlock(size_t offset, size_t bytes) {
  if (bytes == 0) return ERROR_INVALID_PARAMETER;
  const ModelRange range = PagesOf(offset, bytes);
  if (!IsCommitted(range)) return ERROR_INVALID_ADDRESS;
  for (size_t i = range.begin; i < range.end; ++i) {
    if (!pages_[i].locked) return ERROR_NOT_LOCKED;
  }
  for (size_t i = range.begin; i < range.end; ++i) pages_[i].locked = false;
  return ERROR_SUCCESS;
}

DWORD CallModel::ReservePlaceholder(size_t offset, size_t bytes, DWORD protect) {
  if (protect != PAGE_NOACCESS || bytes == 0) return ERROR_INVALID_PARAMETER;
  const size_t first = offset / kPage / kUnitPages * kUnitPages;
  return Take({first, PagesOf(offset, bytes).end},
              {.protect = protect, .placeholder = true, .from_placeholder = true});
}

DWORD CallModel::ReplacePlaceholder(size_t offset, size_t bytes, DWORD type, DWORD protect) {
  if (!IsProtection(protect) || bytes == 0) return ERROR_INVALID_PARAMETER;
  const ModelRange range = PagesOf(offset, bytes);
  if (offset % kPage != 0 || !is_placeholder(range.begin) || whole(range.begin) != range) {
    return ERROR_INVALID_ADDRESS;
  }
  Reservation& reservation = reservations_[range.begin];
  reservation.placeholder = false;
  reservation.protect = protect;
  reservation.watched = (type & MEM_WRITE_WATCH) != 0;
  return (type & MEM_COMMIT) != 0 ? Commit(range, protect) : ERROR_SUCCESS;
}

DWORD CallModel::PreservePlaceholder(size_t offset, size_t bytes) {
  if (bytes == 0) return ERROR_INVALID_PARAMETER;
  const ModelRange range = PagesOf(offset, bytes);
  if (!IsInOne(range)) return ERROR_INVALID_ADDRESS;
  const ModelRange all = whole(range.begin);
  const Reservation before = reservations_[all.begin];
  if (!before.from_placeholder || before.placeholder == (all == range)) {
    return ERROR_INVALID_ADDRESS;
  }
  if (!before.placeholder) {
    Decommit(all);
    reservations_[all.begin] = {.pages = before.pages, .protect = PAGE_NOACCESS,
                                .placeholder = true, .from_placeholder = true,
                                .exact_end = before.exact_end};
    return ERROR_SUCCESS;
  }
  for (const ModelRange piece : {ModelRange{all.begin, range.begin}, range,
                                 ModelRange{range.end, all.end}}) {
    if (piece.begin == piece.end) continue;
    Reservation reservation = before;
    if (piece.end != all.end) reservation.exact_end = true;
    Own(piece, reservation);
  }
  return ERROR_SUCCESS;
}

DWORD CallModel::CoalescePlaceholders(size_t offset, size_t bytes) {
  if (bytes == 0) return ERROR_INVALID_PARAMETER;
  const ModelRange range = PagesOf(offset, bytes);
  Reservation joined;
  size_t pieces = 0;
  for (size_t at = range.begin; at < range.end; ++pieces) {
    if (!is_placeholder(at) || whole(at).begin != at) return ERROR_INVALID_ADDRESS;
    joined = reservations_[at];
    at = whole(at).end;
    if (at > range.end) return ERROR_INVALID_ADDRESS;
  }
  if (pieces < 2) return ERROR_INVALID_ADDRESS;
  Own(range, joined);
  return ERROR_SUCCESS;
}

ModelRange CallModel::whole(size_t page) const {
  const size_t owner = pages_[page].owner;
  if (owner == 0) return {};
  return {owner - 1, owner - 1 + reservations_[owner - 1].pages};
}

bool CallModel::is_placeholder(size_t page) const {
  const size_t owner = pages_[page].owner;
  return owner != 0 && reservations_[owner - 1].placeholder;
}

size_t CallModel::locked_pages() const {
  return static_cast<size_t>(std::count_if(pages_.begin(), pages_.end(),
                                           [](const ModelPage& page) { return page.locked; }));
}

DWORD CallModel::Watch(size_t offset, size_t bytes, bool reset, std::vector<size_t>* written) {
  if (bytes == 0) return ERROR_INVALID_PARAMETER;
  const ModelRange range = PagesOf(offset, bytes);
  if (!IsUsable(range) || !reservations_[pages_[range.begin].owner - 1].watched) {
    return ERROR_INVALID_PARAMETER;
  }
  for (size_t i = range.begin; i < range.end; ++i) {
    if (!pages_[i].written) continue;
    written->push_back(i);
    if (reset) pages_[i].written = false;
  }
  return ERROR_SUCCESS;
}

MEMORY_BASIC_INFORMATION CallModel::Query(size_t page) const {
  MEMORY_BASIC_INFORMATION run = {};
  run.BaseAddress = base_ + page * kPage;
  const ModelPage& first = pages_[page];
  if (first.owner == 0) {
    run.State = MEM_FREE;
    run.Protect = PAGE_NOACCESS;
    return run;
  }
  run.AllocationBase = base_ + (first.owner - 1) * kPage;
  run.AllocationProtect = reservations_[first.owner - 1].protect;
  run.State = first.committed ? MEM_COMMIT : MEM_RESERVE;
  run.Protect = first.protect;
  run.Type = MEM_PRIVATE;
  size_t end = page;
  while (end < pages_.size() && pages_[end].owner == first.owner &&
         pages_[end].committed == first.committed && pages_[end].protect == first.protect) {
    ++end;
  }
  run.RegionSize = (end - page) * kPage;
  return run;
}

}  // namespace userpager_tests
