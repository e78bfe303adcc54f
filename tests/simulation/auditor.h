// Auditor: looks at everything between two events of a simulated run: whether each shard's
// structures agree with each other and with the kernel, whether each slot has one owner, whether
// each page's content, wherever it is, is what the program wrote, and whether memory stays within
// the limit.
#ifndef USERPAGER_TESTS_SIMULATION_AUDITOR_H_
#define USERPAGER_TESTS_SIMULATION_AUDITOR_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "tests/simulation/machine.h"

namespace userpager::simulation {

class Auditor {
 public:
  explicit Auditor(Machine& machine) : machine_(machine) {}

  // After every event.
  void Check();
  // After everything was released and nothing is under way.
  void CheckEnd();
  // As of the last check: slots of pages and transfers.
  const std::vector<bool>& owned_slots() const { return owned_; }
  // What a child that is forked now has in slots. After Check.
  std::vector<LentPage> PagesInSlots();
  // In a forked child, whose memory may be beyond its limit, as its parent's was.
  void BecomeChild() { charged_before_ = machine_.ledger.charged().value(); }
  uint64_t pages_checked() const { return pages_checked_; }

 private:
  void CheckCharges();
  void CheckLimit();
  void CheckLost(Reservation& reservation);
  void CheckContents(Reservation& reservation);
  void CheckPage(Stripe& stripe, PageIndex page, const ModelPage& model, Pte pte);
  SlotIndex SlotOf(const Stripe& stripe, PageIndex page);
  void CheckSlot(const LentPage& page, const char* where);
  void CheckBytes(PageIndex page, const ModelWords& words, const PageBytes& bytes,
                  const char* where);
  void CheckLoans();
  void CheckSlots();
  uint64_t CountKept() const;
  void OwnSlotsOfTransfers(unsigned shard);
  bool IsReadBy(uint32_t index, PageIndex page);
  void Own(SlotIndex slot);

  Machine& machine_;
  uint64_t charged_before_ = 0;
  std::vector<bool> owned_;  // slots
  uint64_t owned_count_ = 0;
  absl::flat_hash_map<uint64_t, SlotIndex> read_from_;  // page: the slot of its read
  uint64_t turn_ = 0;
  uint64_t pages_checked_ = 0;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_AUDITOR_H_
