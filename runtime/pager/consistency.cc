// Shard: whether all of its structures agree with each other. For tests, and for finding out what
// went wrong; it looks at every touched page.
#include <bit>

#include "runtime/pager/shard.h"

namespace userpager {
namespace {

bool Broken(const char* what, uint64_t value, uint64_t expected) {
  LogLine line;
  line << "inconsistent: " << what << ": " << Hex{value} << ", expected " << Hex{expected};
  line.Write();
  return false;
}

struct Tally {
  uint64_t frames = 0;  // that pages hold
  uint64_t out = 0;
  uint64_t reading = 0;
  uint64_t modified = 0;
  uint64_t standby = 0;
  uint64_t offered = 0;
  uint64_t writing = 0;
  uint64_t on_trial = 0;  // parked, in any state
  uint64_t in_policy = 0;
  uint64_t locked = 0;
  uint64_t staying = 0;
};

FrameListId ListOf(Pte pte) {
  switch (pte.state()) {
    case PageState::kActiveClean:
    case PageState::kActiveDirty:
      return pte.stays() ? FrameListId::kNone : FrameListId::kWorkingSet;
    case PageState::kModified: return FrameListId::kModified;
    case PageState::kStandby:
      return PageHistory(pte.history()).on_trial() ? FrameListId::kTrial : FrameListId::kStandby;
    default: return FrameListId::kNone;
  }
}

bool HasSlot(PageState state) {
  return state == PageState::kActiveClean || state == PageState::kStandby;
}

bool CheckPage(const FrameTable& frames, PageIndex page, Pte pte, Tally* tally) {
  tally->locked += pte.locked();
  tally->staying += pte.stays();
  tally->out += pte.state() == PageState::kPagedOut;
  tally->reading += pte.state() == PageState::kReading;
  if (!pte.has_frame()) return true;
  const Frame& frame = frames[pte.frame()];
  ++tally->frames;
  tally->modified += pte.state() == PageState::kModified;
  tally->standby += pte.state() == PageState::kStandby;
  tally->writing += pte.state() == PageState::kWriting;
  tally->on_trial += pte.parked() && PageHistory(pte.history()).on_trial();
  tally->in_policy += ListOf(pte) == FrameListId::kWorkingSet;
  if (frame.page() != page) return Broken("frame's page", frame.page().value(), page.value());
  if (pte.state() == PageState::kOffered) {
    ++tally->offered;
    return frame.list() >= FrameListId::kOffered ||
           Broken("list of an offered frame", static_cast<uint64_t>(frame.list()),
                  static_cast<uint64_t>(FrameListId::kOffered));
  }
  if (frame.list() != ListOf(pte)) {
    return Broken("frame's list (by state)", static_cast<uint64_t>(frame.list()),
                  static_cast<uint64_t>(ListOf(pte)));
  }
  if ((frame.slot != kNoSlot) != HasSlot(pte.state())) {
    return Broken("frame's slot (by state)", frame.slot.value(),
                  static_cast<uint64_t>(pte.state()));
  }
  return true;
}

}  // namespace

bool Shard::CheckConsistency() {
  LockHolder hold(mutex_);
  if (!stripes_.CheckConsistency()) return false;
  Tally tally;
  for (auto entry = stripes_.FindAtOrAfter(PageIndex(0)); entry.value != nullptr;
       entry = stripes_.FindAtOrAfter(entry.range.end)) {
    const Stripe& stripe = *entry.value;
    const PageIndex end = stripe.range.end;
    for (PageIndex page = stripe.NextTouched(stripe.range.begin, end); page < end;
         page = stripe.NextTouched(page + PageCount(1), end)) {
      const Pte pte = stripe.Load(page);
      if (!CheckPage(frames_, page, pte, &tally)) return false;
      // The kernel agrees about what is mapped. The guard of a trap, the poison of a lost page and
      // what the program has mapped in its place count as something there.
      const bool marked = pte.state() == PageState::kLost || pte.foreign() ||
                          (pte.trapped() && !pte.mapped());
      if (!marked && pte.mapped() != platform_.IsPresent(page)) {
        return Broken("presence of a mapped page", AddressOf(page), pte.mapped());
      }
    }
  }
  const uint64_t parked = parking_[0].taken().value() + parking_[1].taken().value();
  struct Row {
    const char* what;
    uint64_t value;
    uint64_t expected;
  };
  uint64_t offered = 0;
  for (const FrameList& list : offered_) offered += list.count().value();
  uint64_t writing = 0;
  uint64_t detached = 0;
  for (uint32_t i = 1; i <= transfers_.most(); ++i) {
    const Transfer& transfer = transfers_[i];
    if (transfer.kind == TransferKind::kWrite) writing += transfer.count;
    if (transfer.kind == TransferKind::kWriteInPlace) {
      detached += static_cast<uint64_t>(std::popcount(transfer.detached));
    }
  }
  const uint64_t orphaned = writing - tally.writing + detached;
  const Row rows[] = {
      {"pages in the working set", policy_->count().value(), tally.in_policy},
      {"pages on the modified list", modified_.count().value(), tally.modified},
      {"pages on the standby list", standby_.count().value(), tally.standby},
      {"pages on the offered lists", offered, tally.offered},
      {"parked pages", unmapped_.parked().value(), tally.modified + tally.writing + tally.standby},
      {"parked pages on trial", unmapped_.on_trial.value(), tally.on_trial},
      {"pages that are out", unmapped_.out.value(), tally.out},
      {"locked pages", locked_.load(), tally.locked},
      {"locked and held pages", staying_.load(), tally.staying},
      {"frames in use", frames_.in_use().value(),
       tally.frames + discard_.count().value() + orphaned},
  };
  for (const Row& row : rows) {
    if (row.value != row.expected) return Broken(row.what, row.value, row.expected);
  }
  if (tally.reading > reading_pages_.value()) {
    return Broken("pages being read", reading_pages_.value(), tally.reading);
  }
  if (parked > frames_.in_use().value()) {
    return Broken("taken parking places", parked, frames_.in_use().value());
  }
  const uint64_t charged = frames_.in_use().value() + reading_pages_.value() +
                           buffer_pages_.value() + ledger_.unpaged().value();
  if (options_.shard_count == 1 && ledger_.charged().value() != charged) {
    return Broken("charged pages", ledger_.charged().value(), charged);
  }
  return true;
}

}  // namespace userpager
