#include "tests/simulation/machine.h"

#include <unistd.h>

#include <algorithm>

#include "runtime/base/clock.h"

namespace userpager::simulation {
namespace {

// As ShardThread takes at a time.
constexpr size_t kMostMessages = 64;
constexpr size_t kMostCompletions = 64;

// Where making a file costs least: only the file's size matters, its content is simulated.
const char* PageFileDirectory() { return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/var/tmp"; }

ShardOptions OptionsOf(const Scenario& scenario) {
  ShardOptions options;
  options.most_frames = PageCount(kMostFrames);
  options.use_move = scenario.move;
  options.replacement = scenario.replacement;
  options.features.move = scenario.move;
  options.features.guard = scenario.guard;
  return options;
}

}  // namespace

Machine::Machine(const Scenario& the_scenario)
    : scenario(the_scenario),
      dice(the_scenario.seed),
      platform(the_scenario, ledger, dice, verdict),
      store(the_scenario, platform, page_file, dice, verdict) {
  simulated_now_ns.store(now_ns_, std::memory_order_relaxed);
  LogLine line;
  const PageFileOptions file{PageFileDirectory(), scenario.file_pages * kPageBytes};
  if (page_file.Open(file, &line) != 0) {
    verdict.Fail(line.c_str());
    return;
  }
  ledger.set_limit(PageCount(scenario.limit_pages));
  shard = std::make_unique<Shard>(OptionsOf(scenario),
                                  ShardParts{platform, store, ledger, page_file});
  if (shard->Init() != 0) verdict.Fail("the shard has no address space");
}

Machine::~Machine() { simulated_now_ns.store(0, std::memory_order_relaxed); }

Reservation* Machine::Find(PageIndex page) {
  for (const auto& reservation : reservations) {
    if (reservation != nullptr && reservation->range().Contains(page)) return reservation.get();
  }
  return nullptr;
}

uint64_t Machine::CountCommitted() {
  uint64_t committed = 0;
  for (const auto& reservation : reservations) {
    if (reservation != nullptr) committed += reservation->CountCommitted(reservation->range());
  }
  return committed;
}

void Machine::PassTime(uint64_t ns) {
  now_ns_ += ns;
  simulated_now_ns.store(now_ns_, std::memory_order_relaxed);
}

void Machine::ReadMessages() {
  const size_t most = dice.Between(1, kMostMessages);
  while (platform.has_messages() && inbox_.size() < most) {
    inbox_.push_back(platform.ReadMessage());
  }
}

uint64_t Machine::NextTurn() const {
  if (kicked_ || !inbox_.empty() || store.has_completions()) return now_ns_;
  return wakes_at_ns_;
}

void Machine::Turn() {
  if (kicked_) shard->OnKick();
  kicked_ = false;
  const std::vector<FaultMessage> faults = std::exchange(inbox_, {});
  // A turn that was brought about by something else need not see what is done.
  const size_t least = faults.empty() ? 1 : 0;
  const std::vector<IoCompletion> done =
      store.TakeCompletions(dice.Between(least, dice.OneIn(2) ? 2 : kMostCompletions));
  const uint64_t timeout_ns = shard->Step(faults, done);
  wakes_at_ns_ = timeout_ns == IoEngine::kNoTimeout ? timeout_ns : now_ns_ + timeout_ns;
  if (shard->TakeWantsSlots()) (void)page_file.Grow(page_file.usable() + PageCount(1));
  (void)shard->TakeNeedsPeers();
}

}  // namespace userpager::simulation
