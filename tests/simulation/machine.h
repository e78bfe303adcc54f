// Machine: everything that one simulated run consists of, joined: the real shard with its ledger
// and page file, the simulated kernel and device under it, the clock, and the reservations of the
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
#include "runtime/pager/shard.h"
#include "tests/simulation/dice.h"
#include "tests/simulation/reservation.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/simulated_platform.h"
#include "tests/simulation/simulated_store.h"
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

  // ---- The shard's thread. ----

  void Kick() { kicked_ = true; }
  bool has_read_messages() const { return !inbox_.empty(); }
  // Takes some messages from the kernel.
  void ReadMessages();
  // When the thread has something to do: now, later, or (IoEngine::kNoTimeout) not before something
  // comes in.
  uint64_t NextTurn() const;
  // What ShardThread::Turn does, with some of what is there.
  void Turn();

  const Scenario& scenario;
  Dice dice;
  Verdict verdict;
  FrameLedger ledger;
  PageFile page_file;
  SimulatedPlatform platform;
  SimulatedStore store;
  std::unique_ptr<Shard> shard;
  std::array<std::unique_ptr<Reservation>, kMostReservations> reservations;
  std::optional<ProtectionChange> change;
  uint64_t next_value = 1;  // what the program writes next

 private:
  uint64_t now_ns_ = 1'000'000'000;
  bool kicked_ = false;
  uint64_t wakes_at_ns_ = IoEngine::kNoTimeout;
  std::vector<FaultMessage> inbox_;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_MACHINE_H_
