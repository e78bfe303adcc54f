// QueryWorkingSet and QueryWorkingSetEx. Answers go to the caller's memory, which may be paged, so
// they come out in portions, and each is written outside of all locks.
#include <userpager/working_set.h>

#include <algorithm>
#include <span>

#include "runtime/api/allocation_flags.h"
#include "runtime/api/exported_call.h"
#include "runtime/api/reservations.h"
#include "runtime/platform/address_map.h"

namespace userpager {
namespace {

// Pages that one portion looks at, so that the tree's lock is free again soon.
constexpr PageCount kScanned{16384};

// By the value of BaseProtection; the encoding of PSAPI_WORKING_SET_BLOCK.
constexpr uint64_t kBlockProtections[] = {0, 1, 4, 2, 3, 6};

uint64_t BlockOf(PageIndex page, Protection shown) {
  PSAPI_WORKING_SET_BLOCK block = {};
  block.Block.VirtualPage = page.value() & ((uint64_t{1} << 52) - 1);
  block.Block.Protection = (kBlockProtections[static_cast<unsigned>(shown.base)] |
                            (shown.no_cache ? 8u : 0u) | (shown.write_combine ? 24u : 0u)) &
                           31;
  return block.Flags;
}

// Hidden pages (no access, offered) are in nobody's working set, mapped or not.
bool IsResident(Pte pte) { return pte.mapped() && pte.protection().AllowsAccess(); }

uint64_t AttributesOf(Pte pte, Protection allocation) {
  PSAPI_WORKING_SET_EX_BLOCK block = {};
  block.Attributes.Bad = pte.state() == PageState::kLost;
  if (IsResident(pte)) {
    block.Attributes.Valid = 1;
    block.Attributes.Win32Protection =
        EncodeProtection(ShownProtection(pte.protection(), allocation)) & 0x7ff;
    block.Attributes.Locked = pte.locked();
  }
  return block.Flags;
}

// Large pages never leave memory, and do not count in the working set.
uint64_t LargePage() {
  PSAPI_WORKING_SET_EX_BLOCK block = {};
  block.Attributes.Valid = 1;
  block.Attributes.Win32Protection = PAGE_READWRITE;
  block.Attributes.Locked = 1;
  block.Attributes.LargePage = 1;
  return block.Flags;
}

}  // namespace

Reservations::Residents Reservations::CollectResidents(PageIndex from) {
  Residents found;
  found.next = from;
  PageCount scanned;
  LockHolder hold(lock_);
  while (scanned < kScanned && found.count < kPagesAtATime) {
    Vad* vad = tree_.AtOrAfter(found.next);
    if (vad == nullptr) {
      found.next = kEndOfAddressSpace;
      break;
    }
    // As many as there is room for, should all be resident.
    const PageRange wanted(std::max(found.next, vad->range.begin), vad->range.end);
    if (vad->kind != VadKind::kPaged) {
      ++scanned;
      found.next = wanted.end;
      continue;
    }
    Pte ptes[kPagesAtATime];
    const PageRange part =
        pager_.ReadPtes(*vad, wanted, std::span(ptes, kPagesAtATime - found.count));
    for (uint64_t i = 0; i < part.count().value(); ++i) {
      if (!IsResident(ptes[i])) continue;
      const Protection shown = ShownProtection(ptes[i].protection(), vad->allocation_protection);
      found.blocks[found.count++] = BlockOf(part.begin + PageCount(i), shown);
    }
    scanned += part.count() + PageCount(1);
    found.next = part.end;
  }
  return found;
}

Reservations::Attributes Reservations::AttributesOf(const Addresses& addresses) {
  Attributes answer;
  LockHolder hold(lock_);
  for (size_t i = 0; i < addresses.count; ++i) {
    const PageIndex page = addresses.pages[i];
    Vad* vad = tree_.Find(page);
    answer.blocks[i] = 0;
    if (vad != nullptr && vad->kind == VadKind::kLargePages) answer.blocks[i] = LargePage();
    if (vad == nullptr || vad->kind != VadKind::kPaged) continue;
    Pte pte;
    (void)pager_.ReadPtes(*vad, PageRange(page, PageCount(1)), {&pte, 1});
    answer.blocks[i] = userpager::AttributesOf(pte, vad->allocation_protection);
  }
  return answer;
}

}  // namespace userpager

using userpager::Done;
using userpager::IsThisProcess;
using userpager::OnReservations;
using userpager::PageIndex;
using userpager::Reservations;

BOOL QueryWorkingSet(HANDLE hProcess, PVOID pv, DWORD cb) {
  if (!IsThisProcess(hProcess)) return Done(ERROR_INVALID_HANDLE);
  if (pv == nullptr) return Done(ERROR_NOACCESS);
  if (cb < sizeof(ULONG_PTR)) return Done(ERROR_BAD_LENGTH);
  auto* information = static_cast<PSAPI_WORKING_SET_INFORMATION*>(pv);
  const size_t room = cb / sizeof(ULONG_PTR) - 1;
  size_t count = 0;
  for (PageIndex next(0); next < userpager::kEndOfAddressSpace;) {
    const auto found = OnReservations<Reservations::Residents>(
        [=](Reservations& reservations) { return reservations.CollectResidents(next); });
    if (!Done(found.error)) return FALSE;
    for (size_t i = 0; i < found.count; ++i, ++count) {
      if (count < room) information->WorkingSetInfo[count].Flags = found.blocks[i];
    }
    next = found.next;
  }
  information->NumberOfEntries = count;
  return Done(count <= room ? ERROR_SUCCESS : ERROR_BAD_LENGTH);
}

BOOL QueryWorkingSetEx(HANDLE hProcess, PVOID pv, DWORD cb) {
  if (!IsThisProcess(hProcess)) return Done(ERROR_INVALID_HANDLE);
  auto* entries = static_cast<PSAPI_WORKING_SET_EX_INFORMATION*>(pv);
  const size_t count = cb / sizeof *entries;
  if (count == 0) return Done(ERROR_BAD_LENGTH);
  if (pv == nullptr) return Done(ERROR_NOACCESS);
  for (size_t done = 0; done < count;) {
    Reservations::Addresses addresses;
    addresses.count = std::min(count - done, Reservations::kPagesAtATime);
    for (size_t i = 0; i < addresses.count; ++i) {
      addresses.pages[i] = userpager::PageOf(entries[done + i].VirtualAddress);
    }
    const auto answer = OnReservations<Reservations::Attributes>(
        [=](Reservations& reservations) { return reservations.AttributesOf(addresses); });
    if (!Done(answer.error)) return FALSE;
    for (size_t i = 0; i < addresses.count; ++i) {
      entries[done + i].VirtualAttributes.Flags = answer.blocks[i];
    }
    done += addresses.count;
  }
  return TRUE;
}
