// Every move that a page may make between states, and the functions that make it. Shard::SetPte
// refuses all others. A page may also stay in its state while its protection or flags change.
#ifndef USERPAGER_PAGER_PAGE_STATE_TABLE_H_
#define USERPAGER_PAGER_PAGE_STATE_TABLE_H_

#include <string_view>

#include "runtime/address_space/pte.h"

namespace userpager {

struct PageMove {
  PageState from;
  PageState to;
  std::string_view made_by;  // functions of Shard
};

inline constexpr PageMove kPageMoves[] = {
    {PageState::kReserved, PageState::kDemandZero, "ProtectPage, DiscardPages"},
    {PageState::kDemandZero, PageState::kActiveDirty, "InstallZeros"},
    {PageState::kPagedOut, PageState::kReading, "StartTransfer"},
    {PageState::kReading, PageState::kActiveClean, "InstalledRead"},
    {PageState::kReading, PageState::kActiveDirty, "InstalledRead"},
    {PageState::kReading, PageState::kStandby, "ParkMarker"},
    {PageState::kReading, PageState::kPagedOut, "AbandonRead"},
    {PageState::kReading, PageState::kLost, "LosePage"},
    {PageState::kActiveClean, PageState::kActiveDirty, "FirstWrite"},
    {PageState::kActiveClean, PageState::kStandby, "ParkedPage"},
    {PageState::kActiveClean, PageState::kPagedOut, "DropClean"},
    {PageState::kActiveDirty, PageState::kModified, "ParkedPage"},
    {PageState::kActiveDirty, PageState::kDemandZero, "ParkedPage, DropZerosInPlace"},
    {PageState::kActiveDirty, PageState::kWritingInPlace, "StartWriteInPlace"},
    {PageState::kModified, PageState::kActiveDirty, "RescueByMove, RescueByCopy"},
    {PageState::kModified, PageState::kWriting, "StartWrite"},
    {PageState::kWriting, PageState::kActiveDirty, "RescueByCopy"},
    {PageState::kWriting, PageState::kStandby, "ParkedWriteDone"},
    {PageState::kWriting, PageState::kModified, "ParkedWriteDone"},
    {PageState::kWritingInPlace, PageState::kActiveDirty,
     "FirstWrite, ParkByCopy, InPlaceWriteDone"},
    {PageState::kWritingInPlace, PageState::kActiveClean, "InPlaceWriteDone"},
    {PageState::kStandby, PageState::kActiveClean, "RescueByCopy"},
    {PageState::kStandby, PageState::kActiveDirty, "RescueByMove"},
    {PageState::kStandby, PageState::kPagedOut, "DropParked"},
    {PageState::kModified, PageState::kOffered, "OfferPage"},
    {PageState::kOffered, PageState::kModified, "ReclaimPage"},
    {PageState::kOffered, PageState::kActiveDirty, "RescueByMove, RescueByCopy"},
    {PageState::kOffered, PageState::kDemandZero, "DropParked"},
    // Decommit and release, from every state that is committed.
    {PageState::kDemandZero, PageState::kReserved, "ForgetPage"},
    {PageState::kReading, PageState::kReserved, "ForgetPage"},
    {PageState::kActiveClean, PageState::kReserved, "ForgetPage"},
    {PageState::kActiveDirty, PageState::kReserved, "ForgetPage"},
    {PageState::kModified, PageState::kReserved, "ForgetPage"},
    {PageState::kWriting, PageState::kReserved, "ForgetPage"},
    {PageState::kWritingInPlace, PageState::kReserved, "ForgetPage"},
    {PageState::kStandby, PageState::kReserved, "ForgetPage"},
    {PageState::kOffered, PageState::kReserved, "ForgetPage"},
    {PageState::kPagedOut, PageState::kReserved, "ForgetPage"},
    {PageState::kLost, PageState::kReserved, "ForgetPage"},
};

// True for the moves of the table and for staying.
constexpr bool IsAllowedMove(PageState from, PageState to) {
  constexpr auto kRows = [] {
    struct Rows {
      uint16_t to[kPageStateCount] = {};
    } rows;
    for (const PageMove& move : kPageMoves) {
      rows.to[static_cast<unsigned>(move.from)] |=
          static_cast<uint16_t>(1u << static_cast<unsigned>(move.to));
    }
    return rows;
  }();
  return from == to ||
         (kRows.to[static_cast<unsigned>(from)] >> static_cast<unsigned>(to) & 1) != 0;
}

}  // namespace userpager

#endif  // USERPAGER_PAGER_PAGE_STATE_TABLE_H_
