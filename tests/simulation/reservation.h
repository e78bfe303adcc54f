// Reservation: one reservation of the simulated program: what the pager keeps of it (as a Vad with
// its stripes), and the model of what must be true of each of its pages.
#ifndef USERPAGER_TESTS_SIMULATION_RESERVATION_H_
#define USERPAGER_TESTS_SIMULATION_RESERVATION_H_

#include <algorithm>
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

using ModelWords = std::array<uint64_t, kModelWords>;

struct ModelPage {
  bool committed = false;
  bool locked = false;
  bool lost = false;  // the store failed to give it back
  Protection protection;
  ModelWords words{};

  bool AllowsAccess() const { return committed && protection.AllowsAccess(); }
  bool AllowsWrite() const { return committed && protection.AllowsWrite(); }
};

// How a reservation is cut into stripes: `first_shard` has the first, the next shard the next.
struct Cut {
  PageCount stripe_pages;
  unsigned shards = 1;
  unsigned first_shard = 0;
};

class Reservation {
 public:
  Reservation(PageRange range, Protection protection, bool commit, Cut cut)
      : range_(range),
        ptes_(range.count().value()),
        touched_((range.count() + cut.stripe_pages).value() / cut.stripe_pages.value()),
        model_(range.count().value()) {
    for (PageIndex begin = range.begin; begin < range.end; begin += cut.stripe_pages) {
      const size_t index = stripes_.size();
      Stripe& stripe = stripes_.emplace_back();
      stripe.range = PageRange(begin, std::min(begin + cut.stripe_pages, range.end));
      stripe.ptes = &ptes_[(begin - range.begin).value()];
      stripe.touched = &touched_[index];
      stripe.default_pte = commit ? Pte(PageState::kDemandZero, protection)
                                  : Pte(PageState::kReserved, Protection{});
      stripe.shard = (cut.first_shard + static_cast<unsigned>(index)) % cut.shards;
    }
    if (!commit) return;
    for (ModelPage& page : model_) {
      page.committed = true;
      page.protection = protection;
    }
  }

  PageRange range() const { return range_; }
  std::vector<Stripe>& stripes() { return stripes_; }
  // All stripes but the last are as long as the first.
  Stripe& StripeOf(PageIndex page) {
    return stripes_[(page - range_.begin).value() / stripes_[0].range.count().value()];
  }
  Pte Load(PageIndex page) const {
    const uint64_t index = (page - range_.begin).value();
    return stripes_[index / stripes_[0].range.count().value()].Load(page);
  }
  ModelPage& At(PageIndex page) { return model_[(page - range_.begin).value()]; }
  uint64_t CountCommitted(PageRange range) {
    uint64_t committed = 0;
    for (PageIndex page = range.begin; page < range.end; ++page) committed += At(page).committed;
    return committed;
  }
  // Whether the kernel lets the range be accessed (Vad::opened).
  bool opened = false;

 private:
  const PageRange range_;
  std::vector<PteWord> ptes_;
  std::vector<TouchedWord> touched_;
  std::vector<ModelPage> model_;
  std::vector<Stripe> stripes_;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_RESERVATION_H_
