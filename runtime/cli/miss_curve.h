// MissCurve: what another memory limit would have cost, estimated from what a recording has seen.
//
// More memory: with D pages more, the D pages that were dropped last would still have been there.
// So a page that is read back would not have been read if fewer than D of the pages that are out
// were dropped after it (its depth). Exact, to a page, for memory that drops in the same order.
// Less memory: with D pages less, the D pages that have been parked for longest would have been
// dropped. So a parked page that is touched would have been read, if at most D - 1 were parked
// before it. What a page that is never parked would have cost is not known: the curve goes down as
// far as pages were parked on average, and no further.
// (The first is Mattson's stack distance, of "Evaluation techniques for storage hierarchies", 1970,
// for the stack of dropped pages.)
#ifndef USERPAGER_CLI_MISS_CURVE_H_
#define USERPAGER_CLI_MISS_CURVE_H_

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "runtime/observe/trace_format.h"

namespace userpager::cli {

// Pages in the order in which they entered, from which any may leave, with the number of those
// behind each.
class PageOrder {
 public:
  // Behind all others; one that is there already moves.
  void Enter(uint64_t page);
  // False where it is not there.
  bool Leave(uint64_t page);
  // Of a page that is there: how many entered after it. -1 where it is not.
  int64_t EnteredAfter(uint64_t page) const;
  uint64_t size() const { return places_.size(); }

 private:
  void Change(uint64_t place, int64_t by);
  uint64_t CountUpTo(uint64_t place) const;
  void Compact();

  std::unordered_map<uint64_t, uint64_t> places_;  // by page; from 1
  std::vector<uint32_t> tree_ = {0};               // Fenwick's, over places; [0] is not used
  uint64_t next_ = 1;
};

class MissCurve {
 public:
  // Events of a recording, one after the other.
  void Take(const TraceEvent& event);

  // With so many pages more (or fewer, below 0): pages read from the page file, and faults that
  // waited for one.
  uint64_t PagesRead(int64_t pages_more) const { return Sum(read_, pages_more); }
  uint64_t HardFaults(int64_t pages_more) const { return Sum(waited_, pages_more); }
  // With so many pages more nothing would have been read.
  uint64_t pages_to_read_nothing() const { return read_.deepest; }
  // How far below the limit the curve goes, in pages.
  uint64_t pages_below() const;

 private:
  struct Depths {
    std::vector<uint64_t> more;   // [d]: misses that d pages more would have made hits
    std::vector<uint64_t> fewer;  // [d]: hits that d pages fewer would have made misses
    uint64_t unknown = 0;         // misses whose depth is not known: hits with no limit
    uint64_t deepest = 0;
  };
  static uint64_t Sum(const Depths& depths, int64_t pages_more);
  static void Count(std::vector<uint64_t>* counts, uint64_t at);
  void NoteRead(uint64_t page, Depths* depths);

  PageOrder out_;
  PageOrder parked_;
  Depths read_;
  Depths waited_;
  uint64_t parked_sum_ = 0;  // at soft faults
  uint64_t parked_looks_ = 0;
};

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_MISS_CURVE_H_
