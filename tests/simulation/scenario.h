// Scenario: what one simulated run consists of, drawn from its seed: sizes, threads, which
// operations and faults take part, and how often. Each run has a random subset of all there are
// (swarm testing: Groce and others, 2012), as a mix of everything hides what a few can do alone.
#ifndef USERPAGER_TESTS_SIMULATION_SCENARIO_H_
#define USERPAGER_TESTS_SIMULATION_SCENARIO_H_

#include <cstdint>
#include <string>

#include "runtime/policy/replacement_choice.h"

namespace userpager::simulation {

// A fault of the pager itself, put in on purpose: the simulation must find it.
enum class Canary : uint8_t {
  kNone,
  kNoWriteProtection,   // pages are installed or made writable that should be write-protected
  kForgottenWake,       // now and then a page is installed and nobody is told
  kSlotFreedEarly,      // a slot goes back while a transfer still has it
  kMemoryKept,          // discarded pages stay resident
  kTornRead,            // half of a read is of another page, and its checksum agrees
  kWrongShard,          // now and then a message reaches a shard that does not have the page
  kPeersNotAsked,       // a shard without memory does not have the others free some
  kLentSlotsFreed,      // what a forked child may read is given up while the child lives
  kChildUnprotected,    // a forked child does not hold off stores where it has to
};

// What a scheduler may do next.
enum class Event : uint8_t {
  kThread,        // a thread of the program goes on
  kDevice,        // the page file's device makes a step
  kReadMessages,  // messages of the kernel reach the shard's thread
  kShard,         // the shard's thread makes a turn
  kCall,          // a call of the API begins or goes on
  kPin,           // somebody pins a page, writes through a pin, or ends one
  kSignal,        // a waiting thread is interrupted and asks again
  kClock,         // time passes
  kFork,          // a child is forked, or one ends
};
inline constexpr unsigned kEventKinds = 9;

// Calls of the API.
enum class Call : uint8_t {
  kReserve,
  kRelease,
  kCommit,
  kDecommit,
  kProtect,
  kLock,
  kUnlock,
  kTrim,
  kBringIn,
  kLimit,
  kGrow,
  kGiveBack,
};
inline constexpr unsigned kCallKinds = 12;

inline constexpr unsigned kMostShards = 4;

// All rates are per mille of the chances to happen.
struct PlatformFaults {
  unsigned out_of_memory = 0;  // ENOMEM of COPY
  unsigned again = 0;          // EAGAIN without a count
  unsigned short_count = 0;    // of COPY and MOVE
  unsigned refuse_move = 0;    // EBUSY
  unsigned no_mappings = 0;    // ENOMEM of mprotect where it may fail
};

struct StoreFaults {
  unsigned fail_read = 0;
  unsigned fail_write = 0;
  unsigned short_read = 0;
  unsigned short_write = 0;
  unsigned corrupt_read = 0;      // one bit is wrong, this time
  unsigned corrupt_write = 0;     // one bit is wrong in the file
  unsigned drop_write = 0;        // not done, reported as done
  unsigned tear_write = 0;        // half of each page
  unsigned misdirect_write = 0;   // to the neighbouring slots
};

struct Scenario {
  // Draws all of it.
  explicit Scenario(uint64_t seed);

  // One line.
  std::string Describe() const;

  uint64_t seed;
  Canary canary = Canary::kNone;
  bool move = true;
  bool guard = true;
  bool executable = false;      // some protections allow executing
  bool encrypt = false;         // what is written to the page file
  bool forks = false;           // children may be forked
  ReplacementKind replacement = ReplacementKind::kAdaptive;
  uint64_t limit_pages = 64;
  uint64_t file_pages = 256;
  unsigned shards = 1;
  uint64_t stripe_pages = 500;  // neighbouring stripes of a reservation are of different shards
  unsigned reservations = 1;
  uint64_t reservation_pages = 100;
  unsigned threads = 1;
  unsigned events = 500;
  unsigned patterns = 1;        // bits: the ways in which threads go through memory
  unsigned write_percent = 50;
  unsigned most_bad_writes = 0;  // writes that may fail or come short in the whole run
  unsigned event_weights[kEventKinds] = {};
  unsigned call_weights[kCallKinds] = {};
  PlatformFaults platform;
  StoreFaults store;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_SCENARIO_H_
