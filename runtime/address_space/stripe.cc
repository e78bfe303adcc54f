#include "runtime/address_space/stripe.h"

#include <algorithm>
#include <bit>

namespace userpager {

PageIndex NextTouchedPage(const TouchedWord* touched, PageIndex begin, PageIndex page,
                          PageIndex end) {
  while (page < end) {
    const uint64_t group = (page - begin).value() / kPteGroupPages;
    const uint64_t rest = touched[group / 64].load(std::memory_order_relaxed) >> (group % 64);
    if ((rest & 1) != 0) return page;
    const uint64_t skipped = rest == 0 ? 64 - group % 64
                                       : static_cast<uint64_t>(std::countr_zero(rest));
    page = begin + PageCount((group + skipped) * kPteGroupPages);
  }
  return end;
}

PageRange GroupOf(const Stripe& stripe, PageIndex page, PageRange range) {
  const uint64_t index = (page - stripe.range.begin).value();
  const PageIndex end = stripe.range.begin + PageCount(RoundDown(index, kPteGroupPages) +
                                                       kPteGroupPages);
  return PageRange(page, std::min(end, range.end));
}

}  // namespace userpager
