#include "tests/simulation/machine.h"

#include <unistd.h>

#include <algorithm>

#include "runtime/base/clock.h"
#include "runtime/platform/address_map.h"

namespace userpager::simulation {
namespace {

// As ShardThread takes at a time.
constexpr size_t kMostMessages = 64;
constexpr size_t kMostCompletions = 64;
constexpr unsigned kMostTurnsForPeers = 1000;

// Where making a file costs least: only the file's size matters, its content is simulated.
const char* PageFileDirectory() { return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/var/tmp"; }

ShardOptions OptionsOf(const Scenario& scenario, unsigned index) {
  ShardOptions options;
  options.index = index;
  options.shard_count = scenario.shards;
  options.most_frames = PageCount(kMostFrames);
  options.use_move = scenario.move;
  options.replacement = scenario.replacement;
  options.features.move = scenario.move;
  options.features.guard = scenario.guard;
  options.features.poison = true;
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
  if (scenario.forks) LetChildrenInherit();
  const PageFileOptions file{PageFileDirectory(), scenario.file_pages * kPageBytes,
                             scenario.forks, true};
  if (page_file.Open(file, &line) != 0) {
    verdict.Fail(line.c_str());
    return;
  }
  ledger.set_limit(PageCount(scenario.limit_pages));
  for (unsigned i = 0; i < scenario.shards; ++i) {
    if (AddShard(i, &line) == 0) continue;
    line << " (a shard could not be made)";
    verdict.Fail(line.c_str());
    seats_.clear();
    return;
  }
}

SlotCipher& Machine::cipher(unsigned index) {
  static SlotCipher ciphers[kMostShards];
  return ciphers[index];
}

Errno Machine::AddShard(unsigned index, LogLine* error) {
  Seat& seat = *seats_.emplace_back(std::make_unique<Seat>(platform, index));
  if (scenario.encrypt && !cipher(index).on()) {
    if (const Errno failed = cipher(index).Init(error); failed != 0) return failed;
  }
  seat.shard = std::make_unique<Shard>(
      OptionsOf(scenario, index),
      ShardParts{seat.userfaultfd, store.engine(index), ledger, page_file, seat.helper, nullptr,
                 scenario.encrypt ? &cipher(index) : nullptr});
  return seat.shard->Init();
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

void Machine::BecomeChild() {
  platform.BecomeChild();
  for (const auto& seat : seats_) {
    seat->kicked = seat->asked = false;
    seat->wakes_at_ns = now_ns_;
    seat->inbox.clear();
  }
  turns_for_peers_ = 0;
}

void Machine::EndLoans() {
  page_file.EndLoans();
  loans.erase(std::remove_if(loans.begin(), loans.end(),
                             [](const Loan& loan) { return loan.ended; }),
              loans.end());
}

void Machine::KickAll() {
  for (const auto& seat : seats_) seat->kicked = true;
}

unsigned Machine::DrawShard(auto condition) {
  const unsigned first = static_cast<unsigned>(dice.Below(scenario.shards));
  for (unsigned i = 0; i < scenario.shards; ++i) {
    if (condition((first + i) % scenario.shards)) return (first + i) % scenario.shards;
  }
  return first;
}

void Machine::ReadMessages() {
  const unsigned from = DrawShard([&](unsigned i) { return platform.HasMessages(i); });
  const bool astray = scenario.canary == Canary::kWrongShard && dice.OneIn(20);
  std::vector<FaultMessage>& inbox = seats_[(from + astray) % scenario.shards]->inbox;
  const size_t most = dice.Between(1, kMostMessages);
  while (platform.HasMessages(from) && inbox.size() < most) {
    inbox.push_back(platform.ReadMessage(from));
  }
}

uint64_t Machine::NextTurnOf(unsigned index) const {
  const Seat& seat = *seats_[index];
  if (seat.kicked || !seat.inbox.empty() || store.HasCompletions(index)) return now_ns_;
  return seat.wakes_at_ns;
}

uint64_t Machine::NextTurn() const {
  uint64_t next = IoEngine::kNoTimeout;
  for (unsigned i = 0; i < scenario.shards; ++i) next = std::min(next, NextTurnOf(i));
  return next;
}

void Machine::Turn() {
  const unsigned index = DrawShard([&](unsigned i) { return NextTurnOf(i) <= now_ns_; });
  Seat& seat = *seats_[index];
  const bool only_asked = seat.asked && !store.HasCompletions(index) && seat.inbox.empty();
  turns_for_peers_ = only_asked ? turns_for_peers_ + 1 : 0;
  if (turns_for_peers_ > kMostTurnsForPeers) verdict.Fail("shards wake each other without end");
  if (seat.kicked) seat.shard->OnKick();
  seat.kicked = false;
  seat.asked = false;
  const std::vector<FaultMessage> faults = std::exchange(seat.inbox, {});
  // A turn that was brought about by something else need not see what is done.
  const size_t least = faults.empty() ? 1 : 0;
  const std::vector<IoCompletion> done =
      store.TakeCompletions(index, dice.Between(least, dice.OneIn(2) ? 2 : kMostCompletions));
  const uint64_t timeout_ns = seat.shard->Step(faults, done);
  seat.wakes_at_ns = timeout_ns == IoEngine::kNoTimeout ? timeout_ns : now_ns_ + timeout_ns;
  if (seat.shard->TakeWantsSlots()) {
    EndLoans();
    (void)page_file.Grow(page_file.usable() + PageCount(1));
  }
  if (!seat.shard->TakeNeedsPeers() || scenario.canary == Canary::kPeersNotAsked) return;
  for (unsigned i = 0; i < scenario.shards; ++i) {
    if (i == index) continue;
    Kick(i);
    seats_[i]->asked = true;
  }
}

}  // namespace userpager::simulation
