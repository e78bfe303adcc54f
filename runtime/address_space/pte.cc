#include "runtime/address_space/pte.h"

namespace userpager {

std::string_view PageStateName(PageState state) {
  switch (state) {
    case PageState::kReserved: return "Reserved";
    case PageState::kDemandZero: return "DemandZero";
    case PageState::kReading: return "Reading";
    case PageState::kActiveClean: return "ActiveClean";
    case PageState::kActiveDirty: return "ActiveDirty";
    case PageState::kModified: return "Modified";
    case PageState::kWriting: return "Writing";
    case PageState::kWritingInPlace: return "WritingInPlace";
    case PageState::kStandby: return "Standby";
    case PageState::kOffered: return "Offered";
    case PageState::kPagedOut: return "PagedOut";
    case PageState::kLost: return "Lost";
  }
  return "unknown";
}

}  // namespace userpager
