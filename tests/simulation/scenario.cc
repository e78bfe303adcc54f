#include "tests/simulation/scenario.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "tests/simulation/dice.h"

namespace userpager::simulation {
namespace {

constexpr uint64_t kSmallestLimit = 32;  // of one shard
constexpr unsigned kPatterns = 5;
// As ReplacementKind has them.
constexpr const char* kReplacements[] = {"adaptive", "fifo", "clock"};

uint64_t DrawLimit(Dice& dice) {
  switch (dice.Below(8)) {
    case 0: return kSmallestLimit;
    case 1: case 2: case 3: case 4: return dice.Between(kSmallestLimit, 64);
    case 5: return dice.Between(64, 128);
    case 6: return dice.Between(128, 256);
    default: return dice.Between(256, 600);
  }
}

// Half of all kinds take part, each with a rate of its own.
unsigned DrawRate(Dice& dice, unsigned most) {
  return dice.OneIn(2) ? static_cast<unsigned>(dice.Between(1, most)) : 0;
}

void DrawPlatformFaults(Dice& dice, PlatformFaults& faults) {
  if (dice.OneIn(3)) return;
  faults.out_of_memory = DrawRate(dice, 100);
  faults.again = DrawRate(dice, 100);
  faults.short_count = DrawRate(dice, 400);
  faults.refuse_move = DrawRate(dice, 300);
  faults.no_mappings = DrawRate(dice, 300);
}

void DrawStoreFaults(Dice& dice, StoreFaults& faults) {
  if (dice.OneIn(3)) return;
  faults.fail_read = DrawRate(dice, 150);
  faults.fail_write = DrawRate(dice, 200);
  faults.short_read = DrawRate(dice, 200);
  faults.short_write = DrawRate(dice, 200);
  faults.corrupt_read = DrawRate(dice, 100);
  faults.corrupt_write = DrawRate(dice, 30);
  faults.drop_write = DrawRate(dice, 30);
  faults.tear_write = DrawRate(dice, 30);
  faults.misdirect_write = DrawRate(dice, 30);
}

void DrawWeights(Dice& dice, Scenario& scenario) {
  static constexpr unsigned kEvents[] = {30, 30, 20, 30, 3, 3, 2, 3};
  for (unsigned i = 0; i < std::size(kEvents); ++i) {
    scenario.event_weights[i] =
        static_cast<unsigned>(dice.Between(kEvents[i] / 3 + 1, 3 * kEvents[i]));
  }
  for (const Event event : {Event::kCall, Event::kPin, Event::kSignal}) {
    if (dice.OneIn(3)) scenario.event_weights[static_cast<unsigned>(event)] = 0;
  }
  for (unsigned& weight : scenario.call_weights) weight = DrawRate(dice, 10);
}

// A child takes as many slots of its parent's as are in use.
void LetFork(Dice& dice, Scenario& scenario) {
  scenario.forks = true;
  scenario.event_weights[static_cast<unsigned>(Event::kFork)] =
      static_cast<unsigned>(dice.Between(1, 4));
  scenario.file_pages += 3 * scenario.reservations * scenario.reservation_pages;
}

}  // namespace

Scenario::Scenario(uint64_t the_seed) : seed(the_seed) {
  // Other draws than those of the run itself.
  Dice dice(~the_seed);
  move = dice.Below(3) != 0;
  guard = !dice.OneIn(3);
  executable = dice.OneIn(4);
  replacement = static_cast<ReplacementKind>(dice.Below(std::size(kReplacements)));
  encrypt = dice.OneIn(4);
  shards = static_cast<unsigned>(dice.OneIn(2) ? dice.Between(2, kMostShards) : 1);
  limit_pages = std::max(DrawLimit(dice), shards * kSmallestLimit);
  reservations = static_cast<unsigned>(dice.Between(1, 3));
  reservation_pages = dice.Between(limit_pages, 4 * limit_pages) / reservations + 1;
  // One span of protection, one group of PTEs.
  if (reservation_pages > 500) reservation_pages = 500;
  stripe_pages = dice.Between(8, reservation_pages);
  file_pages = 256 + (dice.OneIn(2) ? reservations * reservation_pages : 0);
  threads = static_cast<unsigned>(dice.Between(1, 8));
  events = static_cast<unsigned>(dice.Between(200, 1500));
  patterns = static_cast<unsigned>(dice.Between(1, (1u << kPatterns) - 1));
  write_percent = static_cast<unsigned>(dice.Between(0, 4) * 25);
  if (write_percent == 0) write_percent = 10;
  DrawWeights(dice, *this);
  DrawPlatformFaults(dice, platform);
  DrawStoreFaults(dice, store);
  if (store.fail_write + store.short_write > 0) most_bad_writes = 24;
  if (dice.OneIn(4)) LetFork(dice, *this);
}

std::string Scenario::Describe() const {
  return absl::StrCat(move ? "with" : "without", " MOVE, ", guard ? "with" : "without",
                      " guards, ", encrypt ? "encrypted, " : "",
                      forks ? "forks, " : "", shards, " shard(s), ",
                      kReplacements[static_cast<unsigned>(replacement)],
                      " replacement, a limit of ", limit_pages, " pages, ", reservations, " times ",
                      reservation_pages, " pages, ", threads, " thread(s), ", events, " events");
}

}  // namespace userpager::simulation
