// SecondChance: whether it pays to park a fresh page before it is dropped, to see whether it is
// still used. It does where what is parked is used more than what has left memory, page for page;
// where both are used alike (a program that reads at random), or what was worth keeping has been
// found already, each touch of a parked page costs a soft fault and tells nothing.
//
// Both are counted: how often a page that is out was wanted, which says how often one of so many
// parked pages would have been if it were like them; and how often one of these was.
#ifndef USERPAGER_POLICY_SECOND_CHANCE_H_
#define USERPAGER_POLICY_SECOND_CHANCE_H_

#include <algorithm>
#include <cstdint>

#include "runtime/base/types.h"

namespace userpager {

class SecondChance {
 public:
  // A look ends when so many touches of parked pages were to be expected, and one in so many of
  // memory's pages was read.
  static constexpr uint64_t kExpected = 128;
  static constexpr uint64_t kReadShare = 16;
  // Looks in a row by which it does not pay: what is parked first came before what the program does
  // now.
  static constexpr unsigned kLooks = 4;

  bool pays() const { return looks_ < kLooks; }

  // Somebody wanted a page that was out, while so many others were, and so many were parked, of so
  // many in memory.
  void OnRead(PageCount parked, PageCount out, PageCount memory) {
    if (out.value() == 0) return;
    ++reads_;
    expected_ += kOne * parked.value() / out.value();
    if (expected_ >= kOne * kExpected && reads_ >= memory.value() / kReadShare) EndLook();
  }
  // Somebody wanted a page that was parked.
  void OnRescue() {
    ++rescued_;
    // Sooner than expected.
    if (!pays() && IsMore(std::max(expected_, kOne * kExpected), kBegins)) EndLook();
  }

 private:
  static constexpr uint64_t kOne = uint64_t{1} << 32;
  // In quarters of what is to be expected: less is no reason to ask, and as much is one again.
  static constexpr uint64_t kQuarters = 4;
  static constexpr uint64_t kEnds = 5;
  static constexpr uint64_t kBegins = 6;

  bool IsMore(uint64_t expected, uint64_t quarters) const {
    return kQuarters * kOne * rescued_ >= quarters * expected;
  }
  void EndLook() {
    if (IsMore(expected_, pays() ? kEnds : kBegins)) {
      looks_ = 0;
    } else if (looks_ < kLooks) {
      ++looks_;
    }
    reads_ = 0;
    expected_ = 0;
    rescued_ = 0;
  }

  unsigned looks_ = 0;     // in a row that said no
  uint64_t reads_ = 0;     // of this look
  uint64_t expected_ = 0;  // touches of parked pages, in 1 / kOne
  uint64_t rescued_ = 0;   // those that came
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_SECOND_CHANCE_H_
