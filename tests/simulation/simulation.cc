#include "tests/simulation/simulation.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <new>

#include "absl/strings/str_cat.h"
#include "tests/simulation/shard_view.h"

namespace userpager::simulation {
namespace {

constexpr size_t kMostPins = 3;
constexpr uint64_t kMostEventsOfChild = 300;
constexpr uint64_t kLongestEventNs = 20'000;
constexpr uint64_t kLongestPauseNs = 3'000'000;
// Far beyond what any run needs to come to its end.
constexpr unsigned kMostEventsToFinish = 100'000;
constexpr uint64_t kDigestFactor = 0x100000001b3;

std::atomic<uint64_t> current{0};

}  // namespace

uint64_t Simulation::current_event() { return current.load(); }

Simulation::Simulation(const Scenario& scenario)
    : machine_(scenario),
      auditor_(machine_),
      caller_(machine_),
      family_(machine_, auditor_, caller_) {
  for (unsigned i = 0; i < scenario.threads; ++i) threads_.emplace_back(machine_, i);
}

std::string Simulation::Run() {
  current = 0;
  if (machine_.verdict.ok()) caller_.ReserveFirst();
  After();
  GoOn(machine_.scenario.events);
  if (machine_.verdict.ok()) return "";
  return absl::StrCat("event ", totals_.events, ": ", machine_.verdict.what());
}

void Simulation::GoOn(unsigned events) {
  for (unsigned i = 0; i < events && machine_.verdict.ok(); ++i) {
    Event event;
    if (!Pick(&event)) continue;
    Do(event);
    After();
  }
  if (machine_.verdict.ok()) Finish();
  CollectTotals();
}

void Simulation::After() {
  ++totals_.events;
  current = totals_.events;
  for (const uint64_t seen : {machine_.now_ns(), machine_.ledger.charged().value(),
                              machine_.page_file.used().value(), machine_.next_value}) {
    totals_.digest = (totals_.digest ^ seen) * kDigestFactor;
  }
  auditor_.Check();
  CheckProgress();
}

bool Simulation::MayHappen(Event event) const {
  switch (event) {
    case Event::kThread:
      return std::any_of(threads_.begin(), threads_.end(),
                         [](const SimulatedThread& thread) { return thread.can_run(); });
    case Event::kDevice: return machine_.store.has_work();
    case Event::kReadMessages: return machine_.platform.has_messages();
    case Event::kShard: return machine_.NextTurn() <= machine_.now_ns();
    case Event::kSignal: return machine_.platform.has_sleepers();
    case Event::kCall:
    case Event::kPin:
    case Event::kClock:
    case Event::kFork:
      return true;
  }
  return false;
}

// False where nothing can happen but that time passes, which it did.
bool Simulation::Pick(Event* event) {
  unsigned weights[kEventKinds] = {};
  unsigned total = 0;
  for (unsigned i = 0; i < kEventKinds; ++i) {
    if (MayHappen(static_cast<Event>(i))) weights[i] = machine_.scenario.event_weights[i];
    total += weights[i];
  }
  uint64_t drawn = machine_.dice.Below(total);
  for (unsigned i = 0; i < kEventKinds; ++i) {
    if (drawn < weights[i]) {
      *event = static_cast<Event>(i);
      return true;
    }
    drawn -= weights[i];
  }
  return false;
}

void Simulation::Do(Event event) {
  totals_.digest = (totals_.digest ^ static_cast<uint64_t>(event)) * kDigestFactor;
  machine_.PassTime(machine_.dice.Below(kLongestEventNs));
  switch (event) {
    case Event::kThread: return DoThread(false);
    case Event::kDevice: return machine_.store.Advance();
    case Event::kReadMessages: return machine_.ReadMessages();
    case Event::kShard: return DoShard();
    case Event::kCall: return caller_.Step();
    case Event::kPin: return DoPin();
    case Event::kSignal: return DoSignal();
    case Event::kClock: return machine_.PassTime(machine_.dice.Below(kLongestPauseNs));
    case Event::kFork: return DoFork();
  }
}

void Simulation::DoThread(bool finish) {
  const size_t first = machine_.dice.Below(threads_.size());
  for (size_t i = 0; i < threads_.size(); ++i) {
    SimulatedThread& thread = threads_[(first + i) % threads_.size()];
    if (!thread.can_run() || (finish && !thread.is_busy())) continue;
    return thread.Run(finish);
  }
}

void Simulation::DoShard() {
  machine_.Turn();
  if (machine_.scenario.canary == Canary::kSlotFreedEarly) FreeSlotEarly();
}

// The canary: the last slot of a write under way goes back, as if its page had let go of it.
void Simulation::FreeSlotEarly() {
  const unsigned shard = static_cast<unsigned>(machine_.dice.Below(machine_.scenario.shards));
  TransferTable& transfers = ShardTestPeer::Transfers(machine_.shard(shard));
  for (uint32_t index = 1; index <= transfers.most(); ++index) {
    Transfer& transfer = transfers[index];
    if (transfer.kind != TransferKind::kWrite || !machine_.dice.OneIn(10)) continue;
    machine_.page_file.Free(transfer.slot(transfer.count - 1), PageCount(1));
    return;
  }
}

// ---- Pins: what devices and other processes hold. ----

void Simulation::DoPin() {
  Dice& dice = machine_.dice;
  if (pins_.empty() || (pins_.size() < kMostPins && dice.OneIn(3))) return NewPin();
  const size_t index = dice.Below(pins_.size());
  if (dice.OneIn(2)) {
    EndPin(index);
  } else {
    WriteThrough(pins_[index]);
  }
}

// Without MOVE the pager cannot see a device that writes into a page (README.md, Limits).
void Simulation::NewPin() {
  const size_t index = machine_.dice.Below(machine_.scenario.reservations);
  Reservation* reservation = machine_.reservations[index].get();
  if (reservation == nullptr) return;
  const PageRange range = reservation->range();
  const PageIndex page = range.begin + PageCount(machine_.dice.Below(range.count().value()));
  PageBytes* contents = nullptr;
  const bool writes = machine_.scenario.move && machine_.dice.OneIn(2);
  if (machine_.platform.Touch(page, writes, &contents) != TouchOutcome::kDone) return;
  pins_.push_back({page, machine_.platform.Hold(page, false), writes});
}

void Simulation::WriteThrough(const Pin& pin) {
  if (!pin.writes) return;
  Reservation* reservation = machine_.Find(pin.page);
  if (reservation == nullptr || machine_.platform.MappedAt(pin.page) != pin.memory) return;
  const uint64_t value = machine_.next_value++;
  reservation->At(pin.page).words[0] = value;
  machine_.platform.At(pin.memory).words[PlaceOfWord(0)] = value;
}

void Simulation::EndPin(size_t index) {
  machine_.platform.LetGo(pins_[index].memory, false);
  pins_.erase(pins_.begin() + static_cast<std::ptrdiff_t>(index));
}

// A signal is pending: the kernel sends the thread back, and it faults again.
void Simulation::DoSignal() {
  const unsigned first = static_cast<unsigned>(machine_.dice.Below(threads_.size()));
  for (unsigned i = 0; i < threads_.size(); ++i) {
    const unsigned thread = (first + i) % static_cast<unsigned>(threads_.size());
    if (machine_.platform.IsAsleep(thread)) return machine_.platform.Interrupt(thread);
  }
}

// ---- Forks. ----

void Simulation::DoFork() {
  void* const shared = mmap(nullptr, sizeof(RunTotals), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return machine_.verdict.Fail("no memory for what a child tells");
  auto* const of_child = new (shared) RunTotals();
  const std::string found = family_.Step([&] { return RunAsChild(of_child); });
  if (!found.empty()) machine_.verdict.Fail("in a forked child, " + found);
  totals_.events += of_child->events;
  totals_.forks += of_child->forks;
  child_pages_checked_ += of_child->pages_checked;
  totals_.digest = (totals_.digest ^ of_child->digest) * kDigestFactor;
  munmap(shared, sizeof(RunTotals));
}

// New threads, as those of the parent are not here, and other draws than the parent's.
std::string Simulation::RunAsChild(RunTotals* totals) {
  machine_.dice = Dice(~machine_.dice.Next());
  for (SimulatedThread& thread : threads_) thread.Forget();
  pins_.clear();
  totals_ = RunTotals{.digest = totals_.digest};
  child_pages_checked_ = 0;
  const uint64_t checked_before = auditor_.pages_checked();
  After();
  GoOn(static_cast<unsigned>(machine_.dice.Between(1, kMostEventsOfChild)));
  *totals = totals_;
  totals->pages_checked -= checked_before;
  if (machine_.verdict.ok()) return "";
  return absl::StrCat("its event ", totals_.events, ": ", machine_.verdict.what());
}

// Whoever waits, waits for something: a message that is not read, a transfer, a turn to come.
void Simulation::CheckProgress() {
  if (!machine_.verdict.ok() || (!machine_.platform.has_sleepers() && !caller_.waits())) return;
  if (machine_.platform.has_messages() || machine_.store.is_busy() ||
      machine_.NextTurn() != IoEngine::kNoTimeout) {
    return;
  }
  machine_.verdict.Fail(absl::StrCat("somebody waits, and nothing is under way", TellWaits()));
}

std::string Simulation::TellWaits() {
  std::string text;
  for (unsigned i = 0; i < threads_.size(); ++i) {
    if (!machine_.platform.IsAsleep(i)) continue;
    const PageIndex page = machine_.platform.AwaitedBy(i);
    const Reservation* reservation = machine_.Find(page);
    const std::string_view state = reservation == nullptr
                                       ? std::string_view("not reserved")
                                       : PageStateName(reservation->Load(page).state());
    absl::StrAppend(&text, "; thread ", i, " for page ", absl::Hex(page.value()), ", ",
                    std::string(state));
  }
  absl::StrAppend(&text, caller_.Describe());
  return text;
}

// ---- The end. ----

// One event that brings the run nearer to its end; false where there is none. Time passes as ever:
// a shard that waits until it writes again goes on meanwhile.
bool Simulation::FinishOne() {
  machine_.PassTime(machine_.dice.Below(kLongestEventNs));
  const bool threads_left =
      std::any_of(threads_.begin(), threads_.end(), [](const SimulatedThread& thread) {
        return thread.is_busy() && thread.can_run();
      });
  if (machine_.platform.has_messages()) machine_.ReadMessages();
  if (machine_.store.has_work() && machine_.dice.OneIn(2)) {
    machine_.store.Advance();
  } else if (threads_left && machine_.dice.OneIn(2)) {
    DoThread(true);
  } else if (machine_.NextTurn() <= machine_.now_ns()) {
    DoShard();
  } else if (caller_.is_busy() && machine_.dice.OneIn(2)) {
    caller_.Finish();
  } else if (!machine_.store.is_busy() && !threads_left &&
             machine_.NextTurn() != IoEngine::kNoTimeout) {
    machine_.PassTime(machine_.NextTurn() - machine_.now_ns());
  } else if (!machine_.store.is_busy() && !threads_left && !caller_.is_busy()) {
    return false;
  }
  return true;
}

void Simulation::Finish() {
  while (!pins_.empty()) EndPin(pins_.size() - 1);
  const auto busy = [&] {
    return caller_.is_busy() ||
           std::any_of(threads_.begin(), threads_.end(),
                       [](const SimulatedThread& thread) { return thread.is_busy(); });
  };
  unsigned events = 0;
  for (; busy() && events < kMostEventsToFinish && machine_.verdict.ok(); ++events) {
    if (!FinishOne()) break;
    After();
  }
  if (!machine_.verdict.ok()) return;
  if (busy()) return machine_.verdict.Fail("somebody waits for ever" + TellWaits());
  family_.End();
  caller_.ReleaseAll();
  After();
  while (machine_.verdict.ok() && machine_.store.is_busy()) {
    if (machine_.store.has_work()) {
      machine_.store.Advance();
    } else {
      machine_.Turn();
    }
    After();
  }
  auditor_.CheckEnd();
}

void Simulation::CollectTotals() {
  totals_.pages_checked = auditor_.pages_checked() + child_pages_checked_;
  totals_.forks += family_.forks();
  totals_.store_faults = machine_.store.faults();
  if (!machine_.built()) return;
  CounterTotals counters;
  for (unsigned i = 0; i < machine_.scenario.shards; ++i) {
    machine_.shard(i).CollectCounters(&counters);
  }
  totals_.pages_in = counters.pages_in.value();
  totals_.pages_out = counters.pages_out.value();
  totals_.pages_ahead = counters.ahead_pages.value();
  totals_.lost_pages = counters.lost_pages.value();
  totals_.queued_faults = counters.queued_faults.value();
}

}  // namespace userpager::simulation
