// SecondChance: whether it pays to park a fresh page before it is dropped, to see whether it is
// still used. It does where what is parked is used more than what has left memory, page for page;
// where both are used alike (a program that reads at random), or what was worth keeping has been
// found already, each touch of a parked page costs a soft fault and tells nothing.
//
// Both are counted: how often a page that is out was wanted, which says how often one of so many
// parked pages would have been if it were like them; and how often one of these was. While it does
// not pay few pages are parked, and only for a part of the time that others stay. Then those that
// have left a short time ago are counted with them: what is used again after a longer time, and
// unseen, is read again soon. (Offered pages and neighbours that come along with a soft fault are
// counted as well, which errs on the side of asking.)
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
  // Reads, in sizes of memory, after which all are asked again for so many looks: what is used
  // again just about as late as it leaves is seen by nothing else.
  static constexpr uint64_t kAgain = 8;

  bool pays() const { return looks_ < kLooks; }

  // Somebody wanted a page that was out, while so many others were, and so many were parked, of so
  // many in memory, and so many had left a short time ago. Whether it was one of these.
  void OnRead(PageCount parked, PageCount out, PageCount memory, PageCount recent, bool is_recent) {
    if (out.value() == 0) return;
    ++reads_;
    const PageCount asked = pays() ? parked : parked + recent;
    // No more than one for each read, where hardly anything is out.
    expected_ += std::min(kOne, kOne * asked.value() / out.value());
    if (!pays()) {
      if (is_recent) OnRescue();
      if (++unasked_reads_ >= kAgain * memory.value()) looks_ = 0;
    }
    if (expected_ >= kOne * kExpected && reads_ >= memory.value() / kReadShare) EndLook();
  }
  // Somebody wanted a page that was parked, or had better been.
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
    } else if (pays()) {
      ++looks_;
      unasked_reads_ = 0;
    }
    reads_ = 0;
    expected_ = 0;
    rescued_ = 0;
  }

  unsigned looks_ = 0;     // in a row that said no
  uint64_t reads_ = 0;     // of this look
  uint64_t unasked_reads_ = 0;  // since it does not pay
  uint64_t expected_ = 0;  // touches of parked pages, in 1 / kOne
  uint64_t rescued_ = 0;   // those that came
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_SECOND_CHANCE_H_
