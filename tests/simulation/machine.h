// Machine: everything that one simulated run consists of, joined: the real shards with their ledger
// and page file, the simulated kernel and device under them, the clock, and the reservations of the
// program.
#ifndef USERPAGER_TESTS_SIMULATION_MACHINE_H_
#define USERPAGER_TESTS_SIMULATION_MACHINE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/frames/frame_ledger.h"
#include "runtime/page_file/page_file.h"
#include "runtime/page_file/slot_cipher.h"
#include "runtime/pager/shard.h"
#include "tests/simulation/dice.h"
#include "tests/simulation/loan.h"
#include "tests/simulation/reservation.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/simulated_platform.h"
#include "tests/simulation/simulated_store.h"
#include "tests/simulation/simulated_userfaultfd.h"
#include "tests/simulation/verdict.h"

namespace userpager::simulation {

inline constexpr unsigned kMostReservations = 3;
// Also the largest memory limit.
inline constexpr uint64_t kMostFrames = 2048;

// A call of the API that changes a protection, between its first step and its last: either
// protection may be met by an access.
struct ProtectionChange {
  PageRange range;
  Protection protection;
};

class Machine {
 public:
  explicit Machine(const Scenario& the_scenario);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // The reservation that contains the page, or nullptr.
  Reservation* Find(PageIndex page);
  uint64_t CountCommitted();
  uint64_t now_ns() const { return now_ns_; }
  void PassTime(uint64_t ns);

  // ---- The shards' threads. ----

  Shard& shard(unsigned index) { return *seats_[index]->shard; }
  Shard& ShardOf(PageIndex page) { return shard(Find(page)->StripeOf(page).shard); }
  // The same for all machines of the process: memory for keys is not used twice.
  static SlotCipher& cipher(unsigned index);
  SimulatedUserfaultfd& userfaultfd(unsigned index) { return seats_[index]->userfaultfd; }
  // In a forked child: what the threads had is the parent's, as is all that the kernel knew.
  void BecomeChild();
  // As the watchdog does, now and then: what was kept for children that are gone is given back.
  void EndLoans();
  bool built() const { return !seats_.empty(); }
  // All shards look whether memory is short.
  void KickAll();
  void Kick(unsigned index) { seats_[index]->kicked = true; }
  // One of the threads that have messages takes some of them from the kernel.
  void ReadMessages();
  // When the first thread has something to do: now, later, or (IoEngine::kNoTimeout) not before
  // something comes in.
  uint64_t NextTurn() const;
  // What ShardThread::Turn does, with some of what is there, for one of those that have something
  // to do.
  void Turn();

  const Scenario& scenario;
  Dice dice;
  Verdict verdict;
  FrameLedger ledger;
  PageFile page_file;
  SimulatedPlatform platform;
  SimulatedStore store;
  std::array<std::unique_ptr<Reservation>, kMostReservations> reservations;
  std::optional<ProtectionChange> change;
  uint64_t next_value = 1;  // what the program writes next
  std::vector<Loan> loans;  // of the process's children

 private:
  // What a ShardThread has.
  struct Seat {
    Seat(SimulatedPlatform& kernel, unsigned index) : userfaultfd(kernel, index) {}

    SimulatedUserfaultfd userfaultfd;
    HelperThread helper;  // without its thread: the shard does all itself
    std::unique_ptr<Shard> shard;
    bool kicked = false;
    bool asked = false;  // kicked by a peer
    uint64_t wakes_at_ns = IoEngine::kNoTimeout;
    std::vector<FaultMessage> inbox;
  };

  Errno AddShard(unsigned index, LogLine* error);
  uint64_t NextTurnOf(unsigned index) const;
  // One of the shards for which it is true, or the first that is drawn.
  unsigned DrawShard(auto condition);

  uint64_t now_ns_ = 1'000'000'000;
  unsigned turns_for_peers_ = 0;  // in a row, with nothing else that has come in
  std::vector<std::unique_ptr<Seat>> seats_;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_MACHINE_H_
