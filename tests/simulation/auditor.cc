#include "tests/simulation/auditor.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/pager/buffer_pool.h"
#include "tests/simulation/shard_view.h"

namespace userpager::simulation {
namespace {

// Pages whose contents are looked at after one event, on the average: large runs are looked at less
// often.
constexpr uint64_t kPagesEachEvent = 150;

bool HasSlotBesideFrame(PageState state) {
  return state == PageState::kActiveClean || state == PageState::kStandby;
}

}  // namespace

void Auditor::Check() {
  if (!machine_.verdict.ok()) return;
  for (unsigned i = 0; i < machine_.scenario.shards; ++i) {
    if (machine_.shard(i).CheckConsistency()) continue;
    return machine_.verdict.Fail(
        absl::StrCat("the structures of shard ", i, " do not agree with each other"));
  }
  machine_.platform.CheckCharge();
  CheckCharges();
  CheckLimit();
  uint64_t pages = 0;
  for (const auto& reservation : machine_.reservations) {
    if (reservation == nullptr) continue;
    CheckLost(*reservation);
    pages += reservation->range().count().value();
  }
  CheckSlots();
  if (++turn_ % (1 + pages / kPagesEachEvent) != 0) return;
  for (const auto& reservation : machine_.reservations) {
    if (reservation != nullptr) CheckContents(*reservation);
  }
  CheckLoans();
}

// What the shards have, each for itself, is what is charged.
void Auditor::CheckCharges() {
  uint64_t had = 0;
  for (unsigned i = 0; i < machine_.scenario.shards; ++i) {
    had += ShardTestPeer::Charged(machine_.shard(i)).value();
  }
  const uint64_t charged = machine_.ledger.charged().value();
  if (had == charged) return;
  machine_.verdict.Fail(absl::StrCat(charged, " pages are charged, and the shards have ", had));
}

// A limit that was lowered is passed by what was charged before, which may only become less.
void Auditor::CheckLimit() {
  const uint64_t charged = machine_.ledger.charged().value();
  const uint64_t limit = machine_.ledger.limit().value();
  if (charged > std::max(limit, charged_before_)) {
    machine_.verdict.Fail(
        absl::StrCat(charged, " pages are charged, and the limit is ", limit));
  }
  charged_before_ = charged;
}

void Auditor::CheckLost(Reservation& reservation) {
  const PageRange range = reservation.range();
  for (PageIndex page = range.begin; page < range.end; ++page) {
    if (reservation.Load(page).state() != PageState::kLost) continue;
    ModelPage& model = reservation.At(page);
    if (model.lost) continue;
    model.lost = true;
    const auto found = read_from_.find(page.value());
    if (found == read_from_.end() || !machine_.store.MayBeLost(found->second)) {
      machine_.verdict.Fail(
          absl::StrFormat("page %x was given up, and the store did not fail", page.value()));
    }
  }
}

void Auditor::CheckContents(Reservation& reservation) {
  const PageRange range = reservation.range();
  for (PageIndex page = range.begin; page < range.end; ++page) {
    const ModelPage& model = reservation.At(page);
    const Pte pte = reservation.Load(page);
    if (pte.committed() != model.committed || pte.locked() != model.locked ||
        (pte.committed() && !(pte.protection() == model.protection))) {
      return machine_.verdict.Fail(absl::StrFormat(
          "page %x is not committed, locked or protected as it should be", page.value()));
    }
    if (model.committed && !model.lost) {
      CheckPage(reservation.StripeOf(page), page, model, pte);
    }
    ++pages_checked_;
  }
}

void Auditor::CheckPage(Stripe& stripe, PageIndex page, const ModelPage& model, Pte pte) {
  Shard& shard = machine_.shard(stripe.shard);
  static const PageBytes kZeros{};
  switch (pte.state()) {
    case PageState::kReserved:
    case PageState::kLost:
      return machine_.verdict.Fail(absl::StrFormat("page %x is gone", page.value()));
    case PageState::kDemandZero:
      return CheckBytes(page, model.words, kZeros, "as a page of zeros");
    case PageState::kReading:
      if (SlotOf(stripe, page) == kNoSlot) {
        return machine_.verdict.Fail("a page is read by no transfer");
      }
      break;
    case PageState::kPagedOut:
      break;
    case PageState::kActiveClean:
    case PageState::kActiveDirty:
    case PageState::kWritingInPlace: {
      const PhysicalPage memory = machine_.platform.MappedAt(page);
      CheckBytes(page, model.words, machine_.platform.At(memory), "where it is mapped");
      break;
    }
    case PageState::kModified:
    case PageState::kWriting:
    case PageState::kStandby:
    case PageState::kOffered: {
      const PageIndex at = ShardTestPeer::ParkedAt(shard, pte.frame());
      CheckBytes(page, model.words,
                 *static_cast<const PageBytes*>(machine_.platform.Peek(at)), "where it is parked");
      break;
    }
  }
  const SlotIndex slot = SlotOf(stripe, page);
  if (slot != kNoSlot) CheckSlot({page, slot, stripe.shard, model.words}, "in its slot");
}

// Where a copy of the page's content is or may be in the page file, or kNoSlot.
SlotIndex Auditor::SlotOf(const Stripe& stripe, PageIndex page) {
  const Pte pte = stripe.Load(page);
  if (pte.state() == PageState::kPagedOut) return pte.slot();
  if (HasSlotBesideFrame(pte.state())) {
    return ShardTestPeer::FrameOf(machine_.shard(stripe.shard), pte.frame()).slot;
  }
  const auto found = read_from_.find(page.value());
  const bool is_read = pte.state() == PageState::kReading && found != read_from_.end();
  return is_read ? found->second : kNoSlot;
}

// What the device has harmed is found by its checksum when it is read.
void Auditor::CheckSlot(const LentPage& page, const char* where) {
  const PageBytes* bytes = machine_.store.ContentOf(page.slot);
  if (machine_.store.IsHarmed(page.slot)) return;
  if (bytes == nullptr) {
    return machine_.verdict.Fail(absl::StrFormat(
        "page %x is in slot %u, which was never written", page.page.value(), page.slot.value()));
  }
  if (!machine_.scenario.encrypt) return CheckBytes(page.page, page.words, *bytes, where);
  PageBytes opened = *bytes;
  machine_.cipher(page.shard).Open(page.slot, &opened, machine_.page_file.MarkOf(page.slot));
  CheckBytes(page.page, page.words, opened, where);
}

void Auditor::CheckBytes(PageIndex page, const ModelWords& words, const PageBytes& bytes,
                         const char* where) {
  for (unsigned i = 0; i < kModelWords; ++i) {
    const uint64_t word = bytes.words[PlaceOfWord(i)];
    if (word == words[i]) continue;
    return machine_.verdict.Fail(absl::StrFormat("word %u of page %x is %u %s and should be %u",
                                                 PlaceOfWord(i), page.value(), word, where,
                                                 words[i]));
  }
}

std::vector<LentPage> Auditor::PagesInSlots() {
  std::vector<LentPage> pages;
  for (const auto& reservation : machine_.reservations) {
    if (reservation == nullptr) continue;
    const PageRange range = reservation->range();
    for (PageIndex page = range.begin; page < range.end; ++page) {
      const Stripe& stripe = reservation->StripeOf(page);
      const ModelPage& model = reservation->At(page);
      const SlotIndex slot = model.lost ? kNoSlot : SlotOf(stripe, page);
      if (slot != kNoSlot) pages.push_back({page, slot, stripe.shard, model.words});
    }
  }
  return pages;
}

// What children that live may read is what it was when they were forked.
void Auditor::CheckLoans() {
  for (const Loan& loan : machine_.loans) {
    for (const LentPage& page : loan.pages) {
      if (!loan.ended) CheckSlot(page, "in a slot that a child may read");
      ++pages_checked_;
    }
  }
}

// Slots that no page and no transfer has, and that children may read.
uint64_t Auditor::CountKept() const {
  std::vector<bool> kept(owned_.size(), false);
  for (const Loan& loan : machine_.loans) {
    for (size_t slot = machine_.store.base() + 1; slot < loan.lent.size(); ++slot) {
      if (loan.lent[slot] && !owned_[slot]) kept[slot] = true;
    }
  }
  return static_cast<uint64_t>(std::count(kept.begin(), kept.end(), true));
}

void Auditor::Own(SlotIndex slot) {
  if (slot == kNoSlot || slot.value() >= owned_.size() || owned_[slot.value()]) {
    return machine_.verdict.Fail(absl::StrCat("slot ", slot.value(), " has two owners"));
  }
  owned_[slot.value()] = true;
  if (slot.value() > machine_.store.base()) ++owned_count_;
}

bool Auditor::IsReadBy(uint32_t index, PageIndex page) {
  const Reservation* reservation = machine_.Find(page);
  const Pte pte = reservation == nullptr ? Pte() : reservation->Load(page);
  return pte.state() == PageState::kReading && pte.io() == index;
}

void Auditor::OwnSlotsOfTransfers(unsigned shard) {
  TransferTable& transfers = ShardTestPeer::Transfers(machine_.shard(shard));
  for (uint32_t index = 1; index <= transfers.most(); ++index) {
    const Transfer& transfer = transfers[index];
    if (transfer.kind == TransferKind::kFree) continue;
    for (unsigned i = 0; i < transfer.count; ++i) {
      Own(transfer.slot(i));
      const PageIndex page = transfer.pages[i];
      // Of the reads of one page, that which the page waits for: it may have been given back and
      // written anew while an older one is under way.
      if (transfer.kind == TransferKind::kRead && IsReadBy(index, page)) {
        read_from_[page.value()] = transfer.slot(i);
      }
    }
  }
}

void Auditor::CheckSlots() {
  owned_.assign(machine_.store.slot_count(), false);
  owned_count_ = 0;
  read_from_.clear();
  for (unsigned i = 0; i < machine_.scenario.shards; ++i) OwnSlotsOfTransfers(i);
  for (const auto& reservation : machine_.reservations) {
    if (reservation == nullptr) continue;
    const PageRange range = reservation->range();
    for (PageIndex page = range.begin; page < range.end; ++page) {
      const Pte pte = reservation->Load(page);
      if (pte.state() == PageState::kPagedOut) Own(pte.slot());
      if (!HasSlotBesideFrame(pte.state())) continue;
      Shard& shard = machine_.shard(reservation->StripeOf(page).shard);
      Own(ShardTestPeer::FrameOf(shard, pte.frame()).slot);
    }
  }
  const uint64_t used = machine_.page_file.used().value();
  const uint64_t kept = machine_.loans.empty() ? 0 : CountKept();
  // One that the device refused is kept for nobody.
  const PageCount bad =
      PageCount(machine_.scenario.file_pages - 1) - machine_.page_file.max_usable();
  const uint64_t retired = std::min(kept, bad.value());
  if (used <= owned_count_ + kept && used + retired >= owned_count_ + kept) return;
  machine_.verdict.Fail(absl::StrCat(used, " slots are taken, and pages and transfers have ",
                                     owned_count_, ", children may read ", kept, " more"));
}

void Auditor::CheckEnd() {
  Check();
  if (!machine_.verdict.ok()) return;
  const uint64_t charged = machine_.ledger.charged().value();
  const PageCount share(machine_.ledger.limit().value() / machine_.scenario.shards);
  PageCount each = BufferPool::PagesFor(share);
  if (machine_.scenario.encrypt) each += BufferPool::SealedPagesFor(share);
  const uint64_t buffers = each.value() * machine_.scenario.shards;
  if (charged > buffers) {
    machine_.verdict.Fail(absl::StrCat(charged, " pages are still charged, ", buffers,
                                       " of them for buffers"));
  }
  if (machine_.page_file.used().value() != 0) {
    machine_.verdict.Fail(absl::StrCat(machine_.page_file.used().value(), " slots are left over"));
  }
  if (machine_.platform.mapped() != 0) {
    machine_.verdict.Fail(absl::StrCat(machine_.platform.mapped(), " pages are left over"));
  }
  for (const SlotIndex slot : machine_.store.BorrowedSlots()) {
    if (machine_.page_file.DescriptorOf(slot) == machine_.page_file.descriptor()) continue;
    machine_.verdict.Fail("an ancestor's file is kept of which nothing is read");
  }
}

}  // namespace userpager::simulation
