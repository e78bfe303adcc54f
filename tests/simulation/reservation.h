// Reservation: one reservation of the simulated program: what the pager keeps of it (as a Vad of
// one stripe), and the model of what must be true of each of its pages.
#ifndef USERPAGER_TESTS_SIMULATION_RESERVATION_H_
#define USERPAGER_TESTS_SIMULATION_RESERVATION_H_

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/address_space/stripe.h"
#include "tests/simulation/physical_memory.h"

namespace userpager::simulation {

// The words of a page that the program writes; all others are zero. Spread over both halves and to
// both ends, so that a torn page shows.
inline constexpr unsigned kModelWords = 8;
constexpr size_t PlaceOfWord(unsigned i) { return i * 73; }
static_assert(PlaceOfWord(kModelWords - 1) == kPageBytes / sizeof(uint64_t) - 1);

struct ModelPage {
  bool committed = false;
  bool locked = false;
  bool lost = false;  // the store failed to give it back
  Protection protection;
  std::array<uint64_t, kModelWords> words{};

  bool AllowsAccess() const { return committed && protection.AllowsAccess(); }
  bool AllowsWrite() const { return committed && protection.AllowsWrite(); }
};

class Reservation {
 public:
  Reservation(PageRange range, Protection protection, bool commit)
      : ptes_(range.count().value()), touched_(1), model_(range.count().value()) {
    stripe_.range = range;
    stripe_.ptes = ptes_.data();
    stripe_.touched = touched_.data();
    stripe_.default_pte = commit ? Pte(PageState::kDemandZero, protection)
                                 : Pte(PageState::kReserved, Protection{});
    if (!commit) return;
    for (ModelPage& page : model_) {
      page.committed = true;
      page.protection = protection;
    }
  }

  PageRange range() const { return stripe_.range; }
  Stripe& stripe() { return stripe_; }
  Pte Load(PageIndex page) const { return stripe_.Load(page); }
  ModelPage& At(PageIndex page) { return model_[(page - stripe_.range.begin).value()]; }
  uint64_t CountCommitted(PageRange range) {
    uint64_t committed = 0;
    for (PageIndex page = range.begin; page < range.end; ++page) committed += At(page).committed;
    return committed;
  }
  // Whether the kernel lets the range be accessed (Vad::opened).
  bool opened = false;

 private:
  std::vector<PteWord> ptes_;
  std::vector<TouchedWord> touched_;
  std::vector<ModelPage> model_;
  Stripe stripe_;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_RESERVATION_H_
